"""A sheet that shows what a protocol measures: images with their holes, and their exemplars."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.drawing.pictures import Tile, masked_input, picture_grid


def pair_sheet(store: FaceStore, masks: MaskStore | None, pairs: EvaluationPairs, *, count: int = 6) -> Figure:
    """The first pairs of each bucket, a row each; where pairs have exemplars, those in a row below."""
    rows, words = [], []
    for bucket in pairs.buckets:
        table = pairs.bucket(bucket, count)
        shown = zip(table["image_row"], pairs.holes(table, masks), table["ratio"], strict=True)
        rows.append([Tile(masked_input(np.asarray(store.images[k]), hole), f"{ratio:.1%}") for k, hole, ratio in shown])
        words.append(bucket)
        if pairs.has_exemplars:
            rows.append([Tile(np.asarray(store.images[k])) for k in table["exemplar_row"]])
            words.append("exemplar")
    title = f"Protocol {pairs.protocol} on {store.name}: the first pairs, with the share of the hole"
    return picture_grid(rows, columns=[""] * len(rows[0]), row_labels=words, title=title)
