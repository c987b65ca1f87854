"""Matrices with one row (or row and column) per semantic class, as heat maps on a diagram.

A strip of class colours stands beside the rows; rows of classes that the image lacks are grey.
"""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm
from matplotlib.patches import Rectangle

from replication.data.labels import CLASSES_14, COLOURS_14
from replication.drawing import style
from replication.drawing.diagram import Diagram, Part

_ABSENT = "#e3e6ec"


def shape_words(array: np.ndarray) -> str:
    """An array's shape as words, "64 × 32 × 32"."""
    return " × ".join(str(size) for size in array.shape)


def symmetric_scale(*arrays: np.ndarray) -> TwoSlopeNorm:
    """A common scale around zero; it ends at the 99th percentile of the magnitudes, so an outlier is cut."""
    top = max(float(np.percentile(np.abs(np.concatenate([a.ravel() for a in arrays])), 99)), 1e-12)
    return TwoSlopeNorm(0.0, -top, top)


def finite_range(*arrays: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value of all arrays, never equal; (0, 1) when there is none."""
    values = np.concatenate([a.ravel() for a in arrays])
    values = values[np.isfinite(values)]
    return (float(values.min()), max(float(values.max()), float(values.min()) + 1e-12)) if values.size else (0.0, 1.0)


def grey_where_absent(name: str) -> Colormap:
    """A colour map that draws NaN (absent) in grey."""
    return matplotlib.colormaps[name].with_extremes(bad=_ABSENT)


def present_rows(matrix: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The matrix (n,...) with NaN in the rows whose flag in `present` (n) is 0."""
    return np.where(present.astype(bool)[:, None], matrix, np.nan)


def class_matrix(
    d: Diagram,
    x: float,
    y: float,
    matrix: np.ndarray,
    label: str,
    present: np.ndarray,
    norm: Normalize,
    *,
    width: float = 1.1,
    note: str = "",
) -> Part:
    """An n x c matrix as a heat map, one row per class, a strip of class colours at its left."""
    height = 0.72
    d.picture(
        x,
        y,
        present_rows(matrix, present),
        label,
        width=width,
        height=height,
        cmap=grey_where_absent("RdBu_r"),
        norm=norm,
        note=note,
    )
    strip = 0.07
    d.picture(x - width / 2 - strip / 2, y, COLOURS_14[:, None, :], width=strip, height=height)
    return Part(x - strip / 2, y, width + strip, height)


def class_strips(d: Diagram, part: Part) -> Part:
    """Class colours along the left and upper edge of an n x n matrix; returns the part with its strips."""
    strip = 0.05
    x, y = part.x - (part.width + strip) / 2, part.y + (part.height + strip) / 2
    d.picture(x, part.y, COLOURS_14[:, None, :], width=strip, height=part.height)
    d.picture(part.x, y, COLOURS_14[None, :, :], width=part.width, height=strip)
    return Part(part.x - strip / 2, part.y + strip / 2, part.width + strip, part.height + strip)


def class_legend(d: Diagram, x: float, top: float, present: set[int]) -> None:
    """The 14 class colours with their names; classes that the image lacks are pale."""
    for i, (name, colour) in enumerate(zip(CLASSES_14, COLOURS_14, strict=True)):
        left, y = x + (i // 7) * 1.55 - 0.5, top - (i % 7) * 0.175
        here = i in present
        d.axes.add_patch(
            Rectangle(
                (left, y - 0.055),
                0.16,
                0.11,
                facecolor=colour / 255,
                alpha=1 if here else 0.25,
                edgecolor=style.MUTED,
                linewidth=0.4,
                zorder=3,
            )
        )
        d.text(left + 0.24, y, name.replace("_", " "), colour=style.INK if here else "#a3abba", ha="left", size=7)
