"""Showing figures inside notebooks with the same bytes as on disk."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure

from replication.drawing.style import figure_bytes


def show(*figures: Figure | Iterable[Figure]) -> None:
    """Display figures as PNG outputs of the cell; equal figures give equal bytes."""
    from IPython.display import Image, display

    for item in figures:
        for figure in [item] if isinstance(item, Figure) else item:
            display(Image(data=figure_bytes(figure)))
