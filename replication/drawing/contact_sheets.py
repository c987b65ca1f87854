"""Sheets that show what the data are: faces, parsing maps, masks."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from replication.data.labels import COLOURS
from replication.data.masks import BUCKETS, MaskStore
from replication.data.store import FaceStore
from replication.drawing import style
from replication.drawing.pictures import Tile, picture_grid


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of the rows, evenly spaced: the same choice every time, and not just the first people."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def _grid(tiles: list[Tile], columns: int, title: str, footnote: str = "") -> Figure:
    tiles = tiles + [Tile(np.full_like(tiles[0].image, 255))] * (-len(tiles) % columns)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return picture_grid(rows, columns=[""] * columns, title=title, footnote=footnote)


def face_sheet(store: FaceStore, *, split: str, count: int) -> Figure:
    """`count` faces of a split, evenly spaced over its rows."""
    rows = _evenly(store.rows(split), count)
    tiles = [Tile(np.asarray(store.images[row])) for row in rows]
    return _grid(tiles, 10, f"{store.card['name']}: {len(rows)} of {len(store.rows(split))} {split} faces")


def parsing_sheet(store: FaceStore, *, split: str, count: int) -> Figure:
    """Faces beside their parsing maps, in the 19 label colours."""
    tiles = []
    for row in _evenly(store.rows(split), count):
        tiles += [Tile(np.asarray(store.images[row])), Tile(COLOURS[np.asarray(store.parsing[row])])]
    return _grid(tiles, 8, f"{store.card['name']}: faces and their parsing maps ({split})")


def mask_sheet(masks: MaskStore, *, count: int) -> Figure:
    """Test masks of each bucket; white is the hole."""
    each = max(2, count // len(BUCKETS))
    rows = []
    for bucket in BUCKETS:
        free = masks.rows("test", bucket=bucket, touches_border=False)
        border = masks.rows("test", bucket=bucket, touches_border=True)
        chosen = [*_evenly(free, each // 2), *_evenly(border, each - each // 2)]
        ratio = masks.index[masks.index["split"] == "test"].set_index("row")["ratio"]
        tiles = [
            Tile(np.repeat(np.asarray(masks.test[row])[..., None] * np.uint8(255), 3, 2), f"{ratio[row]:.1%}")
            for row in chosen
        ]
        rows.append(tiles + [Tile(None)] * (each - len(tiles)))
    return picture_grid(
        rows,
        columns=[""] * each,
        row_labels=list(BUCKETS),
        title="Test masks by bucket (white = hole)",
        footnote="Left half: border free of holes; right half: holes reach the border. Ratio after resizing.",
    )


@style.styled
def ratio_histogram(masks: MaskStore) -> Figure:
    """How hole ratios are spread in both splits."""
    figure = style.new_figure(6.0, 2.6, layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(0, 60, 61)
    for split in ("train", "test"):
        ratios = 100 * masks.index.loc[masks.index["split"] == split, "ratio"]
        axes.hist(ratios, bins, histtype="step", label=f"{split} ({len(ratios)} masks)", density=True)
    for edge in (20, 40):
        axes.axvline(edge, color=style.MUTED, linewidth=0.6)
    axes.set(xlabel="hole ratio (% of pixels)", ylabel="share of masks per %", title="Hole ratios of the masks")
    axes.legend()
    return figure
