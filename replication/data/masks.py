"""Hole masks: ratio buckets, border contact, and the packed mask store.

A mask here is uint8 {0,1} (S,S), 1 = hole. The papers report three buckets of the hole ratio; the ratio is
always measured on the mask as it is used, after any resizing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import atomic_folder
from replication.data.row_files import RowWriter, hash_rows, open_rows
from replication.errors import InputError

FORMAT = 1
BUCKETS: dict[str, tuple[float, float]] = {
    "1-20%": (0.01, 0.20),
    "20-40%": (0.20, 0.40),
    "40-60%": (0.40, 0.60),
}
"""Name -> (low, high): a ratio r belongs to a bucket if low < r <= high."""


def bucket_of(ratio: float) -> str | None:
    """Name of the bucket of a hole ratio in 0..1; None outside (0.01, 0.60]."""
    for name, (low, high) in BUCKETS.items():
        if low < ratio <= high:
            return name
    return None


def hole_ratios(masks: np.ndarray) -> np.ndarray:
    """float64 (n,): share of hole pixels of masks (n,S,S)."""
    return masks.reshape(len(masks), -1).sum(axis=1, dtype=np.int64) / masks[0].size if len(masks) else np.zeros(0)


def border_margin(size: int) -> int:
    """Width in pixels of the border that half of NVIDIA's test masks keep free: 50 px of 512, scaled to
    `size`.

    Counts the pixel centres that lie inside, so it agrees with a mask of 512 px resized by nearest neighbour.
    """
    return max(1, math.ceil(50 * size / 512 - 0.5))


def reach_border(masks: np.ndarray) -> np.ndarray:
    """bool (n,): whether any hole of masks (n,S,S) reaches into the border of `border_margin` pixels."""
    m = border_margin(masks.shape[-1])
    inside = masks[:, m:-m, m:-m].sum(axis=(1, 2), dtype=np.int64)
    return masks.sum(axis=(1, 2), dtype=np.int64) > inside


def mask_hash(mask: np.ndarray) -> bytes:
    """16 bytes that name the content of one mask."""
    return hashlib.blake2b(np.packbits(mask.astype(bool)).tobytes(), digest_size=16).digest()


def _append(
    file: RowWriter, batches: Iterable[np.ndarray], split: str, size: int, where: str
) -> tuple[pd.DataFrame, set]:
    """Check and append all batches of one split; the lines of the index and the hashes of the masks."""
    tables, hashes = [], set()
    for masks in batches:
        if masks.dtype != np.uint8 or masks.shape[1:] != (size, size):
            raise InputError(f"{where}: {split} masks are {masks.dtype}{masks.shape}, not uint8 (n,{size},{size})")
        if masks.size and masks.max() > 1:
            raise InputError(f"{where}: {split} masks hold the value {masks.max()}; allowed are 0 (known) and 1 (hole)")
        ratios = hole_ratios(masks)
        buckets = [bucket_of(ratio) for ratio in ratios]
        if None in buckets:
            bad = buckets.index(None)
            raise InputError(
                f"{where}: {split} mask {file.rows + bad} has the hole ratio {ratios[bad]:.4f}, outside (0.01, 0.60]"
            )
        table = {"split": split, "row": np.arange(file.rows, file.rows + len(masks)), "ratio": ratios}
        tables.append(pd.DataFrame({**table, "bucket": buckets, "touches_border": reach_border(masks)}))
        hashes.update(mask_hash(mask) for mask in masks)
        file.append(masks)
    if not tables:
        raise InputError(f"{where}: there are no {split} masks")
    return pd.concat(tables, ignore_index=True), hashes


def write_mask_store(
    path: str | Path,
    *,
    size: int,
    train: Iterable[np.ndarray],
    test: Iterable[np.ndarray],
    source: Mapping[str, Any],
) -> MaskStore:
    """Write a mask store and open it; an older one is replaced when the new one is complete.

    train, test: batches uint8 {0,1} (n,S,S), 1 = hole; the test masks are read first. source: where the masks
    come from, JSON-able, read after the last batch. Raises InputError for other values or sizes, a ratio
    outside (0.01, 0.60], an empty split, or a mask that occurs in both splits.
    """
    path = Path(path)
    where = f"mask store {path}"
    with atomic_folder(path) as folder:
        with RowWriter(folder / "test.npy", (size, size), np.uint8) as test_file:
            test_index, test_hashes = _append(test_file, test, "test", size, where)
        with RowWriter(folder / "train.npy", (size, size), np.uint8) as train_file:
            train_index, train_hashes = _append(train_file, train, "train", size, where)
        common = test_hashes & train_hashes
        if common:
            raise InputError(f"{where}: the training and the test masks have {len(common)} in common, allowed is none")
        index = pd.concat([train_index, test_index], ignore_index=True)
        text = index.to_csv(index=False, lineterminator="\n")
        (folder / "index.csv").write_bytes(text.encode())
        counts = index.groupby(["split", "bucket", "touches_border"]).size()
        card = {
            "format": FORMAT,
            "size": size,
            "hole": 1,
            "train": len(train_index),
            "test": len(test_index),
            "buckets": {
                split: {
                    bucket: {
                        "reaching_border": int(counts.get((split, bucket, True), 0)),
                        "border_free": int(counts.get((split, bucket, False), 0)),
                    }
                    for bucket in BUCKETS
                }
                for split in ("train", "test")
            },
            "border_margin": border_margin(size),
            "source": dict(source),
            "sha256": _content_hash(train_file.sha256, test_file.sha256),
        }
        (folder / "masks.json").write_text(json.dumps(card, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return MaskStore.open(path)


def _content_hash(train: str, test: str) -> str:
    return hashlib.sha256(f"train {train}\ntest {test}\n".encode()).hexdigest()


class MaskStore:
    """A mask store, opened for reading.

    train, test: uint8 {0,1} (N,S,S), 1 = hole, memory-mapped. index: columns split, row (within the split),
    ratio, bucket, touches_border (a hole within `border_margin` pixels of the edge). card: `masks.json`.
    """

    def __init__(
        self, path: Path, train: np.ndarray, test: np.ndarray, index: pd.DataFrame, card: dict[str, Any]
    ) -> None:
        self.path = path
        self.train = train
        self.test = test
        self.index = index
        self.card = card

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> MaskStore:
        """Open the store in folder `path`; `verify` reads everything once and compares the content hash.

        Raises InputError for a folder that is missing, incomplete, damaged or of another format.
        """
        path = Path(path)
        what = f"mask store {path}"
        if not path.is_dir():
            raise InputError(f"{what} does not exist; run the stage that prepares the masks")
        try:
            card = json.loads((path / "masks.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{what} is incomplete: masks.json is missing; prepare it again") from None
        except ValueError as error:
            raise InputError(f"{what} is damaged: masks.json cannot be read ({error})") from error
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            found = card.get("format") if isinstance(card, dict) else None
            raise InputError(f"{what} has format {found!r}, this version reads format {FORMAT}; prepare it again")
        size = card["size"]
        train = open_rows(path / "train.npy", (card["train"], size, size), what)
        test = open_rows(path / "test.npy", (card["test"], size, size), what)
        if not (path / "index.csv").is_file():
            raise InputError(f"{what} is incomplete: index.csv is missing; prepare it again")
        index = pd.read_csv(path / "index.csv")
        if len(index) != len(train) + len(test):
            raise InputError(f"{what} is damaged: index.csv has {len(index)} lines for {len(train) + len(test)} masks")
        if verify and _content_hash(hash_rows(train), hash_rows(test)) != card["sha256"]:
            raise InputError(f"{what} was changed after it was written: its sha256 differs; prepare it again")
        return cls(path, train, test, index, card)

    def __repr__(self) -> str:
        return f"MaskStore({len(self.train)} training and {len(self.test)} test masks of {self.size} px)"

    @property
    def size(self) -> int:
        """Side of the masks in pixels."""
        return self.card["size"]

    def rows(self, split: str, *, bucket: str | None = None, touches_border: bool | None = None) -> np.ndarray:
        """int64 row numbers within one split, ascending, of one bucket and kind of border if asked."""
        if bucket is not None and bucket not in BUCKETS:
            raise InputError(f"bucket {bucket!r}: allowed are {', '.join(BUCKETS)}")
        chosen = self.index["split"] == split
        if bucket is not None:
            chosen &= self.index["bucket"] == bucket
        if touches_border is not None:
            chosen &= self.index["touches_border"] == touches_border
        return self.index["row"].to_numpy()[chosen.to_numpy()]
