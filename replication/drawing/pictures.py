"""Arrays as pictures: masked inputs, feature maps, label maps, and grids of faces enlarged pixel by pixel."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from replication.drawing import style
from replication.errors import InputError

PSNR_CAP = 100.0  # dB, printed for identical images (the cap of the evaluation protocol)


def masked_input(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 (H,W,3) picture with its holes (mask (H,W), 1 = hole) in the flat colour `style.HOLE`."""
    if image.shape[:2] != mask.shape:
        raise InputError(f"image of shape {image.shape} and mask of shape {mask.shape} do not belong together.")
    shown = image.copy()
    shown[mask > 0] = np.round(np.array(to_rgb(style.HOLE)) * 255).astype(np.uint8)
    return shown


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """PSNR in dB over all pixels and channels of two uint8 images (range 255; 100 dB for identical ones)."""
    error = np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2)
    return PSNR_CAP if error == 0 else min(PSNR_CAP, 10 * math.log10(255.0**2 / error))


def psnr_words(first: np.ndarray, second: np.ndarray) -> str:
    """The same in words, "PSNR 23.6 dB"."""
    return f"PSNR {psnr(first, second):.1f} dB"


def feature_rgb(*maps: np.ndarray) -> list[np.ndarray]:
    """Feature maps (C,H,W) as uint8 (H,W,3): their first three principal components as red, green, blue.

    Several maps (sizes may differ, C not) share one basis and one scale, so equal colours mean equal
    features. Component signs are fixed, values cut at the 1st and 99th percentile; absent components are
    mid-grey.
    """
    if not maps or len({m.shape[0] for m in maps}) != 1 or any(m.ndim != 3 for m in maps):
        raise InputError(f"feature maps must be (C,H,W) with one C; got {[m.shape for m in maps]}.")
    rows = np.concatenate([m.reshape(m.shape[0], -1).T for m in maps]).astype(np.float64)
    rows -= rows.mean(axis=0)
    variances, axes = np.linalg.eigh(rows.T @ rows / len(rows))
    axes = axes[:, ::-1][:, :3]
    kept = variances[::-1][:3] > 1e-12 * max(float(variances[-1]), 1e-30)
    # An eigenvector's sign is arbitrary: let its largest entry be positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    colours = np.full((len(rows), 3), 0.5)
    for component in np.flatnonzero(kept):
        values = rows @ axes[:, component]
        low, high = np.percentile(values, (1, 99))
        if high - low < 1e-12:  # a rare class alone may carry the component
            low, high = values.min(), values.max()
        colours[:, component] = np.clip((values - low) / max(high - low, 1e-30), 0, 1)
    pictures, start = [], 0
    for m in maps:
        count = m.shape[1] * m.shape[2]
        pixels = np.round(colours[start : start + count] * 255).astype(np.uint8)
        pictures.append(pixels.reshape(m.shape[1], m.shape[2], 3))
        start += count
    return pictures


def feature_energy(feature: np.ndarray) -> np.ndarray:
    """float (H,W): root mean square over the channels of a feature map (C,H,W)."""
    return np.sqrt(np.mean(feature.astype(np.float64) ** 2, axis=0))


@dataclass(frozen=True)
class Tile:
    """One picture of a grid: uint8 (S,S,3) or None for an experiment that was not run, and the words below
    it.
    """

    image: np.ndarray | None
    note: str = ""


def enlargement(size: int, least: int = 160) -> int:
    """The whole factor by which pictures of `size` pixels are enlarged: 3 at 64, 2 at 128, 1 from 160 on."""
    return max(1, math.ceil(least / size))


@style.styled
def picture_grid(
    rows: Sequence[Sequence[Tile]],
    *,
    columns: Sequence[str],
    title: str,
    row_labels: Sequence[str] | None = None,
    groups: Sequence[tuple[str, int]] = (),
    subtitle: str = "",
    footnote: str = "",
) -> Figure:
    """A grid of equally large pictures, each screen pixel belonging to one image pixel (at `style.DPI`).

    columns: words above the columns; row_labels: words left of the rows (turned by 90 degrees; equal
    neighbours are written once); groups: (words, number of columns) above the column titles, set apart.
    """
    size = next((tile.image.shape[0] for row in rows for tile in row if tile.image is not None), 64)
    tile = size * enlargement(size)
    gap, note, right, between = 10, 26, 14, 28
    left = 58 if row_labels else right
    group_of = [k for k, (_, span) in enumerate(groups) for _ in range(span)] or [0] * len(columns)
    lefts = [left + j * (tile + gap) + group_of[j] * between for j in range(len(columns))]
    width = lefts[-1] + tile + right
    words, small = (
        _wrapped(subtitle, width - left - right, 9.4),
        _wrapped(footnote, width - left - right, 8.2),
    )
    lines = 1 + max(text.count("\n") for text in columns)
    head = 50 + 20 * words.count("\n") + 24 * bool(words) + 40 * bool(groups) + 22 * lines
    foot = 12 + 20 * (small.count("\n") + 1) * bool(small)
    height = head + len(rows) * (tile + note + gap) + foot
    figure = style.new_figure(width / style.DPI, height / style.DPI)

    def write(x: float, y: float, text: str, **kwargs: object) -> None:
        """Text at pixels from the upper left corner."""
        figure.text(x / width, 1 - y / height, text, **kwargs)

    write(left, 14, title, fontsize=11, fontweight="bold", va="top")
    write(left, 44, words, fontsize=8, color=style.MUTED, va="top", linespacing=1.2)
    bold = {"ha": "center", "fontsize": 8.5, "fontweight": "bold"}
    for x, text in zip(lefts, columns, strict=True):
        write(x + tile / 2, head - 8, text, va="bottom", **bold)
    first = 0
    for text, span in groups:
        middle = (lefts[first] + lefts[first + span - 1] + tile) / 2
        write(middle, head - 14 - 22 * lines, text, va="bottom", color=style.ACCENT, **bold)
        first += span
    for i, row in enumerate(rows):
        top = head + i * (tile + note + gap)
        for x, picture in zip(lefts, row, strict=True):
            axes = figure.add_axes((x / width, 1 - (top + tile) / height, tile / width, tile / height))
            axes.set_axis_off()
            if picture.image is None:
                axes.add_patch(
                    Rectangle(
                        (0, 0),
                        1,
                        1,
                        transform=axes.transAxes,
                        facecolor="#f4f6f9",
                        edgecolor=style.FAINT,
                        hatch="//",
                    )
                )
                axes.text(
                    0.5,
                    0.5,
                    "not run",
                    transform=axes.transAxes,
                    ha="center",
                    va="center",
                    color=style.MUTED,
                    bbox={"facecolor": "#f4f6f9", "edgecolor": "none"},
                )
            else:
                axes.imshow(picture.image, interpolation="nearest", aspect="auto")
            if picture.note:
                below = {"ha": "center", "va": "top", "fontsize": 7, "color": style.MUTED}
                write(x + tile / 2, top + tile + 4, picture.note, **below)
    start = 0
    while row_labels and start < len(rows):  # one label for a run of rows with the same words
        stop = start
        while stop < len(rows) and row_labels[stop] == row_labels[start]:
            stop += 1
        middle = head + (start + stop) / 2 * (tile + note + gap) - (note + gap) / 2
        write(left / 2 - 4, middle, row_labels[start], rotation=90, va="center", **bold)
        start = stop
    write(left, height - foot + 2, small, fontsize=7, color=style.MUTED, va="top", linespacing=1.2)
    return figure


def _wrapped(text: str, width: float, letter: float) -> str:
    """Text in lines of at most `width` pixels, letters being about `letter` pixels wide."""
    return "\n".join(textwrap.wrap(text, max(20, int(width / letter)), break_long_words=False))
