"""Boxes, arrows and thumbnails on one canvas: the parts that the dataflow figures are drawn with.

A diagram has one axis in inches, origin at the lower left; every box is placed by its centre.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from replication.drawing import style

BLUE, PINK, GREEN = "#0b62b8", "#c2407f", "#1a8f5a"
_LABEL = 7.2  # points


@dataclass(frozen=True)
class Box:
    """The room that something takes on the canvas: centre and size in inches."""

    x: float
    y: float
    width: float
    height: float

    def side(self, name: str, shift: float = 0.0) -> tuple[float, float]:
        """Middle of a side ("left", "right", "top", "bottom"), moved along that side by `shift` inches."""
        across, up = {"left": (-1, 0), "right": (1, 0), "top": (0, 1), "bottom": (0, -1)}[name]
        along_x, along_y = (0.0, shift) if across else (shift, 0.0)
        return self.x + across * self.width / 2 + along_x, self.y + up * self.height / 2 + along_y


class Diagram:
    """A canvas of `width` x `height` inches below a title and what was run: the header takes the room that it needs.

    Coordinates are those of the canvas; the header lies above it.
    """

    def __init__(self, width: float, height: float, *, title: str, subtitle: str = "") -> None:
        lines = textwrap.wrap(subtitle, int(width * 18))
        head = 0.42 + 0.13 * len(lines)
        self._size = width, height + head
        self.figure: Figure = style.new_figure(*self._size)
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self._full_view()
        self.axes.set_axis_off()
        self.axes.text(0.2, height + head - 0.12, title, fontsize=12, fontweight="bold", va="top")
        below = {"fontsize": 7, "color": style.MUTED, "va": "top", "linespacing": 1.15}
        self.axes.text(0.2, height + head - 0.36, "\n".join(lines), **below)

    def _full_view(self) -> None:
        self.axes.set_xlim(0, self._size[0])
        self.axes.set_ylim(0, self._size[1])

    def lane(self, x: float, y: float, width: float, height: float, title: str, colour: str, note: str = "") -> None:
        """A tinted panel (x, y its lower left corner) with its name and a short explanation in the upper
        left.
        """
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.12",
                linewidth=0.8,
                facecolor=_tint(colour),
                edgecolor=_tint(colour, 0.35),
                zorder=0,
            )
        )
        self.axes.text(x + 0.12, y + height - 0.1, title, fontsize=8.5, fontweight="bold", color=colour, va="top")
        self.axes.text(x + 0.12, y + height - 0.32, note, fontsize=7, color=style.MUTED, va="top", linespacing=1.35)

    def box(self, x: float, y: float, text: str, *, width: float = 1.05, height: float = 0.62) -> Box:
        """An operation."""
        self.axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                facecolor="white",
                edgecolor=style.INK,
                boxstyle="round,pad=0,rounding_size=0.07",
                linewidth=0.9,
                zorder=3,
            )
        )
        self.axes.text(x, y, text, ha="center", va="center", fontsize=7.2, zorder=4, linespacing=1.2)
        return Box(x, y, width, height)

    def operator(self, x: float, y: float, symbol: str) -> Box:
        """A circled sign, as in the paper's figures."""
        size = 0.26
        self.axes.text(
            x,
            y,
            symbol,
            ha="center",
            va="center",
            fontsize=9,
            zorder=4,
            bbox={
                "boxstyle": "circle,pad=0.12",
                "facecolor": "white",
                "edgecolor": style.INK,
                "linewidth": 0.9,
            },
        )
        return Box(x, y, size, size)

    def picture(
        self,
        x: float,
        y: float,
        image: np.ndarray,
        label: str = "",
        *,
        width: float = 1.05,
        height: float | None = None,
        note: str = "",
        cmap: str | Colormap = "viridis",
        norm: Normalize | None = None,
        frame: str = style.INK,
    ) -> Box:
        """A tensor: (H,W,3) uint8 as it is, (H,W) through `cmap`. label above, note (shape, number) below."""
        height = width if height is None else height
        extent = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
        self.axes.imshow(image, extent=extent, aspect="auto", interpolation="nearest", cmap=cmap, norm=norm, zorder=2)
        self.axes.add_patch(
            Rectangle((extent[0], extent[2]), width, height, fill=False, edgecolor=frame, linewidth=0.7, zorder=3)
        )
        self._full_view()  # imshow narrows the view to what it draws
        if label:
            self.axes.text(x, extent[3] + 0.07, label, ha="center", va="bottom", fontsize=_LABEL, linespacing=1.15)
        if note:
            self.axes.text(x, extent[2] - 0.05, note, ha="center", va="top", fontsize=6.5, color=style.MUTED)
        return Box(x, y, width, height)

    def scale(
        self,
        x: float,
        y: float,
        norm: Normalize,
        *,
        cmap: str | Colormap = "viridis",
        words: str = "",
        width: float = 0.9,
    ) -> None:
        """A colour scale: a bar centred at (x, y) with its ends below and `words` above; "log" where it is one."""
        low, high = float(norm.vmin), float(norm.vmax)
        values = np.asarray(norm.inverse(np.linspace(0, 1, 128)), dtype=float)[None, :]
        self.picture(x, y, values, width=width, height=0.07, cmap=cmap, norm=norm)
        small = {"size": 5.8, "colour": style.MUTED}
        self.text(x - width / 2, y - 0.06, _number(low), ha="left", va="top", **small)
        self.text(x + width / 2, y - 0.06, _number(high), ha="right", va="top", **small)
        logarithmic = isinstance(norm, LogNorm)
        if logarithmic:
            self.text(x, y - 0.06, "log", va="top", **small)
        elif low < 0 < high:
            middle = x - width / 2 + width * float(norm(0.0))
            self.text(middle, y - 0.06, "0", va="top", **small)
        if words:
            self.text(x, y + 0.05, words, va="bottom", **small)

    def arrow(
        self,
        points: Sequence[tuple[float, float]],
        *,
        colour: str = style.INK,
        label: str = "",
        dashed: bool = False,
        width: float = 1.1,
    ) -> None:
        """An arrow along straight pieces through `points`; the label stands over the middle of the longest
        one.
        """
        line = "--" if dashed else "-"
        if len(points) > 2:
            xs, ys = zip(*points[:-1], strict=True)
            self.axes.plot(xs, ys, color=colour, linewidth=width, linestyle=line, zorder=2.5, solid_joinstyle="round")
        self.axes.add_patch(
            FancyArrowPatch(
                points[-2],
                points[-1],
                arrowstyle="-|>",
                mutation_scale=8,
                shrinkA=0,
                shrinkB=1.5,
                color=colour,
                linewidth=width,
                linestyle=line,
                zorder=2.6,
            )
        )
        if label:
            pieces = list(itertools.pairwise(points))
            (x0, y0), (x1, y1) = max(pieces, key=lambda p: abs(p[0][0] - p[1][0]) + abs(p[0][1] - p[1][1]))
            self.text((x0 + x1) / 2, (y0 + y1) / 2 + 0.04, label, colour=colour, va="bottom")

    def link(self, start: Box, end: Box, **kwargs: object) -> None:
        """A straight arrow between facing sides of two boxes in one row or one column."""
        if abs(start.y - end.y) < 1e-6 or abs(start.x - end.x) > (start.width + end.width) / 2:
            sides = ("right", "left") if start.x < end.x else ("left", "right")
        else:
            sides = ("bottom", "top") if start.y > end.y else ("top", "bottom")
        self.arrow([start.side(sides[0]), end.side(sides[1])], **kwargs)

    def text(
        self, x: float, y: float, text: str, *, colour: str = style.INK, size: float = 7.0, **kwargs: object
    ) -> None:
        """Free words at a point (centred unless told)."""
        self.axes.text(
            x,
            y,
            text,
            **({"ha": "center", "va": "center", "zorder": 5} | kwargs),
            fontsize=size,
            color=colour,
        )


def _number(value: float) -> str:
    return f"{value:.2g}"


def _tint(colour: str, strength: float = 0.07) -> tuple[float, ...]:
    """The colour mixed into white."""
    return tuple(1 - strength * (1 - channel) for channel in to_rgb(colour))
