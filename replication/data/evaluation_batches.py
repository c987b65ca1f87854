"""Evaluation batches: the frozen pairs of a protocol in their order.

Apart from `loader`, so that how pairs are drawn decides no training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from replication.data.loader import gather_batch
from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.errors import InputError

EXEMPLAR = "exemplar"
"""Field of the batches where pairs have one; "exemplar_<field>" are the optional fields of that image."""


def evaluation_fields(store: FaceStore, pairs: EvaluationPairs) -> frozenset[str]:
    """What `evaluation_batches` can add to image and mask: the store's fields, and the exemplar with its own."""
    own = store.fields - {"image"}
    if not pairs.has_exemplars:
        return own
    return own | {EXEMPLAR} | {f"{EXEMPLAR}_{field}" for field in own}


def evaluation_batches(
    store: FaceStore,
    masks: MaskStore | None,
    pairs: EvaluationPairs,
    bucket: str,
    batch_size: int,
    *,
    fields: Iterable[str] = (),
    per_bucket: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the frozen pairs of a bucket in order, as `gather_batch` does, never flipped.

    masks: needed for pairs of irregular holes. fields: of `evaluation_fields`.
    Adds `seeds` (list of B ints, one for whatever is drawn for an image), where pairs have one `exemplar` float32
    (B,3,H,W) in [-1,1], and int64 arrays `pairs` (number within the bucket), `image_rows`, `mask_rows`, `exemplar_rows`
    (-1: none) and float64 `ratios`.
    Raises InputError before the first batch if the pairs belong to other faces or masks, or a field is
    missing.
    """
    pairs.require(store, masks)
    if missing := sorted(set(fields) - {"image", "mask"} - evaluation_fields(store, pairs)):
        raise InputError(
            f"the pairs of protocol {pairs.protocol!r} bring no {', '.join(missing)}; "
            f"they bring {', '.join(sorted(evaluation_fields(store, pairs)))}"
        )
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: it has to be positive")
    return _evaluation_batches(store, masks, pairs, pairs.bucket(bucket, per_bucket), batch_size, frozenset(fields))


def _evaluation_batches(
    store: FaceStore,
    masks: MaskStore | None,
    pairs: EvaluationPairs,
    table: pd.DataFrame,
    batch_size: int,
    fields: frozenset[str],
) -> Iterator[dict[str, Any]]:
    columns = {"image_rows": "image_row", "mask_rows": "mask_row", "exemplar_rows": "exemplar_row", "ratios": "ratio"}
    of_exemplars = [name.removeprefix(f"{EXEMPLAR}_") for name in fields if name.startswith(f"{EXEMPLAR}_")]
    for start in range(0, len(table), batch_size):
        lines = table.iloc[start : start + batch_size]
        part = {name: lines[column].to_numpy() for name, column in columns.items()}
        batch = gather_batch(store, part["image_rows"], pairs.holes(lines, masks), fields=fields)
        if pairs.has_exemplars:
            other = gather_batch(store, part["exemplar_rows"], None, fields=of_exemplars)
            batch[EXEMPLAR] = other["image"]
            batch |= {f"{EXEMPLAR}_{name}": other[name] for name in of_exemplars}
        yield {**batch, **part, "seeds": lines["seed"].tolist(), "pairs": np.arange(start, start + len(lines))}
