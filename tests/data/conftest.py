"""Small generated faces and masks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from replication.data.irregular_masks import draw_mask_store
from replication.data.store import BOX_COLUMNS, LANDMARK_COLUMNS, Chunk, write_store


def make_chunk(first: int, count: int, *, size: int = 16, split: str = "train", parsing: bool = True) -> Chunk:
    """Faces of noise; landmarks, boxes and attributes are simple functions of the face's number."""
    rng = np.random.default_rng(first)
    numbers = np.arange(first, first + count)
    rows = pd.DataFrame(
        {"id": [f"{k:06d}" for k in numbers], "split": split, "identity": [f"p{k // 2}" for k in numbers]}
    )
    rows["attr_Smiling"] = numbers % 2
    rows["attr_Hat"] = (numbers % 3 == 0).astype(int)
    for place, column in enumerate(LANDMARK_COLUMNS):
        rows[column] = place + 0.25 * (numbers % 4)
    for place, column in enumerate(BOX_COLUMNS):
        rows[column] = float([2, 3, 9, 6, 4, 10, 12, 14][place])
    images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    labels = rng.integers(0, 19, (count, size, size), dtype=np.uint8)
    return Chunk(images=images, rows=rows, parsing=labels if parsing else None)


@pytest.fixture
def chunk():
    return make_chunk


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """24 training and 10 test faces of 16 px with every optional field."""
    path = tmp_path_factory.mktemp("faces") / "store"
    chunks = [make_chunk(0, 16), make_chunk(16, 8), make_chunk(24, 10, split="test")]
    return write_store(path, name="noise", size=16, chunks=iter(chunks), source={"kind": "noise"})


@pytest.fixture(scope="session")
def masks(tmp_path_factory):
    """30 training masks and 12 test masks per bucket of 16 px."""
    return draw_mask_store(tmp_path_factory.mktemp("masks") / "store", size=16, train=30, test_per_bucket=12, seed=3)
