"""Figure 3 of ShowFace: masked correlation mining, with the real tensors of a trained network."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from replication.drawing import style
from replication.drawing.diagram import BLUE, PINK, Box, Diagram
from replication.drawing.pictures import feature_energy, feature_rgb, masked_input
from replication.drawing.scales import shape_words
from replication.errors import InputError
from replication.methods import Inside
from replication.methods.mdrnet.tensors import checked, mining_tensors, picture_tensors

FIGURE3_TENSORS = (
    "image",
    "mask",
    "mask_grid",
    "fused",
    "mcm_query",
    "mcm_key",
    "mcm_value",
    "attention",
    "mcm_update",
    "enhanced",
)


def figure3(inside: Inside, *, subtitle: str = "") -> Figure:
    """Figure 3 of one pair through a trained network.

    Raises:
        InputError: the run is an ablation without correlation mining.
    """
    return correlation_diagram(picture_tensors(inside) | mining_tensors(inside), subtitle=subtitle)


@style.styled
def correlation_diagram(tensors: Mapping[str, np.ndarray], *, patch: int | None = None, subtitle: str = "") -> Figure:
    """Figure 3: masked correlation mining (`FIGURE3_TENSORS`).

    patch: number of the hole patch whose attention is shown; by default `central_hole_patch`. Raises
    InputError for a patch outside the grid, or when a tensor is missing or misshapen.
    """
    t = checked(tensors, FIGURE3_TENSORS)
    rows, columns = patch_grid(t["mask_grid"], len(t["attention"]))
    patch = central_hole_patch(t["mask_grid"], len(t["attention"])) if patch is None else patch
    if not 0 <= patch < rows * columns:
        raise InputError(f"patch {patch}: the grid has patches 0 to {rows * columns - 1}.")
    d = Diagram(12.0, 4.95, title="Figure 3. Masked correlation mining (MCM)", subtitle=subtitle)
    x = [0.78, 2.12, 3.45, 5.35, 7.3, 9.35, 11.2]
    y = (3.78, 2.4, 1.02)
    d.lane(1.48, 0.12, 6.72, 4.62, "Correlation mining", BLUE)
    d.lane(8.36, 0.12, 3.52, 4.62, "Masking and fusion", PINK)
    fused_rgb, enhanced_rgb = feature_rgb(t["fused"], t["enhanced"])
    fused = d.picture(x[0], y[1] - 0.05, fused_rgb, "$F_{fuse}$", note=shape_words(t["fused"]))
    maps: list[Box] = []
    for height, key, name in zip(y, ("mcm_query", "mcm_key", "mcm_value"), ("query", "key", "value"), strict=True):
        convolution = d.box(x[1], height - 0.05, "1×1 conv", width=0.8, height=0.4)
        d.arrow([fused.side("right"), (1.4, fused.y), (1.4, convolution.y), convolution.side("left")])
        shown = d.picture(
            x[2],
            height - 0.05,
            feature_rgb(t[key])[0],
            f"{name}, {rows}×{columns} patches",
            width=0.98,
            note=shape_words(t[key]),
        )
        _patch_lines(d, shown, rows, columns)
        d.link(convolution, shown)
        maps.append(shown)
    tensor = d.operator(4.38, (y[0] + y[1]) / 2, "×")
    d.arrow([maps[0].side("right"), (tensor.x, maps[0].y), tensor.side("top")])
    d.arrow([maps[1].side("right"), (tensor.x, maps[1].y), tensor.side("bottom")])
    attention = t["attention"]
    floor = max(float(attention.max()) * 1e-4, 1e-12)
    matrix = d.picture(
        x[3],
        tensor.y,
        np.maximum(attention, floor),
        f"attention, {len(attention)}×{len(attention)}",
        width=1.3,
        note="row softmax of patch products",
        cmap="magma",
        norm=(weights := LogNorm(floor, float(attention.max()))),
    )
    d.scale(x[3], matrix.y - matrix.height / 2 - 0.27, weights, cmap="magma", width=1.3)
    d.arrow([tensor.side("right"), matrix.side("left")])
    _row_mark(d, matrix, patch, len(attention))
    over = _attention_over(masked_input(t["image"], t["mask"]), attention[patch].reshape(rows, columns))
    focus = d.picture(
        x[4],
        tensor.y,
        over,
        f"what patch {patch} attends to",
        width=1.3,
        note=f"highest weight {attention[patch].max():.3f}, uniform {1 / len(attention):.3f}",
    )
    _patch_frame(d, focus, patch, rows, columns)
    of_patch = Normalize(0, float(attention[patch].max()))
    d.scale(x[4], focus.y - focus.height / 2 - 0.27, of_patch, cmap="inferno", width=1.3)
    d.arrow([matrix.side("right"), focus.side("left")], colour=style.MUTED, dashed=True)
    times = d.operator(x[3], maps[2].y, "×")
    d.arrow([(matrix.x, matrix.y - matrix.height / 2 - 0.48), times.side("top")])
    d.arrow([maps[2].side("right"), times.side("left")])
    update = d.picture(
        x[4], maps[2].y, feature_rgb(t["mcm_update"])[0], "folded back", note=shape_words(t["mcm_update"])
    )
    d.link(times, update)
    hole = d.picture(8.98, y[1], t["mask_grid"], "$M$", width=0.8, cmap="gray", norm=Normalize(0, 1))
    product = d.operator(8.98, update.y, "·")
    d.link(update, product)
    d.link(hole, product)
    masked = t["mcm_update"] * t["mask_grid"]
    energy = feature_energy(masked)
    strength = Normalize(0, max(float(energy.max()), 1e-12))
    note = "added in the hole (RMS)"
    change = d.picture(10.05, update.y, energy, width=0.9, cmap="magma", norm=strength, note=note)
    d.scale(10.05, change.y - change.height / 2 - 0.25, strength, cmap="magma")
    d.link(product, change)
    plus = d.operator(10.05, y[1], "+")
    d.link(change, plus)
    result = d.picture(x[6], y[1], enhanced_rgb, "$F_f$", width=0.95, note=shape_words(t["enhanced"]))
    d.link(plus, result)
    d.arrow([(fused.x, fused.y + 0.78), (fused.x, 4.86), (plus.x, 4.86), plus.side("top")])
    return d.figure


def patch_grid(mask_grid: np.ndarray, count: int) -> tuple[int, int]:
    """(rows, columns) of `count` equal square patches on a feature grid.

    Raises InputError when the grid does not divide into that many.
    """
    height, width = mask_grid.shape
    side = round((height * width / count) ** 0.5)
    if side < 1 or height % side or width % side or (height // side) * (width // side) != count:
        raise InputError(f"a grid of {height} × {width} cells has no {count} equal square patches.")
    return height // side, width // side


def central_hole_patch(mask_grid: np.ndarray, count: int) -> int:
    """The patch with the largest share of hole; of several, the one nearest to the hole's centre, then the
    first.
    """
    rows, columns = patch_grid(mask_grid, count)
    share = mask_grid.reshape(rows, mask_grid.shape[0] // rows, columns, -1).mean(axis=(1, 3))
    across, down = np.meshgrid(np.arange(columns), np.arange(rows))
    weight = share if share.any() else np.ones_like(share)
    centre_x, centre_y = np.average(across, weights=weight), np.average(down, weights=weight)
    distance = np.round(np.hypot(across - centre_x, down - centre_y), 9)
    return int(np.lexsort((distance.ravel(), -share.ravel()))[0])


def _patch_lines(d: Diagram, box: Box, rows: int, columns: int) -> None:
    if max(rows, columns) > 32:  # the lines would hide the picture
        return
    left, bottom = box.x - box.width / 2, box.y - box.height / 2
    for i in range(1, columns):
        d.axes.plot(
            [left + box.width * i / columns] * 2,
            [bottom, bottom + box.height],
            color="white",
            linewidth=0.3,
            alpha=0.6,
            zorder=2.2,
        )
    for i in range(1, rows):
        d.axes.plot(
            [left, left + box.width],
            [bottom + box.height * i / rows] * 2,
            color="white",
            linewidth=0.3,
            alpha=0.6,
            zorder=2.2,
        )


def _row_mark(d: Diagram, box: Box, row: int, count: int) -> None:
    """A small wedge at the left edge of a matrix, pointing at one row."""
    y = box.y + box.height / 2 - box.height * (row + 0.5) / count
    d.axes.plot([box.x - box.width / 2 - 0.06], [y], marker=">", markersize=4, color=PINK, zorder=4, clip_on=False)


def _patch_frame(d: Diagram, box: Box, patch: int, rows: int, columns: int) -> None:
    width, height = box.width / columns, box.height / rows
    left = box.x - box.width / 2 + width * (patch % columns)
    top = box.y + box.height / 2 - height * (patch // columns)
    d.axes.add_patch(
        Rectangle((left, top - height), width, height, fill=False, edgecolor="#00e5ff", linewidth=1.4, zorder=4)
    )


def _attention_over(picture: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """uint8 (H,W,3): a grey version of the picture, tinted where the weights (rows, columns) are high."""
    height, width = picture.shape[:2]
    down, across = (
        np.arange(height) * weights.shape[0] // height,
        np.arange(width) * weights.shape[1] // width,
    )
    strength = (weights / max(float(weights.max()), 1e-30))[down][:, across][..., None]
    grey = picture.mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.75
    heat = matplotlib.colormaps["inferno"](strength[..., 0])[..., :3] * 255
    return np.round(grey * (1 - 0.8 * strength) + heat * 0.8 * strength).astype(np.uint8)
