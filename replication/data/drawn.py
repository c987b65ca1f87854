"""Drawn faces as chunks for a face store."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from replication.data.drawn_faces import ATTRIBUTES, DISTRIBUTIONS, draw_faces
from replication.data.drawn_faces import BOXES as DRAWN_BOXES
from replication.data.drawn_faces import LANDMARKS as DRAWN_LANDMARKS
from replication.data.store import ATTRIBUTE_PREFIX, BOXES, LANDMARKS, Chunk
from replication.errors import InputError

# Test faces come from the far half of a seed's people, so that no person is in both splits.
TEST_START = 2_000_000


def drawn_chunks(
    distribution: str, size: int, *, train: int, test: int, seed: int, workers: int = 1
) -> Iterator[Chunk]:
    """Yield `train` training and then `test` test faces of a distribution, or half and half with "both".

    Args:
        distribution: one of the renderer's distributions, or "both".
        size: side in pixels, 32 to 512.
        seed: names the stream of people; another seed, other people.
        workers: processes.

    Raises:
        InputError: unknown distribution, size out of range, or more training faces than a seed has people
        for.
    """
    if train > TEST_START:
        raise InputError(f"train={train}: a seed has people for {TEST_START} drawn training faces")
    kinds = tuple(DISTRIBUTIONS) if distribution == "both" else (distribution,)
    if not set(kinds) <= set(DISTRIBUTIONS):
        raise InputError(f"distribution {distribution!r}: allowed are {', '.join(DISTRIBUTIONS)} and both")
    for split, start, count in (("train", 0, train), ("test", TEST_START, test)):
        for place, kind in enumerate(kinds):
            own = count // len(kinds) + (place < count % len(kinds))
            stream = draw_faces(
                start,
                own,
                distribution=kind,
                size=size,
                seed=seed * len(DISTRIBUTIONS) + place,
                workers=workers,
            )
            for batch in stream:
                yield Chunk(batch.images, _rows(batch, kind, split), batch.parsing)


def _rows(batch, kind: str, split: str) -> pd.DataFrame:
    count = len(batch.images)
    rows = pd.DataFrame(
        {
            "id": [f"{kind}-{split}-{batch.start + k}" for k in range(count)],
            "split": split,
            "identity": [f"{kind}-{identity}" for identity in batch.identities],
        }
    )
    for k, name in enumerate(ATTRIBUTES):
        rows[ATTRIBUTE_PREFIX + name] = (batch.attributes[:, k] > 0.5).astype(np.int64)
    for point in LANDMARKS:
        place = list(DRAWN_LANDMARKS).index(point)
        rows[f"{point}_x"], rows[f"{point}_y"] = batch.landmarks[:, place, 0], batch.landmarks[:, place, 1]
    for box in BOXES:
        place = list(DRAWN_BOXES).index(box)
        for k, edge in enumerate(("x0", "y0", "x1", "y1")):
            rows[f"{box}_{edge}"] = batch.boxes[:, place, k]
    return rows
