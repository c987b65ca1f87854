"""One look for every figure, and files whose bytes depend only on what is drawn.

No `pyplot`: figures are plain `matplotlib.figure.Figure` objects, so drawing hundreds of them keeps no global
state, and a notebook shows one by naming it in the last line of a cell.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure

from replication.atomic import atomic_file

# It reports every substituted glyph of a formula.
logging.getLogger("matplotlib.mathtext").setLevel(logging.ERROR)

INK = "#1d2433"
MUTED = "#667085"
FAINT = "#d5dae3"
PAPER = "#ffffff"
ACCENT = "#0b6bcb"
HOLE = "#e9ecf1"  # what a hole looks like in a masked input: no face has this flat grey-white

# Okabe and Ito's first six without yellow, whose lines vanish on white, and two dark ones: any two can be told apart
# with deuteranopia too (a test).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#450976", "#2D4D1F")
LINE_STYLES = ("-", "--", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")

DPI = 150

_RC = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that every machine draws the same letters
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "image.interpolation": "nearest",
    "image.cmap": "viridis",
    "svg.hashsalt": "replication",  # else element ids are random and the bytes change every time
    "svg.fonttype": "path",
}

_P = ParamSpec("_P")
_T = TypeVar("_T")


def styled(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a drawing function under the house style, and leave the caller's rcParams as they were."""

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with matplotlib.rc_context(_RC):
            return function(*args, **kwargs)

    return run


def new_figure(width: float, height: float, *, layout: str | None = None) -> Figure:
    """An empty figure of `width` x `height` inches at the house resolution (call it inside `styled`)."""
    return Figure(figsize=(width, height), dpi=DPI, layout=layout)


@styled
def figure_bytes(
    figure: Figure, *, kind: str = "png", dpi: int = DPI, title: str = "", caption: str = "", alt: str = ""
) -> bytes:
    """The figure as PNG or SVG (`kind`); equal figures give equal bytes (no date, no program version inside).

    Title, caption and alternative text go into the PNG's own text chunks (Title, Description, Alt), so that a
    picture that leaves the project keeps its description; `read_description` gets them back.
    """
    buffer = io.BytesIO()
    if kind == "png":
        words = {"Title": title, "Description": caption, "Alt": alt}
        metadata = {"Software": None} | {key: text for key, text in words.items() if text}
        figure.savefig(buffer, format="png", dpi=dpi, metadata=metadata)
    elif kind == "svg":
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Title": title or None})
    else:
        raise ValueError(f"kind is {kind!r}; allowed are png and svg")
    return buffer.getvalue()


def save_figure(
    figure: Figure, path: str | Path, *, title: str, caption: str, alt: str, svg: bool = False, dpi: int = DPI
) -> Path:
    """Write `path` (.png) atomically, and with `svg` its vector twin beside it; return the PNG's path.

    Raises:
        ValueError: the caption does not end as a sentence does: it was cut.
    """
    if not caption.endswith((".", "?", "!")):
        raise ValueError(f"{path}: the caption {caption!r} does not end in a full sentence")
    path = Path(path).with_suffix(".png")
    kinds = ("png", "svg") if svg else ("png",)
    for kind in kinds:
        content = figure_bytes(figure, kind=kind, dpi=dpi, title=title, caption=caption, alt=alt)
        with atomic_file(path.with_suffix(f".{kind}")) as temporary:
            temporary.write_bytes(content)
    return path


def read_description(path: str | Path) -> dict[str, str]:
    """Title, caption and alternative text of a PNG written by `save_figure` (missing ones are empty)."""
    from PIL import Image

    with Image.open(path) as image:
        text = {key: str(value) for key, value in image.info.items() if isinstance(key, str)}
    return {
        "title": text.get("Title", ""),
        "caption": text.get("Description", ""),
        "alt": text.get("Alt", ""),
    }
