from __future__ import annotations

import json

import numpy as np
import pytest

from replication.data.store import FaceStore, write_store
from replication.errors import InputError


def write(path, chunks, size=16):
    return write_store(path, name="noise", size=size, chunks=chunks, source={"kind": "noise"})


def test_round_trip(tmp_path, chunk):
    first, second = chunk(0, 5), chunk(5, 3, split="test")
    store = write(tmp_path / "s", iter([first, second]))
    assert isinstance(store.images, np.memmap) and isinstance(store.parsing, np.memmap)
    assert np.array_equal(store.images, np.concatenate([first.images, second.images]))
    assert np.array_equal(store.parsing, np.concatenate([first.parsing, second.parsing]))
    assert store.index["row"].tolist() == list(range(8))
    assert store.ids.tolist() == [f"{k:06d}" for k in range(8)]  # leading zeros survive the CSV
    assert store.rows("train").tolist() == [0, 1, 2, 3, 4] and store.rows("test").tolist() == [5, 6, 7]
    assert store.attribute_names == ["Smiling", "Hat"]
    assert store.attributes[:, 0].tolist() == [0, 1] * 4
    assert store.landmarks.shape == (8, 5, 2) and store.landmarks[1, 0].tolist() == [0.25, 1.25]
    assert store.boxes[0].tolist() == [[2, 3, 9, 6], [4, 10, 12, 14]]
    assert store.identities.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert store.fields == {"image", "parsing", "identity", "attributes", "landmarks", "boxes"}
    assert store.card["splits"] == {"train": 5, "test": 3} and store.size == 16 and len(store) == 8
    assert store.card["identities"] == {"train": 3, "test": 2, "in_both_splits": 1}


def test_content_hash_depends_on_content_and_not_on_chunks(tmp_path, chunk):
    whole = chunk(0, 6)
    parts = [
        type(whole)(whole.images[s], whole.rows.iloc[s].reset_index(drop=True), whole.parsing[s])
        for s in (slice(0, 4), slice(4, 6))
    ]
    one = write(tmp_path / "one", [whole]).card["sha256"]
    assert write(tmp_path / "two", parts).card["sha256"] == one
    whole.images[3, 2, 1, 0] ^= 1
    assert write(tmp_path / "three", [whole]).card["sha256"] != one


def test_verify_notices_one_changed_byte(tmp_path, chunk):
    path = tmp_path / "s"
    write(path, [chunk(0, 4)])
    FaceStore.open(path, verify=True)
    data = bytearray((path / "images.npy").read_bytes())
    data[-1] ^= 1
    (path / "images.npy").write_bytes(data)
    with pytest.raises(InputError, match="sha256 differs"):
        FaceStore.open(path, verify=True)


def test_without_optional_fields(tmp_path, chunk):
    plain = chunk(0, 4, parsing=False)
    plain.rows = plain.rows[["id", "split"]]
    store = write(tmp_path / "s", [plain])
    assert store.parsing is None and store.fields == {"image"}
    assert store.identities.tolist() == [-1] * 4
    with pytest.raises(InputError, match=r"has no attributes, parsing; it has image"):
        store.require(["parsing", "attributes"])
    with pytest.raises(InputError, match="has no test images"):
        store.rows("test")


def change(column, value):
    def apply(chunk):
        chunk.rows[column] = chunk.rows[column].astype(object)
        chunk.rows.loc[1, column] = value

    return apply


def set_label_19(chunk):
    chunk.parsing[1, 0, 0] = 19


def set_float_images(chunk):
    chunk.images = chunk.images / 255


def drop_landmark(chunk):
    chunk.rows = chunk.rows.drop(columns="nose_y")


def add_unknown_column(chunk):
    chunk.rows["Smiling"] = 1


FAULTS = {
    "nan attribute": (change("attr_Hat", float("nan")), r"attr_Hat of '000001' is nan, not 0 or 1"),
    "nan landmark": (change("nose_x", float("nan")), r"nose_x of '000001' is nan, not a finite number"),
    "infinite box": (change("eyes_x1", float("inf")), r"eyes_x1 of '000001' is inf"),
    "attribute of 2": (change("attr_Hat", 2), r"not 0 or 1"),
    "split name": (change("split", "validation"), r"split of '000001' is 'validation', not train or test"),
    "repeated id": (change("id", "000000"), r"two faces have the id '000000'"),
    "label 19": (set_label_19, r"parsing map of '000001' has label 19; allowed are 0 to 18"),
    "float images": (set_float_images, r"images are float64.*not uint8"),
    "half a landmark": (drop_landmark, r"'nose_y' is missing"),
    "unknown column": (add_unknown_column, r"'Smiling' is unknown; attributes are named attr_<name>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_chunks_are_refused_and_leave_the_old_store(tmp_path, chunk, fault):
    apply, message = FAULTS[fault]
    before = write(tmp_path / "s", [chunk(0, 3)]).card["sha256"]
    bad = chunk(0, 3)
    apply(bad)
    with pytest.raises(InputError, match=message):
        write(tmp_path / "s", [bad])
    assert FaceStore.open(tmp_path / "s", verify=True).card["sha256"] == before
    assert [p.name for p in tmp_path.iterdir()] == ["s"]  # no temporary folder is left


def test_wrong_size_and_no_faces(tmp_path, chunk):
    with pytest.raises(InputError, match=r"not uint8 \(n,32,32,3\)"):
        write(tmp_path / "s", [chunk(0, 3)], size=32)
    with pytest.raises(InputError, match="no faces"):
        write(tmp_path / "s", [])
    with pytest.raises(InputError, match="others have none"):
        write(tmp_path / "s", [chunk(0, 3), chunk(3, 3, parsing=False)])


def test_source_is_read_after_the_last_chunk(tmp_path, chunk):
    source = {"kind": "noise"}

    def chunks():
        yield chunk(0, 2)
        source["met"] = 2

    store = write_store(tmp_path / "s", name="n", size=16, chunks=chunks(), source=source)
    assert store.card["source"]["met"] == 2


def test_missing_incomplete_damaged_and_foreign_stores(tmp_path, chunk):
    with pytest.raises(InputError, match="does not exist"):
        FaceStore.open(tmp_path / "nowhere")
    path = tmp_path / "s"
    write(path, [chunk(0, 4)])
    images = (path / "images.npy").read_bytes()
    (path / "images.npy").write_bytes(images[:-100])
    with pytest.raises(InputError, match=r"damaged: images\.npy"):
        FaceStore.open(path)
    (path / "images.npy").unlink()
    with pytest.raises(InputError, match=r"incomplete: images\.npy is missing"):
        FaceStore.open(path)
    card = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(InputError, match="has format 99, this version reads format 1"):
        FaceStore.open(path)
    (path / "store.json").unlink()
    with pytest.raises(InputError, match=r"incomplete: store\.json"):
        FaceStore.open(path)
