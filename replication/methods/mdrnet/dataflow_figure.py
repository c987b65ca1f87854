"""Figure 2 of ShowFace: the dataflow of MDRNets, with the real tensors of a trained network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from replication.data.labels import CLASSES_14, colourise
from replication.drawing import style
from replication.drawing.diagram import BLUE, GREEN, PINK, Diagram
from replication.drawing.pictures import feature_energy, feature_rgb, masked_input, psnr_words
from replication.drawing.scales import finite_range, grey_where_absent, shape_words, symmetric_scale
from replication.methods import Inside
from replication.methods.mdrnet.class_matrices import class_legend, class_matrix, present_rows
from replication.methods.mdrnet.tensors import TOO_SMALL, checked, lost_classes, mdrnet_tensors

FIGURE2_TENSORS = (
    "image",
    "mask",
    "coarse",
    "labels",
    "labels_grid",
    "style",
    "queries",
    "queries_present",
    "values",
    "values_present",
    "weights",
    "reads",
    "fused",
    "enhanced",
    "spade1_gamma",
    "spade1_beta",
    "spade2_gamma",
    "spade2_beta",
    "spade3_gamma",
    "spade3_beta",
    "refined",
    "completed",
)


def figure2(inside: Inside, *, subtitle: str = "") -> Figure:
    """Figure 2 of one pair through a trained network.

    Raises:
        InputError: the run is an ablation without the memory.
    """
    return network_diagram(mdrnet_tensors(inside), subtitle=subtitle)


@style.styled
def network_diagram(tensors: Mapping[str, np.ndarray], *, subtitle: str = "") -> Figure:
    """Figure 2: MDRNets from the masked input to the completed face (`FIGURE2_TENSORS`).

    Feature maps show their first three principal components; F_fuse and F_f share one basis. Raises
    InputError when a tensor is missing or misshapen.
    """
    t = checked(tensors, FIGURE2_TENSORS)
    d = Diagram(12.0, 8.48, title="Figure 2. Memory-disentangled refinement networks (MDRNets)", subtitle=subtitle)
    column = [0.85 + 1.47 * i for i in range(8)]
    slots, channels = t["weights"].shape[1], t["style"].shape[0]

    y = 7.45
    d.lane(0.12, 6.62, 11.76, 1.8, "Coarse face and semantic map", BLUE)
    source = d.picture(column[0], y - 0.08, masked_input(t["image"], t["mask"]), note="masked input $I$ (grey: hole)")
    coarse_net = d.box(column[1] + 0.1, y - 0.08, "coarse network\n(partial conv.\nU-Net, frozen)")
    coarse = d.picture(column[2] + 0.1, y - 0.08, t["coarse"], "coarse face $P$")
    parser = d.box(column[3] + 0.1, y - 0.08, "face parser\n(frozen)")
    labels = d.picture(column[4] + 0.1, y - 0.08, colourise(t["labels"], 14), "semantic map $S$")
    for start, end in ((source, coarse_net), (coarse_net, coarse), (coarse, parser), (parser, labels)):
        d.link(start, end)
    lost = lost_classes(t["labels"], t["labels_grid"])
    class_legend(d, column[5] + 0.05, y + 0.44, set(np.unique(t["labels"])), lost)
    if lost:
        d.text(column[5] - 0.45, y + 0.44 - 7 * 0.175, f"* {TOO_SMALL}", size=6.5, colour=style.MUTED, ha="left")

    y = 5.32
    d.lane(
        0.12,
        4.0,
        11.76,
        2.48,
        "Disentangled\nmemory module",
        GREEN,
        f"\n\n{len(CLASSES_14)} blocks of\n{slots} slots, one\nblock per class\n\nGreen: read.\nPink: "
        f"update\n"
        "(training only).\nGrey rows: class\nnot on the\nfeature grid.",
    )
    encoder = d.box(column[2] + 0.1, y - 0.1, "style encoder")
    style_map = d.picture(
        column[3] + 0.1,
        y - 0.1,
        feature_rgb(t["style"])[0],
        "style features $F_s$",
        note=shape_words(t["style"]),
    )
    pooling = d.box(column[4] + 0.1, y - 0.1, "region-wise\naverage pooling\nover $S$")
    scale = symmetric_scale(t["queries"], t["values"], t["reads"])
    queries = class_matrix(
        d,
        column[5] + 0.05,
        y + 0.42,
        t["queries"],
        "$Q$ (whole classes)",
        t["queries_present"],
        scale,
        note=f"14 × {channels}",
    )
    values = class_matrix(d, column[5] + 0.05, y - 0.74, t["values"], "$V$ (known part)", t["values_present"], scale)
    weights = present_rows(t["weights"], t["queries_present"])
    read = d.picture(
        column[6] + 0.02,
        y + 0.42,
        weights,
        f"read weights $a$, 14 × {slots}",
        width=1.1,
        height=0.72,
        cmap=grey_where_absent("viridis"),
        norm=(of_weights := Normalize(*finite_range(weights))),
    )
    d.scale(column[1] + 0.1, y + 0.5, scale, cmap="RdBu_r", words="$Q$, $V$, reads", width=1.0)
    d.scale(column[1] + 0.1, y - 0.1, of_weights, words="read weights", width=1.0)
    memory = d.box(column[6] + 0.02, y - 0.74, f"memory\n14 × {slots} × {channels}", height=0.5)
    reads = class_matrix(d, column[7], y + 0.42, t["reads"], r"reads $\hat{Q}$", t["queries_present"], scale)
    d.link(coarse, encoder)
    d.link(labels, pooling)
    d.link(encoder, style_map)
    d.link(style_map, pooling)
    d.arrow([pooling.side("right", 0.12), (queries.x - queries.width / 2, queries.y)], colour=GREEN)
    d.arrow([pooling.side("right", -0.12), (values.x - values.width / 2, values.y)], colour=PINK)
    d.text(pooling.x, pooling.y - 0.52, "$1-M$ for $V$", size=6.5, colour=style.MUTED)
    d.link(queries, read, colour=GREEN)
    d.link(values, memory, colour=PINK, dashed=True)
    d.link(memory, read, colour=GREEN)
    d.link(read, reads, colour=GREEN)

    y = 2.98
    d.lane(
        0.12,
        2.1,
        11.76,
        1.76,
        "Mask-region enhanced module",
        PINK,
        "Correlations among patches of the fused\nfeatures are added inside the hole only.\n(This lane runs "
        "right to "
        "left.)",
    )
    fused_rgb, enhanced_rgb = feature_rgb(t["fused"], t["enhanced"])
    fuse = d.box(
        column[7],
        y - 0.08,
        "fuse\n" r"$M\cdot bc(\hat{Q})\,+$" "\n" r"$(1-M)\cdot bc(V)$",
        width=1.15,
        height=0.75,
    )
    fused = d.picture(column[6] + 0.02, y - 0.08, fused_rgb, "$F_{fuse}$", note=shape_words(t["fused"]))
    mining = d.box(column[5] + 0.05, y - 0.08, "masked\ncorrelation\nmining")
    plus = d.operator(column[4] + 0.25, y - 0.08, "+")
    enhanced = d.picture(column[3] + 0.1, y - 0.08, enhanced_rgb, f"$F_f$, {shape_words(t['enhanced'])}")
    d.link(fuse, fused)
    d.link(fused, mining)
    d.link(mining, plus)
    d.link(plus, enhanced)
    fork, under = (fused.x - fused.width / 2 + mining.x + mining.width / 2) / 2, fused.y - 0.6
    d.arrow([(fork, fused.y), (fork, under), (plus.x, under), plus.side("bottom")])
    d.arrow([reads.side("bottom"), fuse.side("top", reads.x - fuse.x)], colour=GREEN)
    bend = (values.x + 0.86, fuse.y + 0.72)
    d.arrow(
        [
            (values.x + 0.2, values.y - values.height / 2),
            (values.x + 0.2, bend[1]),
            (fuse.x - 0.3, bend[1]),
            fuse.side("top", -0.3),
        ],
        colour=PINK,
    )

    y = 1.05
    d.lane(0.12, 0.12, 11.76, 1.84, "Guided refinement network", BLUE)
    again = d.picture(column[0], y - 0.12, t["coarse"], note="$P$ (and $M$)")
    gated = d.box(column[1] + 0.1, y - 0.12, "gated\nconvolutions,\ngated ResBlocks")
    spade = d.box(column[3] + 0.1, y - 0.12, "three SPADE\nResBlocks")
    d.link(again, gated)
    d.link(gated, spade)
    d.link(enhanced, spade)
    _spade_maps(d, column[4] + 0.22, y - 0.12, t)
    raw = d.picture(column[6] - 0.4, y - 0.12, t["refined"], note="raw output $R$")
    d.arrow([spade.side("right"), (column[4] - 0.42, spade.y)])
    d.arrow([(column[5] + 0.05, raw.y), raw.side("left")])
    done = d.picture(column[7], y - 0.12, t["completed"], note=f"completed, {psnr_words(t['completed'], t['image'])}")
    d.link(raw, done, label="$R$ in the hole,\n$I$ elsewhere")
    return d.figure


def _spade_maps(d: Diagram, x: float, y: float, t: Mapping[str, np.ndarray]) -> None:
    """Scale and shift maps of the three blocks, as root mean square over channels."""
    for j, (kind, sign) in enumerate((("gamma", r"$\gamma$"), ("beta", r"$\beta$"))):
        for i in range(3):
            d.picture(
                x - 0.3 + 0.58 * i,
                y + 0.3 - 0.58 * j,
                feature_energy(t[f"spade{i + 1}_{kind}"]),
                width=0.5,
                cmap="magma",
            )
            if j == 0:
                d.text(x - 0.3 + 0.58 * i, y + 0.64, f"block {i + 1}", size=6.5, colour=style.MUTED)
        d.text(x - 0.3 - 0.34, y + 0.3 - 0.58 * j, sign, size=8)
    d.text(x + 0.28, y - 0.66, "RMS over channels, each over its own range", size=6.5, colour=style.MUTED)
