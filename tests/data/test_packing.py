"""Packing that was killed is gone on with; the store is that of an undisturbed run, and proves its split."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from replication.data import packing, photos
from replication.data.disjoint_splits import split_summary
from replication.data.packing import pack_photos
from replication.data.photos import PhotoFolder
from replication.data.store import LANDMARK_COLUMNS, FaceStore
from replication.errors import InputError

COUNT = 40


def picture(seed: int, size: int = 40) -> Image.Image:
    """Smooth noise: a look of its own for every seed."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """40 photos, a table of everything that a table may have, and label maps."""
    path, maps = tmp_path / "photos", tmp_path / "maps"
    path.mkdir()
    maps.mkdir()
    lines = []
    for k in range(COUNT):
        picture(k).save(path / f"{k:02d}.png")
        Image.fromarray(np.full((40, 40), k % 19, np.uint8)).save(maps / f"{k:02d}.png")
        lines.append([f"{k:02d}.png", "test" if k % 4 == 0 else "train", f"p{k % 8}", k % 2, *np.arange(10) + k / 7])
    columns = ["file", "split", "identity", "Smiling", *LANDMARK_COLUMNS]
    pd.DataFrame(lines, columns=columns).to_csv(tmp_path / "table.csv", index=False)
    return path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(photos, "_CHUNK", 8)


def open_folder(folder, **options):
    options = {"size": 32, "table": folder.parent / "table.csv", "parsing_folder": folder.parent / "maps"} | options
    return PhotoFolder(folder, **options)


def pack(folder, name="store", state="state", code="", **options):
    root = folder.parent
    return pack_photos(root / name, open_folder(folder, **options), name="p", state=root / state, code=code)


def contents(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def killed_after(monkeypatch, faces):
    """Reading stops the packing, as a kill would, when so many faces were read."""
    real, read = photos.read_photos, []

    def reading(tasks, options):
        if len(read) >= faces:
            raise KeyboardInterrupt
        read.extend(tasks)
        return real(tasks, options)

    monkeypatch.setattr(photos, "read_photos", reading)
    return read


@pytest.mark.parametrize("after", [0, 8, 24, 32])
def test_a_stopped_packing_goes_on_and_ends_bit_for_bit_the_same(folder, monkeypatch, after):
    whole = contents(pack(folder).path)
    with monkeypatch.context() as patch:
        killed_after(patch, after)
        with pytest.raises(KeyboardInterrupt):
            pack(folder, "again")
    root = folder.parent
    assert not (root / "again").exists() and not (root / "state" / "store" / "store.json").exists()
    with pytest.raises(InputError, match=r"incomplete: store\.json is missing"):
        FaceStore.open(root / "state" / "store")
    with monkeypatch.context() as patch:
        read = killed_after(patch, 1000)
        store = pack(folder, "again")
    assert len(read) == COUNT - after
    assert contents(store.path) == whole and set(whole) >= {"manifest.csv", "store.json", "parsing.npy"}
    assert sorted(p.name for p in (root / "state").iterdir()) == ["lock"]
    FaceStore.open(store.path, verify=True)


def stopped(folder, monkeypatch, after=24, **options):
    with monkeypatch.context() as patch:
        killed_after(patch, after)
        with pytest.raises(KeyboardInterrupt):
            pack(folder, **options)


def resumed(folder, monkeypatch, **options):
    """How many photos the next run reads; its store is that of a run without a past."""
    with monkeypatch.context() as patch:
        read = killed_after(patch, 1000)
        store = pack(folder, **options)
    fresh = pack(folder, **options | {"name": "fresh", "state": "other state"})
    assert contents(store.path) == contents(fresh.path)
    shutil.rmtree(fresh.path)
    return len(read)


def touch(folder):
    os.utime(folder / "03.png", ns=(1, 1))


def replace(folder):
    picture(99).save(folder / "30.png")


def add_to_table(folder):
    table = folder.parent / "table.csv"
    text = table.read_text().replace("39.png,train", "39.png,test")
    table.write_text(text)


@pytest.mark.parametrize("change", [touch, replace, add_to_table])
def test_other_sources_begin_anew(folder, monkeypatch, change):
    stopped(folder, monkeypatch)
    change(folder)
    assert resumed(folder, monkeypatch) == COUNT


@pytest.mark.parametrize(
    "options", [{"size": 16}, {"code": "new"}, {"parsing_order": "g_mask"}, {"parsing_folder": None}, {"align": "ffhq"}]
)
def test_other_settings_begin_anew(folder, monkeypatch, options):
    if "align" in options:
        options = options | {"allow_upscaling": True}
        table = pd.read_csv(folder.parent / "table.csv")
        table[list(LANDMARK_COLUMNS)] = [12, 15, 28, 15, 20, 22, 14, 30, 26, 30]
        table.to_csv(folder.parent / "table.csv", index=False)
    if "parsing_order" in options:
        for file in (folder.parent / "maps").iterdir():  # no hair in any order, so that neither is refused
            Image.fromarray(np.repeat(np.array([1, 4], np.uint8), 800).reshape(40, 40)).save(file)
    stopped(folder, monkeypatch)
    assert resumed(folder, monkeypatch, **options) == COUNT


def tear_line(state):
    data = (state / "chunks.jsonl").read_bytes()
    (state / "chunks.jsonl").write_bytes(data[:-30])


def lose_pixels(state):
    with (state / "store" / "images.npy").open("r+b") as file:
        file.truncate(128 + 20 * 32 * 32 * 3)


def flip_pixel(state):
    with (state / "store" / "parsing.npy").open("r+b") as file:
        file.seek(128 + 18 * 32 * 32)
        file.write(b"\xff")


def garbage_behind(state):
    with (state / "store" / "images.npy").open("ab") as file:
        file.write(b"half a chunk" * 100)


def lose_maps(state):
    (state / "store" / "parsing.npy").unlink()


def no_journal(state):
    (state / "chunks.jsonl").write_bytes(b"\x00" * 50)


DAMAGE = {tear_line: 24, lose_pixels: 24, flip_pixel: 24, garbage_behind: 16, lose_maps: 40, no_journal: 40}


@pytest.mark.parametrize("damage", DAMAGE)
def test_only_whole_chunks_are_kept(folder, monkeypatch, damage):
    stopped(folder, monkeypatch)
    damage(folder.parent / "state")
    assert resumed(folder, monkeypatch) == DAMAGE[damage]


def test_a_corrupt_photo_does_not_cost_the_others(folder, monkeypatch):
    (folder / "30.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"30\.png cannot be read .*skip_corrupt"):
        pack(folder)
    assert resumed(folder, monkeypatch, skip_corrupt=True) == COUNT - 24
    # but what was skipped under one setting is not accepted under another
    stopped(folder, monkeypatch, after=32, skip_corrupt=True)
    with pytest.raises(InputError, match=r"30\.png cannot be read"):
        pack(folder)


def test_a_killed_process_is_gone_on_with(folder, monkeypatch):
    """SIGKILL in the middle, in two processes and a main one."""
    root = folder.parent
    script = textwrap.dedent(f"""
        import os, signal
        from replication.data import packing, photos
        photos._CHUNK = 8
        def chunks(given, total, marks):
            for number, chunk in enumerate(given):
                if number == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield chunk
        packing._with_progress = chunks
        if __name__ == "__main__":
            folder = photos.PhotoFolder({str(folder)!r}, size=32, table={str(root / "table.csv")!r},
                parsing_folder={str(root / "maps")!r}, workers=2)
            packing.pack_photos({str(root / "killed")!r}, folder, name="p", state={str(root / "state")!r})
    """)
    (root / "script.py").write_text(script)
    # The workers hold the pipe too: its end comes when they have ended with their parent.
    ended = subprocess.run([sys.executable, str(root / "script.py")], stdout=subprocess.PIPE, timeout=60)
    assert ended.returncode == -signal.SIGKILL and not (root / "killed").exists()
    assert resumed(folder, monkeypatch, name="killed") == COUNT - 24


def test_one_process_at_a_time(folder):
    with packing._locked(folder.parent / "state"), pytest.raises(InputError, match="another process is packing"):
        pack(folder)


def test_another_file_system(folder, monkeypatch):
    def refuse(old, new, real=os.replace):
        if str(old).endswith("state/store"):
            raise OSError(18, "Invalid cross-device link")
        return real(old, new)

    whole = contents(pack(folder).path)
    monkeypatch.setattr(packing.os, "replace", refuse)
    assert contents(pack(folder, "other").path) == whole


def test_the_manifest_names_every_photo(folder):
    store = pack(folder)
    manifest = pd.read_csv(store.path / "manifest.csv", dtype=str, keep_default_na=False)
    assert manifest["file"].tolist() == store.ids.tolist()
    assert manifest["split"].tolist() == store.index["split"].tolist()
    assert manifest["identity"].tolist() == store.index["identity"].tolist()
    assert list(manifest) == [
        *("file", "sha256", "split", "identity", "perceptual_hash", "parsing_sha256", "nearest", "distance")
    ]
    assert manifest["sha256"][5] == photos.file_hash(folder / "05.png")
    assert manifest["perceptual_hash"].str.fullmatch("[0-9a-f]{16}").all()
    test = manifest["split"] == "test"
    assert manifest["nearest"][test].isin(manifest["file"][~test]).all() and (manifest["nearest"][~test] == "").all()
    split = store.card["source"]["split"]
    assert split["rule"] == "as in the table (train is train, test is test)" and (
        split["train"]["images"],
        split["test"]["images"],
    ) == (30, 10)
    text = "".join(f"{k:02d}.png\n" for k in range(0, COUNT, 4))
    assert split["test"]["sha256_of_sorted_names"] == photos.hashlib.sha256(text.encode()).hexdigest()
    (store.path / "manifest.csv").write_text("edited")
    with pytest.raises(InputError, match="was changed after it was written"):
        FaceStore.open(store.path, verify=True)


def test_equal_files_in_both_splits(folder):
    shutil.copy(folder / "04.png", folder / "05.png")  # 04 is for testing
    shutil.copy(folder / "06.png", folder / "07.png")  # both for training
    with pytest.raises(
        InputError, match=r"'05\.png' \(train\) and '04\.png' \(test\) in .* are the same file; remove one"
    ):
        open_folder(folder)
    allowed = pack(folder, duplicates="allow").card["source"]
    assert allowed["disjoint"]["equal_files_across_splits"] == 1
    assert allowed["disjoint"]["near_duplicates_across_splits"] == 1
    assert allowed["disjoint"]["closest"] == [{"train": "05.png", "test": "04.png", "bits": 0, "correlation": 1.0}]
    store = pack(folder, duplicates="drop")
    source = store.card["source"]
    assert "05.png" not in store.ids and "04.png" in store.ids and source["training_copies_dropped"] == ["05.png"]
    assert source["disjoint"]["equal_files_across_splits"] == 0
    assert source["disjoint"]["equal_files_within_a_split"] == 1
    assert "training copies left out: 1" in split_summary(store)
    with pytest.raises(InputError, match="duplicates='ask': allowed are refuse, drop, allow"):
        open_folder(folder, duplicates="ask")


def test_files_that_become_equal_while_packing_are_noticed(folder):
    opened = open_folder(folder)
    shutil.copy(folder / "04.png", folder / "05.png")
    with pytest.raises(InputError, match=r"'05\.png' \(train\) and '04\.png' \(test\) became the same file meanwhile"):
        pack_photos(folder.parent / "s", opened, name="p", state=folder.parent / "state")


def test_near_duplicates_and_people_in_both_splits_are_reported(folder):
    assert pack(folder).card["source"]["disjoint"]["near_duplicates_across_splits"] == 0
    picture(8).save(folder / "09.jpg", quality=60)
    (folder / "09.png").unlink()
    (folder.parent / "maps" / "09.png").rename(folder.parent / "maps" / "09.jpg.png")
    shutil.copy(folder.parent / "maps" / "09.jpg.png", folder.parent / "maps" / "09.png")
    table = folder.parent / "table.csv"
    table.write_text(table.read_text().replace("09.png", "09.jpg"))
    store = pack(folder)
    found = store.card["source"]["disjoint"]
    assert found["near_duplicates_across_splits"] == 1 and found["equal_files_across_splits"] == 0
    assert (found["closest"][0]["train"], found["closest"][0]["test"]) == ("09.jpg", "08.png")
    assert found["identities_in_both_splits"] == 0  # p0 and p4 are for testing
    text = split_summary(store)
    assert "near-duplicates across the splits: 1" in text and "09.jpg (train), 08.png (test): correlation" in text
    table.write_text(table.read_text().replace("10.png,train,p2", "10.png,train,p4"))
    assert pack(folder).card["source"]["disjoint"]["identities_in_both_splits"] == 1


def test_summary_of_a_store_without_photos(faces):
    assert split_summary(faces) == ""


def test_without_table_or_test_photos(folder):
    store = pack(folder, table=None, parsing_folder=None, test_fraction=0.3)
    assert store.card["source"]["split"]["rule"] == "by the hash of the file, test fraction 0.3"
    assert "identity" not in pd.read_csv(store.path / "manifest.csv")
    table = folder.parent / "table.csv"
    table.write_text("file,split\n01.png,train\n02.png,train\n")
    alone = pack(folder, parsing_folder=None)
    assert alone.card["source"]["disjoint"]["closest"] == []
    assert json.loads((alone.path / "store.json").read_text())["source"]["split"]["test"]["images"] == 0
