"""Every named tensor of one pass through any system, drawn by its kind: what a new system is shown with for nothing.

Arrays come in, without a batch axis; each is shown with its name, what it means, its shape and its range. Tensors of
like kinds share a page; a page that would get too long goes on on the next one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from replication.data.labels import CLASSES_14, COLOURS, COLOURS_14, LABELS
from replication.drawing import style
from replication.drawing.pictures import feature_energy, feature_rgb
from replication.drawing.scales import ABSENT, grey_where_absent, shape_words
from replication.errors import InputError

AXES = {
    "picture": ("3", "H", "W"),
    "mask": ("1", "H", "W"),
    "labels": ("H", "W"),
    "map": ("c", "h", "w"),
    "matrix": ("n", "m"),
    "vectors": ("n", "d"),
    "flags": ("n",),
    "scalar": (),
}
"""kind (`replication.methods.KINDS`) -> the axes of a tensor of one image."""


@dataclass(frozen=True)
class NamedTensor:
    """One tensor of one image.

    kind: key of `AXES`. meaning: in words, with the paper's symbol. array: of the kind's axes. names: of the classes of
    labels, or of the rows of a matrix, of vectors or of flags; empty where they have none.
    """

    name: str
    kind: str
    meaning: str
    array: np.ndarray
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in AXES:
            raise InputError(f"tensor {self.name!r}: its kind is {self.kind!r}, allowed are {', '.join(AXES)}")
        wanted, shape = AXES[self.kind], self.array.shape
        fits = len(shape) == len(wanted)
        fits = fits and all(size == int(axis) for size, axis in zip(shape, wanted, strict=True) if axis.isdecimal())
        if not fits or 0 in shape:
            batch = ", ".join(("B", *wanted))
            raise InputError(
                f"tensor {self.name!r} is declared as {self.kind}, whose shape is ({batch}); it has "
                f"({', '.join(['B', *map(str, shape)])})"
            )

    @property
    def finite(self) -> np.ndarray:
        """float64 copy with 0 in place of what is not finite."""
        return np.nan_to_num(self.array.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)

    @property
    def lost(self) -> int:
        """How many values are not finite."""
        return int((~np.isfinite(self.array)).sum())

    def numbers(self) -> str:
        """Shape and range in words, a scalar's value; says how many values are not finite, if any."""
        values = self.array[np.isfinite(self.array)]
        lost = f"; {self.lost} NOT FINITE" if self.lost else ""
        if not self.array.ndim:
            return f"{self.array.item():.6g}{lost}"
        span = f"{_short(values.min())} to {_short(values.max())}" if values.size else "no finite value"
        return f"{shape_words(self.array)}, {span}{lost}"


@dataclass(frozen=True)
class _Page:
    """How the tensors of some kinds are laid out: cells of `width` x `height` inches, `across` of them in a row.

    draw: draws one tensor into the part of the figure that is its own.
    """

    words: str
    kinds: tuple[str, ...]
    across: int
    height: float
    draw: Callable[[SubFigure, NamedTensor], None]
    down: int = 3


_WIDTH = 11.5  # inches of every page, what a notebook shows without scrolling sideways


def trace_pages(tensors: Sequence[NamedTensor], *, title: str = "") -> dict[str, Figure]:
    """Every tensor on pages by kind: "images", "maps", "matrices" and "values", a second one "images_2" and so on.

    title: names what was run.
    """
    pages: dict[str, Figure] = {}
    for key, page in _PAGES.items():
        own = [tensor for tensor in tensors if tensor.kind in page.kinds]
        room = page.across * page.down
        for number, start in enumerate(range(0, len(own), room), 1):
            name = key if number == 1 else f"{key}_{number}"
            more = f" ({number} of {-(-len(own) // room)})" if len(own) > room else ""
            pages[name] = _draw_page(page, own[start : start + room], f"{page.words}{more}", title)
    return pages


@style.styled
def _draw_page(page: _Page, tensors: Sequence[NamedTensor], words: str, title: str) -> Figure:
    rows = -(-len(tensors) // page.across)
    head = 0.36
    height = rows * page.height + head
    figure = style.new_figure(_WIDTH, height, layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - head / height), w_pad=0.06, h_pad=0.05)
    heading = f"{words}: {title}" if title else words
    figure.text(0.06 / _WIDTH, 1 - 0.1 / height, heading, fontsize=11, fontweight="bold", va="top")
    cells = np.atleast_2d(figure.subfigures(rows, page.across, squeeze=False))
    wide = int(_WIDTH / page.across * 15)  # letters of a caption's line
    captions = [[*textwrap.wrap(tensor.meaning, wide), tensor.numbers()] for tensor in tensors]
    for number, (cell, tensor) in enumerate(zip(cells.ravel(), tensors, strict=False)):
        page.draw(cell, tensor)
        colour = style.COLOURS[1] if tensor.lost else style.INK
        cell.suptitle(tensor.name, fontsize=9, fontweight="bold", color=colour)
        # Captions of a row take equal room, so that its pictures are equally large.
        row = number // page.across * page.across
        lines = max(map(len, captions[row : row + page.across]))
        words = "\n".join(captions[number] + [" "] * (lines - len(captions[number])))
        cell.supxlabel(words, fontsize=7, color=style.MUTED)
    return figure


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _image(cell: SubFigure, tensor: NamedTensor) -> None:
    """A picture, a mask (white = 1) or a label map with the classes that it has."""
    axes = cell.subplots()
    _bare(axes)
    if tensor.kind == "picture":
        signed = tensor.finite.transpose(1, 2, 0)
        axes.imshow(np.round((signed.clip(-1, 1) + 1) * 127.5).astype(np.uint8))
    elif tensor.kind == "mask":
        axes.imshow(tensor.finite[0], cmap="gray", norm=Normalize(0, 1))
    else:
        names, colours = _classes(tensor)
        axes.imshow(colours[tensor.array.astype(np.int64)])
        here = np.unique(tensor.array.astype(np.int64))
        handles = [
            Patch(facecolor=colours[i] / 255, edgecolor=style.MUTED, linewidth=0.4, label=names[i]) for i in here
        ]
        axes.legend(
            handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=5.6, handlelength=0.9,
            labelspacing=0.25, borderaxespad=0, handletextpad=0.4,
        )  # fmt: skip


def _map(cell: SubFigure, tensor: NamedTensor) -> None:
    """A feature map twice: its first three principal components as colours, and its strength."""
    colours, strength = cell.subplots(1, 2)
    features = tensor.finite
    colours.imshow(feature_rgb(features)[0])
    colours.set_title("principal components", loc="center", fontsize=7, fontweight="normal")
    energy = feature_energy(features)
    image = strength.imshow(energy, cmap="magma", norm=Normalize(0, max(float(energy.max()), 1e-12)))
    strength.set_title("RMS over channels", loc="center", fontsize=7, fontweight="normal")
    cell.colorbar(image, ax=strength, shrink=0.8, pad=0.02).ax.tick_params(labelsize=6)
    for axes in (colours, strength):
        _bare(axes)


def _matrix(cell: SubFigure, tensor: NamedTensor) -> None:
    """A heat map: around 0 where something is negative, else over its own range; the ends cut single outliers."""
    axes = cell.subplots()
    values = np.where(np.isfinite(tensor.array), tensor.array, np.nan).astype(np.float64)
    known = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
    signed = known.min() < 0
    top = max(float(np.percentile(np.abs(known), 99.5)), 1e-12)
    low = -top if signed else float(known.min())
    norm = Normalize(low, top if top > low else low + 1e-12)
    cmap = grey_where_absent("RdBu_r" if signed else "viridis")
    image = axes.imshow(values, aspect="auto", interpolation="nearest", cmap=cmap, norm=norm)
    bar = cell.colorbar(image, ax=axes, pad=0.02, extend="both" if signed else "max")
    bar.ax.tick_params(labelsize=6)
    bar.ax.yaxis.set_major_formatter(lambda value, _position: f"{value:.4g}")
    if len(tensor.names) == len(values) <= 32:
        axes.set_yticks(range(len(values)), _spaced(tensor.names), fontsize=6)
    axes.tick_params(length=0, labelsize=6)


def _value(cell: SubFigure, tensor: NamedTensor) -> None:
    """Flags as a row of filled and empty squares with their names; a scalar as a number."""
    axes = cell.subplots()
    _bare(axes)
    if tensor.kind == "scalar":
        axes.text(0.5, 0.5, tensor.numbers(), ha="center", va="center", fontsize=13, transform=axes.transAxes)
        return
    filled = tensor.finite > 0.5
    colours = np.where(filled[None, :, None], _rgb(style.ACCENT), _rgb(ABSENT))
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    for edge in range(1, len(filled)) if len(filled) <= 64 else ():
        axes.axvline(edge - 0.5, color=style.PAPER, linewidth=0.8)
    if len(tensor.names) == len(filled) <= 32:
        axes.set_xticks(range(len(filled)), _spaced(tensor.names), rotation=55, ha="right", fontsize=6)
        axes.tick_params(length=0)


_PAGES: Mapping[str, _Page] = {
    "images": _Page("Pictures, masks and labels", ("picture", "mask", "labels"), 4, 3.0, _image),
    "maps": _Page("Feature maps", ("map",), 2, 3.0, _map),
    "matrices": _Page("Matrices and vectors", ("matrix", "vectors"), 3, 3.1, _matrix),
    "values": _Page("Flags and scalars", ("flags", "scalar"), 3, 1.5, _value, 6),
}


def _classes(tensor: NamedTensor) -> tuple[Sequence[str], np.ndarray]:
    """Names and colours (n,3) uint8 of a label map's classes: those of the parser where it has no names of its own.

    Raises:
        InputError: a label without a name.
    """
    names = tensor.names or LABELS
    low, high = int(tensor.array.min()), int(tensor.array.max())
    if low < 0 or high >= len(names):
        wrong = low if low < 0 else high
        raise InputError(f"tensor {tensor.name!r}: has the label {wrong}; labels are from 0 to {len(names) - 1}")
    if tuple(names) == CLASSES_14:
        return _spaced(names), COLOURS_14
    if tuple(names) == LABELS:
        return _spaced(names), COLOURS
    wheel = matplotlib.colormaps["tab20"](np.arange(len(names)) % 20)[:, :3]
    return _spaced(names), np.round(wheel * 255).astype(np.uint8)


def _spaced(names: Sequence[str]) -> list[str]:
    return [name.replace("_", " ") for name in names]


def _rgb(colour: str) -> np.ndarray:
    return np.array(matplotlib.colors.to_rgb(colour))


def _short(value: np.generic) -> str:
    return f"{value:.3g}" if value.dtype.kind == "f" else str(int(value))
