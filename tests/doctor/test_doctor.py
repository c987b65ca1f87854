"""The doctor is right about machines with nothing, with everything, and with each thing missing; and writes nothing."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import replication
from replication import published_weights
from replication.__main__ import main
from replication.config import load_parameters, parameters_of
from replication.data import nvidia_masks
from replication.doctor import data_sets, disk_space, earlier_runs, machine, weights
from replication.doctor import doctor as module
from replication.doctor.data_sets import assumed
from replication.doctor.disk_space import bytes_there, disk
from replication.doctor.doctor import doctor, report
from replication.doctor.findings import MISSING, NOTE, OK, Finding
from replication.downloads.fetch import left_to_fetch
from replication.downloads.sources import load_sources
from replication.errors import InputError
from replication.profile_files import activate_profile, load_profile, profile_text
from replication.published_weights import PublishedFile, sha256_of
from replication.settings import plain, replace
from replication.yaml_files import parse_yaml

REPOSITORY = Path(replication.__file__).parents[1]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checkout(here):
    """A folder in which `dvc repro` could run the profile smoke."""
    subprocess.run(["git", "init", "-q"], cwd=here, check=True)
    (here / ".dvc").mkdir()
    (here / "dvc.yaml").write_text("stages: {}\n")
    activate_profile("smoke")
    return here


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def states(findings) -> list[tuple[str, str]]:
    return [(finding.what, finding.state) for finding in findings]


def change(path: str, *, profile: str = "smoke", **values):
    """A profile with other values in one section, such as "data.celebahq": added to what stands there."""
    data = parse_yaml(profile_text(profile), profile)
    inner = data
    for key in path.split("."):
        inner = inner.setdefault(key, {})
    if "source" in values and values["source"] != inner.get("source"):
        inner.clear()
    if path.startswith("data.") and "title" not in inner:
        values = {"title": "my photos"} | values
    inner |= values
    return parameters_of(data)


def faces(parameters, name="celebahq") -> tuple[list[Finding], dict]:
    images = {}
    return list(data_sets.faces(parameters, name, images)), images


def all_images(parameters) -> dict:
    return {name: assumed(parameters, name) for name in parameters.data}


def test_a_machine_with_a_checkout_can_run_smoke(checkout, capsys):
    before = files(checkout)
    assert main(["doctor", "--quick"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Profile smoke: ") and "MISSING" not in text
    assert text.endswith("Everything that the profile needs is here.\n")
    assert files(checkout) == before


def test_a_folder_with_nothing(here, capsys):
    assert main(["doctor", "--quick"]) == 1
    text = capsys.readouterr().out
    for part in ("no params.yaml here", "python -m replication profile demo", "no dvc.yaml", "git init", "dvc init"):
        assert part in text
    assert "4 of these must be mended" in text
    assert files(here) == set()


def test_a_machine_without_a_single_package(here):
    """A bare interpreter: no torch, no YAML, no DVC, nothing."""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-m", "replication", "doctor"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    assert run.stderr == ""
    assert "missing: torch, torchvision, numpy" in run.stdout and "make install" in run.stdout
    assert files(here) == set()


@pytest.mark.parametrize("absent", ["torch", "pandas", "psutil", "PIL", "packaging", "safetensors", "torchvision"])
def test_no_missing_package_ends_it(checkout, monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)
    for profile in ("smoke", "paper"):
        text, _ = doctor(profile, quick=True)
        assert text.splitlines()[-1] and "could not be looked at" not in text
    if absent == "torch":
        assert "torch cannot be imported" in text


def test_a_check_that_fails_is_one_line(checkout, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such thing\nand a trace")

    monkeypatch.setattr(earlier_runs, "earlier_runs", broken)
    text, code = doctor(quick=True)
    assert code == 0 and "could not be looked at (RuntimeError: no such thing)" in text


def test_unknown_profiles_and_unusable_parameters_end_with_one_sentence(checkout, capsys):
    assert main(["doctor", "--profile", "papr"]) == 2
    assert "did you mean 'paper'?" in capsys.readouterr().err
    (checkout / "params.yaml").write_text("profile: [")
    assert main(["doctor"]) == 2
    assert "not valid YAML" in capsys.readouterr().err
    # A named profile is looked at all the same.
    text, code = doctor("smoke", quick=True)
    assert code == 0 and "params.yaml is unusable" in text


def test_the_profile_paper_lists_all_that_is_missing(checkout):
    text, code = doctor("paper", quick=True)
    assert code == 1
    for part in (
        "python -m replication profile paper",
        "CelebA-HQ: the folder data/raw/celebahq does not exist, nor its table data/raw/celebahq.csv",
        "masks.test_folder",
        "masks.train_folder",
        "put zllrunning's face parser (79999_iter.pth) there, or name its place in methods.parser.weights",
        "put torchvision's VGG-19 (vgg19-dcbb9e9d.pth) there",
        "vgg16-397923af.pth",
        "put pytorch-fid's Inception",
    ):
        assert part in text
    assert not (checkout / "data").exists()


def test_the_time_is_measured_on_request(checkout, monkeypatch):
    from replication.doctor import timed_steps
    from replication.doctor.run_time import Step, Timings

    class Quick(timed_steps.TimedSteps):
        def timings(self):
            steps = {
                (name, "network"): Step(seconds, 32, getattr(self.parameters.methods, name).schedule, "schedule")
                for name, seconds in (("pconv", 1.0), ("mdrnet", 2.0))
            }
            self.notes.append("a note")
            return Timings(0, 0, 0, 0, steps=steps)

    monkeypatch.setattr(timed_steps, "TimedSteps", Quick)
    text, code = doctor()
    # 12 MDRNets of 8 steps, 2 PConvs of 10
    assert code == 0 and "an estimate: about 4 min from nothing on" in text
    assert "3 min  MDRNets, 12 trainings: 96 steps" in text and "20 s  PConv, 2 trainings: 20 steps" in text
    assert "a note" in text and "not counted" not in text
    text, _ = doctor("paper")
    assert "the numbers of images are assumed for celebahq, ffhq" in text
    (checkout / "dvc.yaml").unlink()
    text, _ = doctor()
    assert "3 min  MDRNets, 12 trainings" in text, "what is known is told"
    assert "notebooks and reports are not counted: dvc.yaml does not exist" in text


def test_lines_are_aligned():
    findings = [Finding("a", OK, "first\nsecond"), Finding("longer", MISSING, "gone", "mend it")]
    text, code = report("Title", findings)
    assert code == 1
    assert text.splitlines() == [
        "Title",
        "",
        "ok       a       first",
        "                 second",
        "MISSING  longer  gone",
        "                 -> mend it",
        "",
        "1 of these must be mended before the profile can run.",
    ]
    assert report("", [Finding("a", NOTE, "b")])[1] == 0


# Faces


def photos(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for k in range(count):
        (folder / f"{k}.jpg").write_bytes(b"")
    return folder


def test_photos_are_counted(here):
    parameters = change("data.celebahq", source="photos", folder="mine", train=None, test=4)
    (finding,), images = faces(parameters)
    assert finding.state == MISSING and "mine does not exist" in finding.text and images == {}
    photos(here / "mine", 0)
    (finding,), _ = faces(parameters)
    assert finding.state == MISSING and "holds no images" in finding.text
    (here / "mine" / "only.jpg").write_bytes(b"")
    (finding,), _ = faces(parameters)
    assert finding.state == MISSING and "too few" in finding.text
    photos(here / "mine" / "more", 49)
    (finding,), images = faces(parameters)
    assert (finding.state, finding.text) == (OK, "50 photos in mine: 45 + 4")
    assert (images["celebahq"].train, images["celebahq"].test) == (45, 4)


def test_photos_that_cannot_be_read_are_missed_by_name(here):
    photos(here / "mine", 10)
    photos(here / "mine" / "@eaDir", 30)
    (here / "mine" / "10.jpg").symlink_to(here / "gone")
    (here / "mine" / "album").symlink_to(here / "unmounted")
    mine = {"source": "photos", "folder": "mine", "train": None, "test": None}
    (finding,), images = faces(change("data.celebahq", **mine))
    assert finding.state == MISSING and not images
    assert finding.text == "photo mine/10.jpg cannot be read (a link to nothing; the first of 2 such photos)"
    (finding,), images = faces(change("data.celebahq", skip_corrupt=True, **mine))
    assert finding.text == "12 photos in mine, 2 of them unreadable: 9 + 1, too few for training and testing"
    assert images["celebahq"].train == 9


def test_what_each_split_becomes_is_told(here):
    photos(here / "mine", 8)
    rows = "".join(f"{k}.jpg,{'train' if k < 3 else 'val' if k < 6 else 'test'}\n" for k in range(8))
    (here / "mine.csv").write_text(f"file,split\n{rows}")
    mine = {"source": "photos", "folder": "mine", "table": "mine.csv", "train": None, "test": None}
    (finding,), _ = faces(change("data.celebahq", **mine))
    assert finding.text == "8 photos in mine, 8 of them in mine.csv: 3 + 5 (val is test)"
    (finding,), _ = faces(change("data.celebahq", splits={"train": "train", "val": "train", "test": "test"}, **mine))
    assert finding.text.endswith(": 6 + 2 (val is train)")
    (finding,), _ = faces(change("data.celebahq", splits={"train": "train", "test": "test"}, **mine))
    assert finding.state == MISSING and "is 'val'; allowed are 'train', 'test'" in finding.text


def test_doctor_and_prepare_want_as_many_photos(here):
    photos(here / "mine", 6)
    parameters = change("data.celebahq", source="photos", folder="mine", table="mine.csv", train=None, test=None)

    def split(train: int) -> str:
        rows = "".join(f"{k}.jpg,{'train' if k < train else 'test'}\n" for k in range(6))
        (here / "mine.csv").write_text(f"file,split\n{rows}")
        (finding,), _ = faces(parameters)
        return finding.state

    assert [split(train) for train in (0, 1, 4, 5, 6)] == [MISSING, OK, OK, MISSING, MISSING]
    (finding,), _ = faces(change("data.celebahq", source="photos", folder="mine", train=None, test=1))
    assert finding.state == MISSING, "a limit of one test image leaves too few"


def test_a_single_drawn_test_image_is_refused(checkout, capsys):
    text = (checkout / "params.yaml").read_text()
    drawn = load_parameters().data_set("celebahq")
    assert f"test: {drawn.test}" in text
    (checkout / "params.yaml").write_text(text.replace(f"test: {drawn.test}", "test: 1", 1))
    assert main(["doctor", "--quick"]) == 2
    assert "at least 2 test images are needed" in capsys.readouterr().err


def test_the_table_is_read_and_held_against_the_folder(here):
    photos(here / "mine", 6)
    table = here / "mine.csv"
    parameters = change("data.celebahq", source="photos", folder="mine", table="mine.csv", train=None, test=None)
    (finding,), _ = faces(parameters)
    assert finding.state == MISSING and "mine.csv does not exist" in finding.text
    table.write_text(
        "file,split,identity,smile\n" + "".join(f"{k}.jpg,{'train' if k < 3 else 'test'},p,1\n" for k in range(5))
    )
    (finding,), images = faces(parameters)
    assert finding.text == "6 photos in mine, 5 of them in mine.csv with identities, 1 attribute: 3 + 2"
    assert (images["celebahq"].train, images["celebahq"].test) == (3, 2)
    table.write_text("file\n0.jpg\n77.jpg\n")
    (finding,), _ = faces(parameters)
    assert finding.state == MISSING and "names '77.jpg'" in finding.text
    table.write_text("photo\n0.jpg\n")
    (finding,), _ = faces(parameters)
    assert finding.state == MISSING and "no column of file names" in finding.text


def test_parsing_maps(here):
    photos(here / "mine", 20)
    values = {"source": "photos", "folder": "mine", "train": None, "test": None}
    (finding,), _ = faces(change("data.parsing", **values), "parsing")
    assert finding.state == MISSING and finding.text.endswith("but no parsing maps to train the run parser on")
    parameters = change("data.parsing", **values, parsing_folder="maps")
    (finding,), _ = faces(parameters, "parsing")
    assert finding.state == MISSING and "parsing maps maps does not exist" in finding.text
    (here / "maps").mkdir()
    for k in range(19):
        labels(here / "maps" / f"{k}.png", 1, 17)
    (finding,), _ = faces(parameters, "parsing")
    assert finding.state == MISSING and "'9.jpg'" not in finding.text and "'19.jpg' has no parsing map" in finding.text
    labels(here / "maps" / "19.png", 0)
    (finding,), _ = faces(parameters, "parsing")
    assert finding.state == OK and "with parsing maps in maps" in finding.text
    for k in range(20):
        labels(here / "maps" / f"{k}.png", 0)
    (finding,), _ = faces(parameters, "parsing")
    assert finding.state == MISSING and finding.text == (
        "none of 20 parsing maps in maps shows skin (label 1); the labels in them are 0"
    )


def labels(path: Path, *values: int) -> None:
    """A label map in stripes of these labels."""
    from PIL import Image

    picture = Image.new("L", (24, 8 * len(values)))
    for k, value in enumerate(values):
        picture.paste(value, (0, 8 * k, 24, 8 * k + 8))
    picture.save(path)


def test_what_a_training_reads_beside_images_has_to_be_there(here):
    photos(here / "mine", 20)
    mine = {"source": "photos", "folder": "mine", "table": "mine.csv", "train": None, "test": None}
    parameters = change("data.attributes", **mine)
    (here / "mine.csv").write_text("file\n" + "".join(f"{k}.jpg\n" for k in range(20)))
    (finding,), _ = faces(parameters, "attributes")
    assert (finding.state, finding.text) == (
        MISSING,
        "20 photos in mine, 20 of them in mine.csv: 18 + 2, but no attributes to train the run attributes on",
    )
    assert finding.mend == "name their table in data.attributes.table, or set data.attributes.source: drawn"
    (here / "mine.csv").write_text("file,smile\n" + "".join(f"{k}.jpg,1\n" for k in range(20)))
    (finding,), _ = faces(parameters, "attributes")
    assert finding.state == OK
    (finding,), _ = faces(change("data.parsing", profile="paper", **mine), "parsing")
    assert finding.state == OK, "the published parser needs no maps"


def test_a_data_set_of_the_users_own_is_looked_at_too(checkout):
    data = parse_yaml(profile_text("smoke"), "smoke")
    data["data"]["mine"] = {"source": "photos", "title": "mine", "folder": "mine"}
    (checkout / "params.yaml").write_text(json.dumps(data))
    text, code = doctor(quick=True)
    assert code == 1 and "MISSING  data.mine        mine: the folder mine does not exist" in text


def test_masks(here):
    parameters = change("masks", source="nvidia", train=9, test_per_bucket=9, test_folder="test", train_folder=None)
    assert states(data_sets.masks(parameters)) == [("masks.test_folder", MISSING), ("masks.train_folder", NOTE)]
    (here / "test").mkdir()
    assert states(data_sets.masks(parameters))[0][1] == MISSING
    (here / "test" / "0.png").write_bytes(b"")
    (found, _) = data_sets.masks(parameters)
    assert (found.state, found.text) == (OK, "1 mask in test")
    assert nvidia_masks.mask_files("test") == [Path("test/0.png")]


# Weights


def test_weights_are_checked_by_hash(here, monkeypatch):
    files = {"mdrnet": "one/vgg19-dcbb9e9d.pth", "pconv": "vgg16-397923af.pth"}
    data = parse_yaml(profile_text("smoke"), "smoke")
    for method, file in files.items():
        data["methods"][method]["perceptual"] = {"source": "vgg", "weights": file}
    parameters = parameters_of(data)
    first, second = weights.weights(parameters)
    assert (first.what, first.text) == (
        "methods.pconv.perceptual.weights",
        "vgg16-397923af.pth does not exist",
    )
    assert first.mend == (
        "put torchvision's VGG-16 (vgg16-397923af.pth) there, or name its place in methods.pconv.perceptual.weights"
    )
    assert (second.what, second.text) == (
        "methods.mdrnet.perceptual.weights",
        "one/vgg19-dcbb9e9d.pth does not exist",
    )
    (here / "one").mkdir()
    (here / "one/vgg19-dcbb9e9d.pth").write_bytes(b"weights")
    (here / "vgg16-397923af.pth").write_bytes(b"<html>quota exceeded")
    first, second = weights.weights(parameters)
    assert first.state == second.state == MISSING
    assert "is a web page" in first.text and "that of vgg19-dcbb9e9d.pth with dcbb9e9d" in second.text
    assert second.mend == "remove it, and put torchvision's VGG-19 (vgg19-dcbb9e9d.pth) in its place"
    right = PublishedFile("vgg19-dcbb9e9d.pth", sha256_of("one/vgg19-dcbb9e9d.pth")[:8], "VGG-19")
    monkeypatch.setattr(published_weights, "VGG19", right)
    assert states(weights.weights(parameters)) == [
        ("methods.pconv.perceptual.weights", MISSING),
        ("methods.mdrnet.perceptual.weights", OK),
    ]


def test_weights_of_one_run_alone_are_told_where_they_stand(here):
    vgg = {"source": "vgg", "weights": "vgg19-dcbb9e9d.pth"}
    parameters = change("runs.mdrnet.mine", dataset="ffhq", protocol="irregular", change={"perceptual": vgg})
    assert states(weights.weights(parameters)) == [("runs.mdrnet.mine.change.perceptual.weights", MISSING)]
    (finding,) = weights.weights(load_profile("smoke"))
    assert (finding.state, finding.text) == (OK, "none needed: all networks are trained here")


def test_weights_of_a_system_without_runs_are_not_wanted():
    wanted = [finding.what for finding in weights.weights(load_profile("paper"))]
    assert wanted == [
        "methods.inception.weights",
        "methods.parser.weights",
        "methods.pconv.perceptual.weights",
        "methods.mdrnet.perceptual.weights",
    ]


def test_a_file_that_nothing_is_known_of_is_a_note(here):
    parameters = change("methods.pconv", perceptual={"source": "vgg", "weights": "mine.pth"})
    (finding,) = weights.weights(parameters)
    assert (finding.state, finding.mend) == (
        MISSING,
        "put the published weights there, or name its place in methods.pconv.perceptual.weights",
    )
    (here / "mine.pth").write_bytes(b"weights")
    (finding,) = weights.weights(parameters)
    assert finding.state == NOTE and finding.text.endswith("which nothing is known to compare with")


def test_lpips_needs_its_package(monkeypatch):
    parameters = change("evaluation", lpips_weights="alex.pth")
    monkeypatch.setattr(weights.util, "find_spec", lambda name: None)
    assert states(weights.weights(parameters)) == [("lpips", MISSING), ("evaluation.lpips_weights", MISSING)]


# The rest of the machine


def test_a_full_disk(checkout, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    text, code = doctor(quick=True)
    assert code == 1 and "make room for 0.1 GB more, or move the checkout" in text


def test_the_disk_counts_what_is_replaced_and_what_is_still_to_be_fetched(checkout, monkeypatch):
    smoke = load_profile("smoke")
    images = all_images(smoke)
    (first,) = disk(smoke, images)
    assert "earlier" not in first.text and "fetch" not in first.text
    for name, size in ((".dvc/cache/files/md5/aa/b", 3 * 10**8), ("data/prepared/celebahq/images.npy", 2 * 10**8)):
        (checkout / name).parent.mkdir(parents=True)
        with (checkout / name).open("wb") as file:
            file.truncate(size)
    assert bytes_there(checkout) == 2 * 10**8, "DVC's cache only grows"
    monkeypatch.setattr("replication.doctor.disk_space.bytes_needed", lambda *_: {"networks": 10**9})
    (second,) = disk(smoke, images)
    assert "1.0 GB for the whole run (networks 1.0 GB ...), in the place of 0.2 GB of an earlier one; " in second.text
    paper = load_profile("paper")
    fetched = left_to_fetch(paper)
    assert fetched[1] == ["nvidia_masks_test", "nvidia_masks_train"]
    assert fetched[0] == 89_100_000_000 + sum(  # FFHQ's images come by hand
        file.size * (1 if file.unpack is None else 2)
        for name in ("celebahq", "celebahq_split", "ffhq", "inception", "vgg19", "vgg16", "face_parser")
        for file in load_sources()[name].files
    )
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage(10**12, 0, 5 * 10**9))
    (third,) = disk(paper, images)
    assert third.state == MISSING and "and 97 GB to fetch and unpack (not counted, as their size is" in third.text
    assert third.mend.startswith("make room for at least 93 GB more")


def test_data_on_another_disk_is_held_against_that_disk(here, monkeypatch):
    paper = load_profile("paper")
    images = all_images(paper)
    (here / "data/raw").mkdir(parents=True)
    usage = collections.namedtuple("usage", "total used free")
    free = {"raw": 50 * 10**9}
    monkeypatch.setattr(disk_space, "_other_disk", lambda folder: folder.name == "raw")

    def disk_usage(path):
        return usage(10**13, 0, free.get(Path(path).name, 10**12))

    monkeypatch.setattr(disk_space.shutil, "disk_usage", disk_usage)
    raw, own = disk(paper, images)
    assert raw.state == MISSING and raw.mend.startswith("make room for at least 47 GB more there")
    assert own.state == OK and "50 GB on the disk of data/raw" in own.text
    free["raw"] = 10**12
    (own,) = disk(paper, images)
    assert own.state == OK


def test_after_a_complete_run_a_full_disk_is_only_a_note(checkout, monkeypatch):
    smoke = load_parameters()
    images = all_images(smoke)
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    (checkout / "dvc.yaml").write_text(
        "stages:\n  train:\n    foreach: [full]\n    do:\n      cmd: train\n      params: [seed, image_size]\n"
        "      outs: [data/records/train/full.json, data/models/full]\n"
    )

    def state(parameters=smoke, **values) -> str:
        record = {"parameters": {"seed": smoke.seed, "image_size": smoke.image_size, **values}}
        (checkout / "data/records/train/full.json").write_text(json.dumps(record))
        return next(iter(disk(parameters, images))).state

    (checkout / "data/records/train").mkdir(parents=True)
    assert state() == MISSING, "an output is missing"
    (checkout / "data/models/full").mkdir(parents=True)
    assert state() == NOTE
    (finding,) = disk(smoke, images)
    assert "only a run with changes takes more" in finding.text
    assert state(image_size=512) == MISSING, "it was of other parameters"
    assert state(change("evaluation", samples=3)) == MISSING, "another profile is looked at"
    (checkout / "data/records/train/full.json").unlink()
    assert next(iter(disk(smoke, images))).state == MISSING


def test_an_archive_of_two_sources_is_fetched_once_and_unpacked_twice(here):
    paper = load_profile("paper")
    both = change(
        "data.celebahq",
        profile="paper",
        table="data/raw/celebamaskhq.csv",
        parsing_folder="data/raw/celebamaskhq_labels",
    )
    (archive,) = [file for file in load_sources()["celebahq"].files if file.unpack is not None]
    size, maps = archive.size, 30_000 * 8192
    lists = sum(file.size for file in load_sources()["celebahq_split"].files)  # of both tables
    others = left_to_fetch(paper)[0] - 2 * size - lists
    assert left_to_fetch(both)[0] - others == 3 * size + maps + lists
    (here / "data/raw/celebahq").mkdir(parents=True)
    assert left_to_fetch(both)[0] - others == 3 * size + maps + lists, "an empty folder is still to be filled"
    (here / "data/raw/celebahq/0.jpg").write_bytes(b"")
    assert left_to_fetch(both)[0] - others == 2 * size + maps + lists, "the archive is gone and needed again"
    (here / "data/raw/celebamaskhq_labels").mkdir()
    (here / "data/raw/celebamaskhq_labels/0.png").write_bytes(b"")
    assert left_to_fetch(both)[0] - others == 2 * size + lists


def test_the_mending_command_says_where_consent_is_given(here):
    paper = load_profile("paper")
    (finding,), _ = faces(paper)
    command = "python -m replication download celebahq celebahq_split, or put or link both there"
    assert finding.mend.startswith(
        "list celebahq under `consent` in params.yaml if you accept the terms, then " + command
    )
    (finding,), _ = faces(replace(paper, consent=["celebahq"]))
    assert finding.mend.startswith(command)
    (masks, *_) = data_sets.masks(paper)
    assert masks.mend.startswith("python -m replication download nvidia_masks_test, or"), "nobody asks for consent"


def test_a_table_that_is_missing_beside_its_photos_can_be_fetched(here):
    photos(here / "data/raw/celebahq", 2)
    (finding,), _ = faces(load_profile("paper"))
    assert finding.mend.startswith("python -m replication download celebahq_split, or mend the table")


def test_a_misspelt_consent_is_noticed(checkout):
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text.rstrip() + "\nconsent: [celebahq, ffqh]\n")
    report, code = doctor(quick=True)
    (line,) = [line for line in report.splitlines() if "ffqh" in line]
    assert code == 1 and line.startswith("MISSING  consent")
    assert "consent: 'ffqh' is no source; did you mean 'ffhq'?" in line


def test_an_earlier_run(here):
    smoke = load_profile("smoke")
    assert [f.text for f in earlier_runs.earlier_runs(smoke)] == ["none: everything begins anew"]
    for name, step, steps, size in (
        ("full/network/seed_0", 20, 50, 32),
        ("pconv/network/seed_0", 10, 10, 32),
        ("odd/network/seed_0", 3, None, 32),
        ("no_mrem/network/seed_0", 9, 9, 64),
        ("no_intra/network/seed_0", 9, 9, 32),
        ("of_another_profile/network/seed_0", 9, 9, 32),
    ):
        folder = here / ".state" / name / "0123456789abcdef"
        folder.mkdir(parents=True)
        for manifest in (step - 1, step):
            (folder / f"step-{manifest:09d}.json").write_text("{}")
        run = name.split("/")[0]
        settings = plain(smoke.settings_of(run)) if run in smoke.run_names() else {}
        if run == "no_intra":
            settings["schedule"]["images"] = 1
        config = {"fit": {"steps": steps}, "image_size": size, "settings": settings}
        (folder / "config.json").write_text("garbage" if steps is None else json.dumps(config))
    (here / "reports/failed/train").mkdir(parents=True)
    (here / "reports/failed/train/full.ipynb").write_text("")
    run, anew, failed = earlier_runs.earlier_runs(smoke)
    assert run.text == (
        "1 finished training in .state; to go on with: full/network/seed_0 at step 20 of 50, odd/network/seed_0 at "
        "step 3 of None; 3 of another size or other settings, which this profile does not go on with"
    )
    images = smoke.settings_of("no_intra").schedule.images
    assert anew.state == NOTE and anew.text == (
        f"finished, and would begin from zero with what is changed: no_intra/network/seed_0 (settings.schedule.images: "
        f"1 there, {images} here), no_mrem/network/seed_0 (image_size: 64 there, 32 here)"
    )
    assert failed.state == NOTE and "reports/failed/train/full.ipynb" in failed.text


def test_packages_are_held_against_the_requirements(monkeypatch):
    names = {line.split(">")[0].split("=")[0].split("<")[0] for line in machine.requirements()}
    assert {"torch", "dvc", "pytorch-fid", "pyyaml"} <= names
    assert machine.pins()["dvc"].startswith("3.67.")
    (fine,) = machine.packages()
    assert fine.state in (OK, NOTE)
    monkeypatch.setattr(machine, "requirements", lambda: ["torch>=99", "no-such-package>=1", "numpy>=1"])
    (bad,) = machine.packages()
    assert bad.state == MISSING
    assert bad.text.startswith("missing: no-such-package; unfit: torch ") and bad.text.endswith("(needed: >=99)")
    monkeypatch.setattr(machine, "requirements", lambda: ["numpy>=1"])
    monkeypatch.setattr(machine, "pins", lambda: {"numpy": "0.1"})
    (other,) = machine.packages()
    assert other.state == NOTE and other.text.endswith("(pinned: 0.1)")


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(machine.sys, "version_info", (3, 10, 1))
    assert states(machine.python()) == [("python", MISSING)]


def test_a_device_that_is_not_there():
    (finding,) = machine.device(change("compute", device="mps"))
    if not torch.backends.mps.is_available():
        assert finding.state == MISSING and finding.mend == "set compute.device: auto in params.yaml"


def test_without_a_gpu(monkeypatch):
    smoke = change("compute", device="cpu")
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    if not Path("/proc/driver/nvidia/version").exists():
        (finding,) = machine.device(smoke)
        assert finding.state == OK and finding.text.startswith("CPU: ")
        (finding,) = machine.device(replace(smoke, image_size=256))
        assert finding.state == NOTE and "256 pixels are very slow" in finding.text
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    (finding,) = machine.device(smoke)
    assert finding.state == NOTE and "an NVIDIA driver is here" in finding.text


def test_with_gpus(monkeypatch):
    import replication.device

    monkeypatch.setattr(replication.device, "choose_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (70 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Big GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    found = list(machine.device(change("compute", precision="bfloat16")))
    assert states(found) == [("device", OK), ("device", NOTE), ("device", NOTE)]
    assert found[0].text == "GPU 0: Big GPU, 80 GiB, 70 GiB free"
    assert found[1].mend == "set compute.precision: float32" and found[2].mend == "set compute.processes: 2 to use all"
    found = list(machine.device(change("compute", processes=4)))
    assert states(found) == [("device", OK), ("device", OK), ("device", MISSING)]
    assert found[2].text == "compute.processes is 4, but there are 2 GPUs"


def test_repositories(here, monkeypatch):
    assert states(machine.repository()) == [("git", MISSING), ("DVC", MISSING)]
    (here / ".dvc").mkdir()
    (here / ".dvc/config").write_text("[core]\n    no_scm = True\n")
    assert states(machine.repository()) == [("git", OK), ("DVC", OK)]
    (here / ".dvc/config").write_text("")
    subprocess.run(["git", "init", "-q"], check=True)
    assert states(machine.repository()) == [("git", OK), ("DVC", OK)]
    with monkeypatch.context() as other:
        other.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        refused, _ = machine.repository()
        assert refused.state == NOTE and "detected dubious ownership in repository at" in refused.text
        assert f"`git config --global --add safe.directory {here}` allows it" in refused.text
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    found = list(machine.repository())
    assert states(found) == [("git", OK), ("DVC", MISSING)] and found[1].mend == "dvc init --subdir"
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    monkeypatch.setattr(machine.util, "find_spec", lambda name: None)
    assert states(machine.repository()) == [("git", NOTE), ("DVC", MISSING)]
    assert states(machine.kernel()) == [("notebooks", MISSING)]


def test_kernels(here, monkeypatch):
    """Stages run this environment's kernel whatever is first on Jupyter's path; a foreign one there is told."""
    monkeypatch.setenv("JUPYTER_PATH", str(here))
    spec = here / "kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    for content, notes in (
        ({"argv": ["python", "-m"], "display_name": "x", "language": "python"}, []),
        ({"argv": [sys.executable], "display_name": "x", "language": "python"}, []),
        ({"argv": ["/no/such/python"], "display_name": "x", "language": "python"}, [("notebooks", NOTE)]),
        ({"argv": [], "display_name": "x", "language": "python"}, [("notebooks", NOTE)]),
    ):
        spec.write_text(json.dumps(content))
        assert states(machine.kernel()) == [("notebooks", OK), *notes]
    spec.write_text("{")
    *_, unreadable = machine.kernel()
    assert unreadable.state == NOTE and str(spec.parent) in unreadable.text


def test_input_errors_of_a_check_are_findings():
    def check():
        raise InputError("x.csv has no column")

    assert module._guarded("x", check) == [Finding("x", MISSING, "x.csv has no column")]
