"""What `make repro` asks before it calls DVC: whether a folder of photos is what was packed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from replication import paths
from replication.__main__ import main
from replication.config import load_parameters
from replication.data import photo_listing
from replication.profile_files import profile_text
from replication.stages import faces as faces_stage
from replication.stages import holes as holes_stage
from replication.stages.source_changes import changed_sources
from replication.yaml_files import parse_yaml

ROOT = Path(__file__).parents[2]


def save(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    small.resize((40, 40), Image.Resampling.BICUBIC).save(path)


def parameters(**data):
    values = parse_yaml(profile_text("smoke"), "smoke")
    values["data"]["celebahq"] = {"title": "p", "source": "photos", "folder": "photos", "test_fraction": 0.3} | data
    Path("params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return load_parameters()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """12 photos, a table of 10 of them, label maps; nothing packed yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(faces_stage, "usable_processors", lambda: 1)
    monkeypatch.setattr(holes_stage, "usable_processors", lambda: 1)
    Path("photos").mkdir()
    Path("maps").mkdir()
    for k in range(12):
        save(Path(f"photos/{k:02d}.png"), k)
        Image.fromarray(np.repeat(np.array([1, k + 7], np.uint8), 800).reshape(40, 40)).save(f"maps/{k:02d}.png")
    lines = [f"{k:02d}.png,{'test' if k < 3 else 'train'}" for k in range(10)]
    Path("table.csv").write_text("\n".join(["file,split", *lines]) + "\n")
    return tmp_path


def packed(**data):
    p = parameters(**data)
    faces_stage.prepare_faces(p, "celebahq")
    assert changed_sources(p) == {}
    return p


def change_one():
    save(Path("photos/05.png"), 50)


def change_within_a_second_and_a_byte():
    data = bytearray(Path("photos/05.png").read_bytes())
    data[-5] ^= 1
    Path("photos/05.png").write_bytes(data)


CHANGES = {
    "added": (lambda: save(Path("photos/new.png"), 60), r"1 photo was added \(new\.png\)"),
    "removed": (lambda: Path("photos/05.png").unlink(), r"1 photo is gone \(05\.png\)"),
    "renamed": (lambda: Path("photos/05.png").rename("photos/x.png"), r"added \(x\.png\), 1 photo is gone \(05"),
    "changed": (change_one, r"1 photo was changed \(05\.png\)"),
    "one byte": (change_within_a_second_and_a_byte, r"1 photo was changed \(05\.png\)"),
}


def test_photos_in_the_place_of_drawn_faces_are_packed_not_taken_from_a_cache(checkout):
    p = packed()
    (paths.store("celebahq") / "manifest.csv").unlink()  # as a store of drawn faces
    assert list(changed_sources(p)) == ["data@celebahq"]


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("remembered", [True, False])
def test_changes_of_a_folder_without_table(checkout, what, remembered):
    p = packed()
    change, sentence = CHANGES[what]
    if not remembered:  # as in a fresh clone with the results of another machine
        shutil.rmtree(paths.SOURCES)
        assert changed_sources(p) == {}
        shutil.rmtree(paths.SOURCES)
        sentence = sentence if "changed" in sentence or "removed" in what else "photos instead of 12, or others"
    change()
    found = changed_sources(p)
    assert list(found) == ["data@celebahq"] and re.search(sentence, found["data@celebahq"])
    assert found["data@celebahq"].startswith("photos: ")
    faces_stage.prepare_faces(p, "celebahq")
    assert changed_sources(p) == {}


def test_any_named_set_is_watched(checkout):
    values = parse_yaml(profile_text("smoke"), "smoke")
    values["data"]["mine"] = {"title": "p", "source": "photos", "folder": "photos"}
    Path("params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    p = load_parameters()
    faces_stage.prepare_faces(p, "mine")
    change_one()
    assert changed_sources(p) == {"data@mine": "photos: 1 photo was changed (05.png) since it was packed for mine"}


def test_several_changes_are_said_in_the_plural(checkout):
    p = packed()
    save(Path("photos/new.png"), 60)
    save(Path("photos/newer.png"), 61)
    Path("photos/05.png").unlink()
    Path("photos/06.png").unlink()
    (sentence,) = changed_sources(p).values()
    assert sentence.startswith("photos: 2 photos were added (new.png, ...), 2 photos are gone (05.png, ...) since")


def test_with_a_table_only_its_photos_count(checkout):
    p = packed(table="table.csv")
    save(Path("photos/new.png"), 60)
    Path("photos/11.png").unlink()
    assert changed_sources(p) == {}
    Path("photos/05.png").unlink()
    Path("table.csv").write_text(Path("table.csv").read_text().replace("04.png,train", "04.png,test"))
    (sentence,) = changed_sources(p).values()
    assert sentence == (
        "photos: the table table.csv was changed, 1 photo is gone (05.png) since it was packed for celebahq"
    )


def test_label_maps_count(checkout):
    p = packed(table="table.csv", parsing_folder="maps")
    os.utime("maps/03.png", ns=(1, 1))
    assert changed_sources(p) == {}
    Image.fromarray(np.full((40, 40), 9, np.uint8)).save("maps/03.png")
    Path("maps/04.png").unlink()
    (sentence,) = changed_sources(p).values()
    assert "1 parsing map is gone (04.png), 1 parsing map was changed (03.png)" in sentence


def test_what_was_only_touched_is_read_once(checkout, monkeypatch):
    p = packed()
    for k in range(12):
        os.utime(f"photos/{k:02d}.png", ns=(k, k))
    read = []
    real = photo_listing.file_hash
    monkeypatch.setattr(photo_listing, "file_hash", lambda path: read.append(path) or real(path))
    assert changed_sources(p) == {} and len(read) == 12
    assert changed_sources(p) == {} and len(read) == 12


def test_a_photo_that_was_skipped_and_is_whole_now(checkout):
    Path("photos/06.png").write_bytes(b"no picture")
    p = packed(skip_corrupt=True)
    save(Path("photos/06.png"), 6)
    (sentence,) = changed_sources(p).values()
    assert "1 unused photo was changed (06.png)" in sentence


def test_nothing_is_said_without_photos_or_store(checkout):
    p = parameters()
    assert changed_sources(p) == {}  # nothing packed: DVC sees to it
    packed()
    Path("photos").rename("elsewhere")
    assert changed_sources(p) == {}  # results can be looked at without the photos
    (paths.store("celebahq") / "store.json").write_text("{")
    assert changed_sources(p) == {}


def test_a_store_that_came_from_elsewhere_is_held_against_its_manifest(checkout):
    """DVC may bring back an older store out of its cache, which the remembered stamps do not belong to."""
    p = packed()
    shutil.copytree(paths.store("celebahq"), "older")
    change_one()
    faces_stage.prepare_faces(p, "celebahq")
    shutil.rmtree(paths.store("celebahq"))
    Path("older").rename(paths.store("celebahq"))
    assert "1 photo was changed (05.png)" in changed_sources(p)["data@celebahq"]


def test_the_verb_prints_stages_to_be_forced(checkout, capsys):
    packed()
    capsys.readouterr()
    assert main(["sources-changed"]) == 0 and capsys.readouterr().out == ""
    change_one()
    assert main(["sources-changed"]) == 0
    out, error = capsys.readouterr()
    assert out == "data@celebahq\n" and "1 photo was changed (05.png) since it was packed" in error


def test_the_summary_of_the_split_is_printed(checkout, capsys):
    packed()
    assert "near-duplicates across the splits: 0" in capsys.readouterr().out


@pytest.mark.parametrize("failing", [None, "pipeline --check", "sources-changed", "--force"])
def test_make_repro_forces_the_changed_stages_and_stops_at_failures(tmp_path, failing):
    """The recipe of the Makefile, with stand-ins for python and dvc that write down their calls."""
    bin_folder = tmp_path / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "pyproject.toml", "params.yaml"):
        (tmp_path / name).touch()
    for tool in ("python", "dvc"):
        file = bin_folder / tool
        file.write_text(
            f'#!/bin/sh\necho "{tool} $*" >> calls\n'
            f'case "$*" in *{failing or "nothing"}*) exit 3;; esac\n'
            'case "$*" in *sources-changed*) echo data@celebahq; echo data@ffhq;; esac\n'
        )
        file.chmod(0o755)
    (tmp_path / ".venv" / "ready").touch()
    ended = subprocess.run(["make", "repro"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    calls = (tmp_path / "calls").read_text().splitlines()
    expected = [
        "python -m replication pipeline --check",
        "python -m replication sources-changed",
        "dvc repro --force --single-item data@celebahq",
        "dvc repro --force --single-item data@ffhq",
        "dvc repro",
    ]
    assert calls == expected[: {None: 5, "pipeline --check": 1, "sources-changed": 2, "--force": 3}[failing]]
    assert (ended.returncode == 0) == (failing is None), ended.stderr + sys.version
