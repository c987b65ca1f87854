"""Panels that look inside one pass of a trained MDRNet: what it sees, reads, correlates, injects, and gets wrong.

The functions that `method.py` declares take one pair through a run; what they draw with takes the dict of arrays that
`replication.methods.mdrnet.tensors.MDRNET` describes and needs only the keys named in its docstring, so networks
without a memory or without correlation mining can be inspected too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from replication.data.labels import COLOURS_14, colourise
from replication.drawing import style
from replication.drawing.pictures import feature_energy, feature_rgb, masked_input, psnr_words
from replication.errors import InputError
from replication.methods import Inside
from replication.methods.mdrnet.correlation_figure import central_hole_patch, patch_grid
from replication.methods.mdrnet.memory_panels import CLASS_NAMES, entropy, headed, memory_panel, slot_usage_panel
from replication.methods.mdrnet.tensors import (
    TOO_SMALL,
    checked,
    lost_classes,
    memory_tensors,
    modulation_tensors,
    picture_tensors,
)


def overview(inside: Inside) -> Figure:
    """Input, coarse face, parsing, raw output, completion and truth."""
    return overview_panel(picture_tensors(inside), title=inside.title)


def memory_reads(inside: Inside) -> Figure | None:
    """Which slots each class reads, and how sharply; None without a memory."""
    tensors = memory_tensors(inside)
    if not tensors:
        return None
    tensors |= picture_tensors(inside)
    return memory_panel(tensors, title=inside.title, temperature=inside.inpainter.network.memory.temperature)


def slot_usage(inside: Inside) -> Figure | None:
    """How often each slot was hit in training; None without a memory."""
    tensors = memory_tensors(inside)
    return slot_usage_panel(tensors, title=inside.title) if tensors else None


def correlation(inside: Inside, *, patch: int = -1) -> Figure | None:
    """What one hole patch takes from the rest of the face; None without correlation mining.

    Args:
        patch: row by row; -1 chooses the hole patch nearest to the hole's centre.

    Raises:
        InputError: no such patch.
    """
    tensors = picture_tensors(inside)
    if "attention" not in tensors:
        return None
    last = len(tensors["attention"]) - 1
    if not -1 <= patch <= last:
        raise InputError(f"patch: must be -1 or from 0 to {last}, got {patch}")
    return correlation_panel(tensors, patch=None if patch < 0 else patch, title=inside.title)


def spade(inside: Inside) -> Figure:
    """What SPADE injects: the features, scale and shift of the three blocks."""
    return spade_panel(picture_tensors(inside) | modulation_tensors(inside), title=inside.title)


def error(inside: Inside) -> Figure:
    """Per-pixel error of the coarse face and of the completion."""
    return error_panel(picture_tensors(inside), title=inside.title)


@style.styled
def overview_panel(tensors: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """Input, coarse face, its parsing with a legend, raw output, completion and truth.

    Needs image, mask, coarse, labels, labels_grid, refined, completed. Classes that the feature grid lost are marked:
    the panels of the memory do not have them.
    """
    t = checked(tensors, ("image", "mask", "coarse", "labels", "labels_grid", "refined", "completed"))
    figure = style.new_figure(11.5, 2.95, layout="constrained")
    figure.suptitle(title or "One pass", x=0.005, ha="left", fontsize=11, fontweight="bold")
    axes = figure.subplots(1, 6)
    pictures = (
        ("masked input", masked_input(t["image"], t["mask"]), f"hole {100 * t['mask'].mean():.0f}%"),
        ("coarse face", t["coarse"], psnr_words(t["coarse"], t["image"])),
        ("parsing of the coarse face", colourise(t["labels"], 14), ""),
        ("raw output", t["refined"], psnr_words(t["refined"], t["image"])),
        ("completed", t["completed"], psnr_words(t["completed"], t["image"])),
        ("ground truth", t["image"], ""),
    )
    for panel, (name, image, note) in zip(axes, pictures, strict=True):
        _show(panel, image, name, note)
    lost = lost_classes(t["labels"], t["labels_grid"])
    handles = [
        Patch(
            facecolor=COLOURS_14[i] / 255,
            edgecolor=style.MUTED,
            linewidth=0.4,
            label=f"{CLASS_NAMES[i]} *" if i in lost else CLASS_NAMES[i],
        )
        for i in np.unique(t["labels"])
    ]
    if lost:
        handles.append(Patch(facecolor="none", edgecolor="none", label=f"* {TOO_SMALL}"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 15),
        fontsize=7,
        handlelength=1.0,
        columnspacing=1.1,
    )
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
    figure.suptitle(headed(f"Correlation of patch {patch}", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
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
    figure.suptitle(headed("SPADE inputs", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
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
    figure.suptitle(headed("Errors", title), x=0.005, ha="left", fontsize=11, fontweight="bold")
    axes = figure.subplots(1, 4)
    _show(axes[0], t["image"], "ground truth", "")
    _show(axes[1], t["completed"], "completed", psnr_words(t["completed"], t["image"]))
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
