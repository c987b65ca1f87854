"""Figure 4 of ShowFace: the InCo2 loss, with the real tensors of one image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from replication.drawing import style
from replication.drawing.diagram import GREEN, PINK, Box, Diagram
from replication.drawing.pictures import feature_rgb
from replication.drawing.scales import finite_range, grey_where_absent, shape_words, symmetric_scale
from replication.methods import Inside
from replication.methods.mdrnet.class_matrices import class_matrix, class_strips
from replication.methods.mdrnet.tensors import INCO2, checked, coordination_tensors

FIGURE4_TENSORS = tuple(INCO2)


def figure4(inside: Inside, *, subtitle: str = "") -> Figure:
    """Figure 4 of one pair through a trained network.

    Raises:
        InputError: the reconstruction network, through which the loss looks, was not trained yet.
    """
    return coordination_diagram(coordination_tensors(inside), subtitle=subtitle)


@style.styled
def coordination_diagram(tensors: Mapping[str, np.ndarray], *, subtitle: str = "") -> Figure:
    """Figure 4: how InCo2 compares a real and an inpainted face (`FIGURE4_TENSORS`).

    Upper row: real face; lower row: inpainted face; between them, at the right, the absolute differences
    whose means over the valid pairs are the two losses. Raises InputError when a tensor is missing or
    misshapen.
    """
    t = checked(tensors, FIGURE4_TENSORS, INCO2)
    d = Diagram(
        12.0,
        5.5,
        title="Figure 4. InCo2: coordination inside the hole and with its surroundings",
        subtitle=subtitle,
    )
    x = [0.85, 2.3, 3.65, 5.05, 6.6, 8.25, 9.6, 11.1]
    rows = {"real": 3.98, "inpainted": 1.3}
    features = dict(zip(rows, feature_rgb(t["features_real"], t["features_inpainted"]), strict=True))
    pooled = symmetric_scale(*(t[f"{part}_{face}"] for part in ("hole", "known") for face in rows))
    products = {
        kind: Normalize(*finite_range(*(np.where(t[f"{kind}_valid"], t[f"{kind}_{face}"], np.nan) for face in rows)))
        for kind in ("intra", "inter")
    }
    d.lane(7.6, 0.12, 2.65, 5.35, "Similarities", GREEN)
    d.lane(10.35, 0.12, 1.53, 5.35, "Differences", PINK)
    outline = _hole_outline(t["mask"])
    boxes: dict[tuple[str, str], Box] = {}
    for face, y in rows.items():
        face_picture = t[face].copy()
        face_picture[outline] = (255, 255, 255)
        name = {"real": "real face", "inpainted": "inpainted face"}[face]
        image = d.picture(x[0], y, face_picture, name, width=1.15, note="white: edge of the hole")
        encoder = d.box(x[1], y, "pretrained\nencoder\n(frozen)", width=0.95)
        shown = d.picture(x[2], y, features[face], "features", note=shape_words(t[f"features_{face}"]))
        pooling = d.box(x[3], y, "average over\neach class,\nin the hole and\noutside", width=1.05, height=0.85)
        for start, end in ((image, encoder), (encoder, shown), (shown, pooling)):
            d.link(start, end)
        for part, shift, words in (("hole", 0.62, "hole, by class"), ("known", -0.62, "known, by class")):
            present = np.abs(t[f"{part}_{face}"]).sum(axis=1) > 0
            matrix = class_matrix(
                d,
                x[4],
                y + shift,
                t[f"{part}_{face}"],
                words,
                present,
                pooled,
                width=1.15,
                note=shape_words(t[f"{part}_{face}"]),
            )
            d.arrow([pooling.side("right", shift / 4), matrix.side("left")])
            boxes[part, face] = matrix
        for kind, shift in (("intra", 0.62), ("inter", -0.62)):
            shown_values = np.where(t[f"{kind}_valid"], t[f"{kind}_{face}"], np.nan)
            words = {"intra": "hole × hole", "inter": "hole × known"}[kind]
            similarity = d.picture(
                x[6] - 0.42,
                y + shift,
                shown_values,
                f"{kind}: {words}",
                width=0.9,
                cmap=grey_where_absent("viridis"),
                norm=products[kind],
            )
            similarity = class_strips(d, similarity)
            d.arrow([boxes["hole", face].side("right"), similarity.side("left", 0.12)])
            if kind == "inter":
                d.arrow([boxes["known", face].side("right"), similarity.side("left", -0.12)])
            boxes[kind, face] = similarity
    middle = (rows["real"] + rows["inpainted"]) / 2
    grey = "Grey: class or pair that is not on the feature grid (absent, or too small for it)"
    d.text(0.3, 0.2, grey, size=6.5, colour=style.MUTED, ha="left")
    d.scale(x[4], middle, pooled, cmap="RdBu_r", words="pooled features", width=1.1)
    for kind, y in (("intra", middle + 0.12), ("inter", middle - 0.24)):
        d.scale(8.12, y, products[kind], words=f"{kind} similarity", width=0.85)
    for kind, y in (("intra", middle + 0.9), ("inter", middle - 0.95)):
        valid = t[f"{kind}_valid"].astype(bool)
        gap = np.where(valid, np.abs(t[f"{kind}_real"] - t[f"{kind}_inpainted"]), np.nan)
        loss = float(gap[valid].mean()) if valid.any() else 0.0
        difference = d.picture(
            x[7],
            y,
            gap,
            f"|difference|, {kind}",
            width=1.05,
            cmap=grey_where_absent("magma"),
            norm=(of_gap := Normalize(*finite_range(gap))),
            note=f"loss: mean {loss:.4f}",
        )
        d.scale(x[7], y - difference.height / 2 - 0.27, of_gap, cmap="magma")
        difference = class_strips(d, difference)
        for face in rows:
            d.arrow(
                [boxes[kind, face].side("right"), difference.side("left", 0.15 if face == "real" else -0.15)],
                colour=style.MUTED,
            )
    return d.figure


def _hole_outline(mask: np.ndarray) -> np.ndarray:
    """bool (H,W): hole pixels that touch a known pixel."""
    padded = np.pad(mask, 1, constant_values=1)
    neighbours = np.minimum.reduce([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    return (mask == 1) & (neighbours == 0)
