"""Label maps merged of miniature masks that are named and stored as CelebAMask-HQ's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replication.data.labels import LABELS
from replication.data.photos import find_parsing
from replication.downloads import celebamaskhq_labels as module
from replication.downloads.celebamaskhq_labels import CARD, PARTS, label_maps_state, make_label_maps
from replication.downloads.sources import LabelMaps
from replication.errors import InputError

SIDE = 24
MAPS = LabelMaps("set/anno", "maps", 3, SIDE)


@pytest.fixture(autouse=True)
def no_wait_for_disks(monkeypatch):
    monkeypatch.setattr(module.os, "sync", lambda: None)


def mask(path: Path, rows: slice, mode: str = "RGB", side: int = SIDE) -> None:
    pixels = np.zeros((side, side), np.uint8)
    pixels[rows] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def raw(tmp_path):
    """Three images: overlapping parts; all parts; one part."""
    folder = tmp_path / MAPS.parts / "0"
    mask(folder / "00000_skin.png", slice(0, 20))
    mask(folder / "00000_l_eye.png", slice(4, 8))
    mask(folder / "00000_eye_g.png", slice(2, 6), "L")
    mask(folder / "00000_hair.png", slice(0, 3), "1")
    for k, part in enumerate(PARTS):
        mask(folder / f"00001_{part}.png", slice(k, k + 1), "P")
    mask(folder / "00002_cloth.png", slice(0, SIDE))
    return tmp_path


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.mode == "P"
        return np.asarray(picture)


def check_whole(raw: Path) -> None:
    folder = raw / "maps"
    assert {p.name for p in folder.iterdir()} == {"0.png", "1.png", "2.png", CARD}
    assert not list(raw.glob(".maps*"))
    names = [LABELS[label] for label in read(folder / "0.png")[:, 0]]
    assert names == ["hair"] * 3 + ["eye_g"] + ["l_eye"] * 4 + ["skin"] * 12 + ["background"] * 4
    assert [LABELS[label] for label in read(folder / "1.png")[:18, 5]] == list(PARTS)
    assert (read(folder / "2.png") == LABELS.index("cloth")).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_later_parts_are_painted_over_earlier_ones(raw, workers, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    assert label_maps_state(MAPS, raw) == "maps is not made yet"
    make_label_maps(MAPS, raw, workers=workers)
    check_whole(raw)
    assert label_maps_state(MAPS, raw) == "here"
    assert find_parsing(raw / "maps", ["0.jpg", "2.jpg"]) == [raw / "maps/0.png", raw / "maps/2.png"]


def test_the_order_of_painting_is_that_of_the_owners_script():
    assert (
        *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip"),
        *("hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
    ) == PARTS


def test_a_killed_run_is_gone_on_with(raw, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    real, made = module.merge_masks, []

    def merge(masks, side):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(masks)
        return real(masks, side)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "merge_masks", merge)
        make_label_maps(MAPS, raw)
    assert not (raw / "maps").exists()
    assert label_maps_state(MAPS, raw) == "maps is not made yet, 2 of 3 are"
    unfinished = raw / ".maps.unfinished"
    (unfinished / "1.png").write_bytes((unfinished / "1.png").read_bytes()[:50])  # as after a loss of power
    (unfinished / ".2.png").write_bytes(b"half")
    again = []
    monkeypatch.setattr(module, "merge_masks", lambda masks, side: again.append(len(masks)) or real(masks, side))
    make_label_maps(MAPS, raw)
    check_whole(raw)
    assert again == [18, 1], "the first map was kept"
    make_label_maps(MAPS, raw)
    assert len(again) == 2, "what is whole is not made again"


def test_other_masks_make_other_maps(raw):
    make_label_maps(MAPS, raw)
    mask(raw / "set/anno/0/00000_cloth.png", slice(0, 3))
    make_label_maps(MAPS, raw)
    assert (read(raw / "maps/0.png")[:3] == LABELS.index("cloth")).all()
    # An unfinished folder of yet other masks is not gone on with.
    (raw / ".maps.unfinished").mkdir()
    (raw / ".maps.unfinished" / CARD).write_text('{"masks": "other"}')
    mask(raw / ".maps.unfinished/0.png", slice(0, 3), "P")
    (raw / "set/anno/0/00000_cloth.png").unlink()
    make_label_maps(MAPS, raw)
    check_whole(raw)


@pytest.mark.parametrize("point", ["before the old maps are set aside", "between", "while the old maps are removed"])
def test_killed_while_maps_are_replaced(raw, monkeypatch, point):
    mask(raw / "set/anno/0/00000_cloth.png", slice(0, 3))
    make_label_maps(MAPS, raw)
    (raw / "set/anno/0/00000_cloth.png").unlink()
    replace, remove = os.replace, shutil.rmtree

    def killed_replace(source, target):
        if Path(source).name == {"before": "maps", "between": ".maps.unfinished"}.get(point.split()[0]):
            raise KeyboardInterrupt
        replace(source, target)

    def killed_remove(folder, *_, **__):
        (Path(folder) / CARD).unlink()  # the first of its files, as the disk may have it
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed_replace)
        patch.setattr(shutil, "rmtree", killed_remove)
        make_label_maps(MAPS, raw)
    assert remove is shutil.rmtree
    make_label_maps(MAPS, raw)
    check_whole(raw)


def test_a_link_to_another_disk_is_followed(raw, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk")
    (disk / "faces").mkdir()
    (raw / "maps").symlink_to(disk / "faces")
    assert label_maps_state(MAPS, raw) == "maps is not made yet"
    make_label_maps(MAPS, raw)
    mask(raw / "set/anno/0/00002_cloth.png", slice(0, SIDE), "L")
    for part in ("hat", "cloth"):
        mask(raw / f"set/anno/0/00002_{part}.png", slice(0, SIDE))
    make_label_maps(MAPS, raw)
    check_whole(raw)
    assert (raw / "maps").is_symlink() and [p.name for p in disk.iterdir()] == ["faces"]


def test_a_link_that_leads_nowhere_is_refused_before_any_work(raw, monkeypatch):
    (raw / "maps").symlink_to(raw / "gone")
    monkeypatch.setattr(module, "merge_masks", None)
    assert label_maps_state(MAPS, raw) == "maps is a link that leads nowhere"
    with pytest.raises(InputError, match="maps is a link that leads nowhere; make the folder"):
        make_label_maps(MAPS, raw)
    assert (raw / "maps").is_symlink()


def test_masks_that_cannot_be_read(raw, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module.os, "scandir", refused)
    with pytest.raises(InputError, match=r"0 cannot be read \(Permission denied\)"):
        make_label_maps(MAPS, raw)


def test_maps_put_there_by_hand_are_counted(raw):
    mask(raw / "maps/0.png", slice(0, 3), "L")
    assert label_maps_state(MAPS, raw) == "maps: 1 of 3 label maps"
    with pytest.raises(InputError, match=r"maps has 1 of 3 \*\.png; complete it, or move it away"):
        make_label_maps(MAPS, raw)
    for k in (1, 2):
        mask(raw / f"maps/{k}.png", slice(0, 3), "L")
    make_label_maps(MAPS, raw)
    assert not (raw / "maps" / CARD).exists() and label_maps_state(MAPS, raw) == "here"


def test_the_card_says_of_what(raw):
    make_label_maps(MAPS, raw)
    card = json.loads((raw / "maps" / CARD).read_text())
    assert len(card.pop("masks")) == 64 and card == {"side": SIDE, "images": 3}


FAULTS = {
    "no folder": (lambda f: f.rename(f.with_name("gone")), "folder of masks .* does not exist"),
    "an image without masks": (lambda f: (f / "0/00002_cloth.png").unlink(), r"has no mask of image 2;"),
    "an unknown part": (lambda f: mask(f / "0/00001_tail.png", slice(3)), "00001_tail.png is not named like a mask"),
    "another kind of file": (lambda f: (f / "0/00001_skin.jpg").write_text(""), "00001_skin.jpg is not named like"),
    "a short number": (lambda f: mask(f / "0/1_skin.png", slice(3)), "1_skin.png is not named like a mask"),
    "a mask in another folder": (lambda f: mask(f / "1/00001_hat.png", slice(3)), "00001_hat.png belongs into .*0$"),
    "an image too many": (lambda f: mask(f / "0/00003_hat.png", slice(3)), "00003_hat.png is beyond the last image, 2"),
    "a file among the folders": (lambda f: (f / "00001_hat.png").write_text(""), "00001_hat.png is a file; masks are"),
    "another size": (lambda f: mask(f / "0/00002_hat.png", slice(3), side=16), "00002_hat.png is 16x16, not 24x24"),
    "a damaged mask": (lambda f: (f / "0/00002_hat.png").write_bytes(b"no"), "00002_hat.png cannot be read"),
    "a mask of 16 bits": (
        lambda f: Image.fromarray(np.full((SIDE, SIDE), 200, np.uint16)).save(f / "0/00002_hat.png"),
        "00002_hat.png has mode I;16, more than 8 bits",
    ),
    "a part in alpha": (
        lambda f: Image.new("RGBA", (SIDE, SIDE)).save(f / "0/00002_hat.png"),
        "00002_hat.png is transparent in places",
    ),
    "a mask cut off": (
        lambda f: (f / "0/00002_cloth.png").write_bytes((f / "0/00002_cloth.png").read_bytes()[:60]),
        "00002_cloth.png cannot be read",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_sentence_that_names_the_file(raw, name):
    fault, sentence = FAULTS[name]
    fault(raw / MAPS.parts)
    with pytest.raises(InputError, match=sentence) as caught:
        make_label_maps(MAPS, raw)
    assert "\n" not in str(caught.value) and not (raw / "maps").exists()


def test_hidden_files_and_what_systems_leave_are_nothing(raw):
    for name in (".DS_Store", "0/._00001_skin.png", "Thumbs.db", "0/Thumbs.db", "0/desktop.ini"):
        (raw / MAPS.parts / name).write_text("")
    make_label_maps(MAPS, raw)
    check_whole(raw)
