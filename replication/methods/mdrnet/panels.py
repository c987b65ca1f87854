"""Panels that look inside one pass of a trained MDRNet: what it sees, reads, correlates, injects, and gets
wrong.

Every panel takes the dict of arrays that `replication.methods.mdrnet.tensors.MDRNET` describes and needs only the
keys named in its docstring, so networks without a memory or without correlation mining can be inspected too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator

from replication.data.labels import CLASSES_14, COLOURS_14, colourise
from replication.drawing import style
from replication.drawing.pictures import feature_energy, feature_rgb, masked_input, psnr
from replication.errors import InputError
from replication.methods.mdrnet.class_matrices import grey_where_absent
from replication.methods.mdrnet.correlation_figure import central_hole_patch, patch_grid
from replication.methods.mdrnet.tensors import checked

_NAMES = [name.replace("_", " ") for name in CLASSES_14]


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
def overview_panel(tensors: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """Input, coarse face, its parsing with a legend, raw output, completion and truth.

    Needs image, mask, coarse, labels, refined, completed.
    """
    t = checked(tensors, ("image", "mask", "coarse", "labels", "refined", "completed"))
    figure = style.new_figure(11.5, 2.95, layout="constrained")
    figure.suptitle(title or "One pass", x=0.005, ha="left", fontsize=11, fontweight="bold")
    axes = figure.subplots(1, 6)
    pictures = (
        ("masked input", masked_input(t["image"], t["mask"]), f"hole {100 * t['mask'].mean():.0f}%"),
        ("coarse face", t["coarse"], f"{psnr(t['coarse'], t['image']):.1f} dB"),
        ("parsing of the coarse face", colourise(t["labels"], 14), ""),
        ("raw output", t["refined"], f"{psnr(t['refined'], t['image']):.1f} dB"),
        ("completed", t["completed"], f"{psnr(t['completed'], t['image']):.1f} dB"),
        ("ground truth", t["image"], ""),
    )
    for panel, (name, image, note) in zip(axes, pictures, strict=True):
        _show(panel, image, name, note)
    shown = np.unique(t["labels"])
    handles = [
        Patch(facecolor=COLOURS_14[i] / 255, edgecolor=style.MUTED, linewidth=0.4, label=_NAMES[i]) for i in shown
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 14),
        fontsize=7,
        handlelength=1.0,
        columnspacing=1.1,
    )
    return figure


@style.styled
def memory_panel(tensors: Mapping[str, np.ndarray], *, title: str = "", temperature: float = 1.0) -> Figure:
    """Which slots each semantic reads, and how sharply. Needs weights, queries_present.

    Left: weights relative to uniform (1 = every slot alike). Middle: each class's smallest and largest weight
    between the bounds of `read_bounds`. Right: entropy of the weights between `lowest_entropy` and ln m.
    """
    t = checked(tensors, ("weights", "queries_present"))
    present = t["queries_present"].astype(bool)
    weights = np.where(present[:, None], t["weights"], np.nan)
    slots = weights.shape[1]
    figure = style.new_figure(11.5, 3.9, layout="constrained")
    figure.suptitle(_headed("Memory reads", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
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
    grid.set_title("weight of each slot (grey: class not in the image)")
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
    rows, names = (hits[:1], ["shared by\nall classes"]) if shared else (hits, _NAMES)
    slots = hits.shape[1]
    figure = style.new_figure(11.5, 2.2 if shared else 3.7, layout="constrained")
    figure.suptitle(_headed("Slot usage", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
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


@style.styled
def correlation_panel(tensors: Mapping[str, np.ndarray], *, patch: int | None = None, title: str = "") -> Figure:
    """What one hole patch takes from the rest of the face, and how widely every patch looks.

    Needs image, mask, completed, mask_grid, attention. patch: row by row; by default `central_hole_patch`.
    Raises InputError for a patch outside the grid.
    """
    t = checked(tensors, ("image", "mask", "completed", "mask_grid", "attention"))
    count = len(t["attention"])
    rows, columns = patch_grid(t["mask_grid"], count)
    patch = central_hole_patch(t["mask_grid"], count) if patch is None else patch
    if not 0 <= patch < count:
        raise InputError(f"patch {patch}: the grid has patches 0 to {count - 1}.")
    weights = t["attention"][patch]
    size = t["image"].shape[0]
    figure = style.new_figure(11.5, 3.3, layout="constrained")
    figure.suptitle(_headed(f"Correlation of patch {patch}", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
    where, taken, over, width = figure.subplots(1, 4)
    _show(where, masked_input(t["image"], t["mask"]), "the patch (framed)", "")
    extent = (-0.5, t["image"].shape[1] - 0.5, size - 0.5, -0.5)
    relative = weights.reshape(rows, columns) * count
    image = taken.imshow(
        relative,
        extent=extent,
        cmap="magma",
        norm=Normalize(0, max(float(relative.max()), 1.0)),
        interpolation="nearest",
    )
    _show(taken, None, "weight of every patch", "")
    figure.colorbar(image, ax=taken, shrink=0.75, pad=0.02).set_label("weight / uniform")
    _show(over, t["completed"], "the same over the result", "")
    strength = relative / relative.max()
    over.imshow(strength, extent=extent, cmap="magma", alpha=np.clip(strength, 0, 1) * 0.85, interpolation="nearest")
    spread = np.exp(entropy(t["attention"])).reshape(rows, columns)
    image = width.imshow(spread, extent=extent, cmap="viridis", norm=Normalize(1, count), interpolation="nearest")
    _show(width, None, "patches attended, per patch", "")
    figure.colorbar(image, ax=width, shrink=0.75, pad=0.02).set_label("e^entropy of its row")
    share = t["mask_grid"].reshape(rows, t["mask_grid"].shape[0] // rows, columns, -1).mean(axis=(1, 3)).ravel()
    known = float(weights[share == 0].sum())
    where.set_xlabel(f"{100 * share[patch]:.0f}% of it is hole")
    taken.set_xlabel(
        f"{100 * known:.0f}% of the weight on wholly known patches,\nwhich are {100 * (share == 0).mean():.0f}% of all"
    )
    for axes in (where, taken, over):
        box_width, box_height = t["image"].shape[1] / columns, size / rows
        corner = (patch % columns * box_width - 0.5, patch // columns * box_height - 0.5)
        axes.add_patch(Rectangle(corner, box_width, box_height, fill=False, edgecolor="#00c8e6", linewidth=1.4))
    for axes in (taken, over, width):
        if t["mask"].any() and not t["mask"].all():
            axes.contour(t["mask"], levels=[0.5], colors="white", linewidths=0.6)
    return figure


@style.styled
def spade_panel(tensors: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """What SPADE injects: the features F_f, and scale and shift of the three blocks (RMS over channels).

    Needs enhanced, mask_grid and spade<1..3>_gamma, spade<1..3>_beta.
    """
    keys = [f"spade{i}_{kind}" for kind in ("gamma", "beta") for i in (1, 2, 3)]
    t = checked(tensors, ("enhanced", "mask_grid", *keys))
    figure = style.new_figure(11.0, 5.0, layout="constrained")
    figure.suptitle(_headed("SPADE inputs", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
    axes = figure.subplots(2, 4)
    _show(
        axes[0, 0],
        feature_rgb(t["enhanced"])[0],
        "features $F_f$",
        f"three principal components of {t['enhanced'].shape[0]}",
    )
    image = axes[1, 0].imshow(feature_energy(t["enhanced"]), cmap="magma", interpolation="nearest")
    _show(axes[1, 0], None, "strength of $F_f$", "white: edge of the hole")
    if t["mask_grid"].any() and not t["mask_grid"].all():
        axes[1, 0].contour(t["mask_grid"], levels=[0.5], colors="white", linewidths=0.6)
    figure.colorbar(image, ax=axes[1, 0], shrink=0.8, pad=0.02)
    for i, key in enumerate(keys):
        panel = axes[i // 3, 1 + i % 3]
        channels, height, width = t[key].shape
        image = panel.imshow(feature_energy(t[key]), cmap="magma", interpolation="nearest")
        sign = r"scale $\gamma$" if key.endswith("gamma") else r"shift $\beta$"
        _show(panel, None, f"block {i % 3 + 1}: {sign}", f"{channels} × {height} × {width}")
        figure.colorbar(image, ax=panel, shrink=0.8, pad=0.02)
    return figure


@style.styled
def error_panel(tensors: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """Per-pixel error of the coarse face and of the completion on one scale. Needs image, mask, coarse,
    completed.

    Error is the absolute difference averaged over the three channels, in grey levels of 255.
    """
    t = checked(tensors, ("image", "mask", "coarse", "completed"))
    errors = {
        name: np.abs(t[name].astype(float) - t["image"].astype(float)).mean(axis=2) for name in ("coarse", "completed")
    }
    inside = t["mask"].astype(bool)
    # One pixel that is wholly wrong must not make all others look right.
    top = max(float(np.percentile(errors["completed"][inside], 99)) if inside.any() else 1.0, 1.0)
    figure = style.new_figure(11.5, 3.1, layout="constrained")
    figure.suptitle(_headed("Errors", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
    axes = figure.subplots(1, 4)
    _show(axes[0], t["image"], "ground truth", "")
    _show(axes[1], t["completed"], "completed", f"{psnr(t['completed'], t['image']):.1f} dB")
    image = None
    for panel, (name, error) in zip(axes[2:], errors.items(), strict=True):
        image = panel.imshow(error, cmap="inferno", norm=Normalize(0, top), interpolation="nearest")
        note = f"L1 {100 * error.mean() / 255:.2f}%" + (
            f", in the hole {100 * error[inside].mean() / 255:.2f}%" if inside.any() else ""
        )
        _show(
            panel,
            None,
            {"coarse": "error of the coarse face", "completed": "error of the completion"}[name],
            note,
        )
        if inside.any() and not inside.all():
            panel.contour(t["mask"], levels=[0.5], colors="white", linewidths=0.5, alpha=0.7)
    figure.colorbar(image, ax=axes[2:], shrink=0.85, pad=0.01, extend="max").set_label("grey levels of 255")
    return figure


def _headed(what: str, title: str) -> str:
    return f"{what}: {title}" if title else what


def _show(axes: Axes, image: np.ndarray | None, title: str, note: str) -> None:
    """A picture without ticks; with image None only the decoration of what is drawn already."""
    if image is not None:
        axes.imshow(image, interpolation="nearest")
    axes.set_title(title, loc="center", fontsize=8.5)
    axes.set_xlabel(note, fontsize=7.5, color=style.MUTED)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _class_axis(axes: Axes, *, names: bool = True, labels: list[str] | None = None) -> None:
    """Classes downwards on the y axis, as in a matrix."""
    labels = _NAMES if labels is None else labels
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels if names else [""] * len(labels))
    axes.tick_params(axis="y", length=0)


def _few_ticks() -> LogLocator:
    return LogLocator(subs=(1, 2, 5), numticks=6)
