from __future__ import annotations

import json

import numpy as np
import pytest

from replication.data.masks import (
    BUCKETS,
    MaskStore,
    border_margin,
    bucket_of,
    hole_ratios,
    reach_border,
    write_mask_store,
)
from replication.errors import InputError


def square_holes(*sides: int, size: int = 16) -> np.ndarray:
    """One mask per side: a square hole in the middle."""
    masks = np.zeros((len(sides), size, size), np.uint8)
    for mask, side in zip(masks, sides, strict=True):
        first = (size - side) // 2
        mask[first : first + side, first : first + side] = 1
    return masks


def write(path, train, test):
    return write_mask_store(path, size=16, train=[train], test=[test], source={"kind": "squares"})


def test_buckets_are_open_below_and_closed_above():
    assert list(BUCKETS) == ["1-20%", "20-40%", "40-60%"]
    assert bucket_of(0.01) is None and bucket_of(0.0101) == "1-20%"
    assert bucket_of(0.2) == "1-20%" and bucket_of(0.2001) == "20-40%"
    assert bucket_of(0.4) == "20-40%" and bucket_of(0.6) == "40-60%" and bucket_of(0.6001) is None


def test_ratio_counts_holes():
    """Spec trap 1: 1 is the hole. A mask with a quarter of ones has the ratio 0.25, not 0.75."""
    assert hole_ratios(square_holes(8)).tolist() == [0.25]


def test_margin_is_50_of_512_at_pixel_centres():
    assert [border_margin(s) for s in (512, 256, 128, 64, 32)] == [50, 25, 12, 6, 3]
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, 30, 6] = 1
    assert not reach_border(mask)[0]
    mask[0, 30, 5] = 1
    assert reach_border(mask)[0]


def test_round_trip(tmp_path):
    train, test = square_holes(3, 8, 10), square_holes(4, 9)
    store = write(tmp_path / "m", train, test)
    assert np.array_equal(store.train, train) and np.array_equal(store.test, test)
    assert isinstance(store.train, np.memmap) and store.size == 16
    assert store.index.columns.tolist() == ["split", "row", "ratio", "bucket", "touches_border"]
    assert store.index["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert store.index["ratio"].tolist() == [9 / 256, 64 / 256, 100 / 256, 16 / 256, 81 / 256]
    assert store.rows("train", bucket="20-40%").tolist() == [1, 2]
    assert store.rows("test", touches_border=True).tolist() == []
    assert store.card["buckets"]["test"]["1-20%"] == {"reaching_border": 0, "border_free": 1}
    with pytest.raises(InputError, match="bucket 'big'"):
        store.rows("test", bucket="big")


def test_refused_masks(tmp_path):
    good = square_holes(8)
    with pytest.raises(InputError, match=r"training and the test masks have 1 in common, allowed is none"):
        write(tmp_path / "m", square_holes(3, 8), good)
    with pytest.raises(InputError, match=r"train mask 1 has the hole ratio 1\.0000"):
        write(tmp_path / "m", square_holes(3, 16), good)
    with pytest.raises(InputError, match=r"test mask 0 has the hole ratio 0\.0000"):
        write(tmp_path / "m", square_holes(3), square_holes(0))
    with pytest.raises(InputError, match="hold the value 255"):
        write(tmp_path / "m", square_holes(3) * 255, good)
    with pytest.raises(InputError, match=r"not uint8 \(n,16,16\)"):
        write(tmp_path / "m", square_holes(3, size=8), good)
    with pytest.raises(InputError, match="no train masks"):
        write_mask_store(tmp_path / "m", size=16, train=[], test=[good], source={})
    assert not list(tmp_path.iterdir())


def test_missing_damaged_and_foreign_stores(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        MaskStore.open(tmp_path / "nowhere")
    path = tmp_path / "m"
    write(path, square_holes(3), square_holes(8))
    data = bytearray((path / "train.npy").read_bytes())
    data[-1] ^= 1
    (path / "train.npy").write_bytes(data)
    MaskStore.open(path)
    with pytest.raises(InputError, match="sha256 differs"):
        MaskStore.open(path, verify=True)
    (path / "train.npy").unlink()
    with pytest.raises(InputError, match=r"train\.npy is missing"):
        MaskStore.open(path)
    card = json.loads((path / "masks.json").read_text())
    (path / "masks.json").write_text(json.dumps({**card, "format": 0}))
    with pytest.raises(InputError, match="format 0"):
        MaskStore.open(path)
