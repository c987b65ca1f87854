"""Matrices with one row (or row and column) per semantic class, as heat maps on a diagram.

A strip of class colours stands beside the rows; rows of classes that the image lacks are grey.
"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from replication.data.labels import CLASSES_14, COLOURS_14
from replication.drawing import style
from replication.drawing.diagram import Box, Diagram
from replication.drawing.scales import grey_where_absent


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
) -> Box:
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
    return Box(x - strip / 2, y, width + strip, height)


def class_strips(d: Diagram, box: Box) -> Box:
    """Class colours along the left and upper edge of an n x n matrix; returns the box with its strips."""
    strip = 0.05
    x, y = box.x - (box.width + strip) / 2, box.y + (box.height + strip) / 2
    d.picture(x, box.y, COLOURS_14[:, None, :], width=strip, height=box.height)
    d.picture(box.x, y, COLOURS_14[None, :, :], width=box.width, height=strip)
    return Box(box.x - strip / 2, box.y + strip / 2, box.width + strip, box.height + strip)


def class_legend(d: Diagram, x: float, top: float, present: set[int], lost: set[int] = frozenset()) -> None:
    """The 14 class colours with their names; classes that the image lacks are pale, `lost` ones have a star."""
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
        words = name.replace("_", " ") + (" *" if i in lost else "")
        d.text(left + 0.24, y, words, colour=style.INK if here else "#a3abba", ha="left", size=7)
