"""How a trained MDRNet uses its memory: which slots each class reads, how sharply, and which slots are ever hit."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from replication.data.labels import CLASSES_14, COLOURS_14
from replication.drawing import style
from replication.drawing.scales import grey_where_absent
from replication.errors import InputError
from replication.methods.mdrnet.tensors import TOO_SMALL, checked, lost_classes

CLASS_NAMES = [name.replace("_", " ") for name in CLASSES_14]


def read_bounds(slots: int, temperature: float = 1.0) -> tuple[float, float]:
    """Smallest and largest weight that one of `slots` slots can get from a softmax over cosine similarities.

    Cosines lie in [-1, 1], so with temperature T logits differ by at most 2/T, and every weight lies between
    1/(1+(m-1)e^(2/T)) and e^(2/T)/(e^(2/T)+m-1). Both are attained (one slot opposite to all others).
    """
    ratio = math.exp(2.0 / temperature)
    return 1 / (1 + (slots - 1) * ratio), ratio / (ratio + slots - 1)


def lowest_entropy(slots: int, temperature: float = 1.0) -> float:
    """Smallest entropy (nats) of a softmax over `slots` cosine similarities: some slots at 1, all others at -1."""
    above = np.arange(1, slots + 1)  # slots at 1
    ratio = math.exp(-2 / temperature)  # weight of one at -1 over one at 1
    total = above + (slots - above) * ratio
    return float((np.log(total) + (slots - above) * ratio * (2 / temperature) / total).min())


def entropy(weights: np.ndarray) -> np.ndarray:
    """Entropy in nats of the distributions in the last axis (0 ln 0 = 0): 0 for one slot, ln m if uniform."""
    logs = np.log(np.where(weights > 0, weights, 1.0))
    return -(weights * logs).sum(axis=-1)


@style.styled
def memory_panel(tensors: Mapping[str, np.ndarray], *, title: str = "", temperature: float = 1.0) -> Figure:
    """Which slots each semantic reads, and how sharply. Needs weights, queries_present, labels, labels_grid.

    Left: weights relative to uniform (1 = every slot alike). Middle: each class's smallest and largest weight
    between the bounds of `read_bounds`. Right: entropy of the weights between `lowest_entropy` and ln m.
    """
    t = checked(tensors, ("weights", "queries_present", "labels", "labels_grid"))
    present = t["queries_present"].astype(bool)
    weights = np.where(present[:, None], t["weights"], np.nan)
    slots = weights.shape[1]
    figure = style.new_figure(11.5, 3.9, layout="constrained")
    figure.suptitle(headed("Memory reads", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
    grid, ranges, spread = figure.subplots(1, 3, width_ratios=(2.1, 1.2, 1))
    relative = weights * slots
    # White is uniform; both sides get the same scale in log, since a weight of 2/m is as far as one of
    # 1/(2m).
    reach = max(float(np.nanmax(np.abs(np.log2(np.maximum(relative, 1e-12))))), 0.05) if present.any() else 1.0
    cmap = grey_where_absent("RdBu_r")
    image = grid.imshow(
        np.log2(np.maximum(relative, 1e-12)),
        aspect="auto",
        cmap=cmap,
        norm=Normalize(-reach, reach),
        interpolation="nearest",
    )
    bar = figure.colorbar(image, ax=grid, pad=0.02)
    bar.set_label("weight / uniform")
    bar.ax.yaxis.set_major_formatter(lambda value, _position: f"{2**value:.2f}×")
    grid.set_title("weight of each slot (grey: nothing is read)")
    lost = lost_classes(t["labels"], t["labels_grid"])
    for row in np.flatnonzero(~present):
        words = TOO_SMALL if row in lost else "not in the image"
        grid.text((slots - 1) / 2, row, words, ha="center", va="center", fontsize=6.5, color=style.MUTED)
    grid.set_xlabel("slot")
    _class_axis(grid)

    low, high = read_bounds(slots, temperature)
    rows = np.flatnonzero(present)
    lowest, highest = weights[rows].min(axis=1), weights[rows].max(axis=1)
    ranges.hlines(rows, lowest, highest, color=style.MUTED, linewidth=1)
    ranges.plot(lowest, rows, "o", color=style.COLOURS[4], markersize=4, label="smallest")
    ranges.plot(highest, rows, "o", color=style.COLOURS[1], markersize=4, label="largest")
    for bound, words in ((low, "lower bound"), (1 / slots, "uniform 1/m"), (high, "upper bound")):
        ranges.axvline(
            bound,
            color=style.INK if words[0] == "u" and words[1] == "n" else style.MUTED,
            linewidth=0.8,
            linestyle=":" if "bound" in words else "-",
        )
        ranges.text(bound, -0.75, f" {words}\n {bound:.2g}", fontsize=6.5, color=style.MUTED, va="bottom", ha="center")
    ranges.set_xscale("log")
    ranges.set_xlim(min(low, lowest.min(initial=low)) / 1.35, max(high, highest.max(initial=high)) * 1.35)
    ranges.xaxis.set_major_locator(_few_ticks())
    ranges.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    ranges.xaxis.set_minor_formatter(lambda *_: "")
    ranges.set_title("range of the weights\n\n")
    ranges.set_xlabel(f"weight (bounds at temperature {temperature:g})")
    ranges.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    _class_axis(ranges, names=False)

    values = entropy(np.where(present[:, None], t["weights"], 0.0))
    least, most = lowest_entropy(slots, temperature), math.log(slots)
    margin = 0.12 * (most - least) or 0.1
    spread.barh(rows, values[rows], color=[COLOURS_14[i] / 255 for i in rows], edgecolor=style.MUTED, linewidth=0.4)
    for bound, words, line in ((least, "lowest possible", ":"), (most, f"uniform, ln {slots}", "-")):
        spread.axvline(bound, color=style.INK if line == "-" else style.MUTED, linewidth=0.8, linestyle=line)
        spread.text(bound, -0.75, f"{words}\n{bound:.3g}", fontsize=6.5, color=style.MUTED, va="bottom", ha="center")
    for row in rows:
        spread.text(
            least - 0.8 * margin,
            row,
            f"{math.exp(values[row]):.1f}",
            va="center",
            fontsize=6.5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        )
    spread.set_xlim(min(least, values[rows].min(initial=least)) - margin, most + margin)
    spread.set_title("entropy of the weights\n\n")
    spread.set_xlabel("nats, axis cut (in the bar: e^entropy slots)")
    _class_axis(spread, names=False)
    return figure


@style.styled
def slot_usage_panel(tensors: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """How often each slot was hit by an update, slots sorted per class. Needs hits.

    A memory that all classes share has equal rows and is drawn as one.
    """
    hits = checked(tensors, ("hits",))["hits"]
    if (hits < 0).any():
        raise InputError("tensor 'hits' holds counts and must not be negative.")
    shared = bool((hits == hits[0]).all()) and hits.any()
    rows, names = (hits[:1], ["shared by\nall classes"]) if shared else (hits, CLASS_NAMES)
    slots = hits.shape[1]
    figure = style.new_figure(11.5, 2.2 if shared else 3.7, layout="constrained")
    figure.suptitle(headed("Slot usage", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
    grid, counts, balance = figure.subplots(1, 3, width_ratios=(2.1, 1, 1))
    ordered = -np.sort(-rows, axis=1)
    top = max(float(rows.max()), 2.0)
    image = grid.imshow(
        np.where(ordered > 0, ordered, np.nan),
        aspect="auto",
        cmap=grey_where_absent("viridis"),
        norm=LogNorm(1, top),
        interpolation="nearest",
    )
    bar = figure.colorbar(image, ax=grid, pad=0.02)
    bar.set_label("hits (log)")
    bar.ax.yaxis.set_major_locator(_few_ticks())
    bar.ax.yaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    bar.ax.yaxis.set_minor_formatter(lambda *_: "")
    grid.set_title("hits of each slot, most used first (grey: never)")
    grid.set_xlabel("slot, sorted within its class")
    used = (rows > 0).sum(axis=1)
    total = rows.sum(axis=1, keepdims=True)
    perplexity = np.where(total[:, 0] > 0, np.exp(entropy(rows / np.maximum(total, 1))), 0.0)
    colours = [style.ACCENT] if shared else COLOURS_14 / 255
    for axes, values, name in (
        (counts, used, "slots ever hit"),
        (balance, perplexity, "perplexity of the hits"),
    ):
        axes.barh(range(len(rows)), values, color=colours, edgecolor=style.MUTED, linewidth=0.4)
        axes.axvline(slots, color=style.INK, linewidth=0.8)
        for row, value in enumerate(values):
            axes.text(
                value,
                row,
                f" {value:.0f}" if name.startswith("slots") else f" {value:.1f}",
                va="center",
                fontsize=7,
            )
        axes.set_xlim(0, slots * 1.12)
        axes.set_title(name)
        axes.set_xlabel(f"of {slots} (line)")
    for axes, show in ((grid, True), (counts, False), (balance, False)):
        _class_axis(axes, names=show, labels=names)
    return figure


def headed(what: str, title: str) -> str:
    """A panel's heading: what it shows, and of which pair if that is told."""
    return f"{what}: {title}" if title else what


def _class_axis(axes: Axes, *, names: bool = True, labels: list[str] | None = None) -> None:
    """Classes downwards on the y axis, as in a matrix."""
    labels = CLASS_NAMES if labels is None else labels
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels if names else [""] * len(labels))
    axes.tick_params(axis="y", length=0)


def _few_ticks() -> LogLocator:
    return LogLocator(subs=(1, 2, 5), numticks=6)
