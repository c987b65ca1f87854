"""InCo², the pair of coordination losses (ShowFace, equations 6 to 8 and Figure 4).

The paper compares similarity matrices of region vectors of a frozen encoder. ℳ holds the vectors of the hole
part, ℳ̂ those of the known part, a row for each region. The text speaks of relations among semantic features and
of matrices, so the regions are (class, hole or known) by default; `regions="mask"` is the other reading, one region
per side.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from replication.errors import InputError
from replication.layers.region_pooling import region_pool


class Coordination(NamedTuple):
    """Equation 8: L_InCo² = L_intra + L_inter (ShowFace, eq. 8), its two terms, not added.

    They are weighted separately, because Table 3 leaves them out one by one.
    """

    intra: Tensor  # equation 6, scalar >= 0
    inter: Tensor  # equation 7, scalar >= 0


def region_weights(labels: Tensor | None, mask: Tensor, size: tuple[int, int], classes: int) -> Tensor:
    """Indicators of the hole part and of the known part of every class on the encoder's grid.

    Labels are reduced by nearest; a cell is known only if every pixel under it is known.

    Args:
        labels: (B, H, W) integers in 0..classes-1, or None for a single class.
        mask: (B, 1, H, W), 1 = hole.
        size: (h, w) of the grid; must divide (H, W).
        classes: n.

    Returns:
        (B, 2n, h, w) float32 in {0, 1}: n hole regions, then n known regions.
    """
    # The size divides, so this is a plain max over the pixels under a cell: one hole pixel makes the cell hole, so
    # that the known part averages no cell that lies over a pixel of the hole.
    hole = F.adaptive_max_pool2d(mask.float(), size)
    if labels is None:
        onehot = torch.ones_like(hole)
    else:
        step = (labels.shape[1] // size[0], labels.shape[2] // size[1])
        small = labels[:, :: step[0], :: step[1]]
        onehot = F.one_hot(small.long(), classes).permute(0, 3, 1, 2).float()
    return torch.cat([onehot * hole, onehot * (1 - hole)], dim=1)


def coordination_loss(
    output_features: Tensor,
    truth_features: Tensor,
    mask: Tensor,
    labels: Tensor | None = None,
    *,
    classes: int = 14,
    regions: Literal["semantic", "mask"] = "semantic",
    similarity: Literal["dot", "cosine"] = "dot",
) -> Coordination:
    """Equation 6: L_intra = ‖ℳ(Î) ℳ(Î)ᵀ − ℳ(I_gt) ℳ(I_gt)ᵀ‖₁ (ShowFace, eq. 6).
    Equation 7: L_inter = ‖ℳ(Î) ℳ̂(Î)ᵀ − ℳ(I_gt) ℳ̂(I_gt)ᵀ‖₁ (ShowFace, eq. 7).

    The norms are means over pairs (i, j) of regions that are both there, in each image, then over images: a class
    that a picture does not show has no vector to compare. In intra i and j are regions of the hole; in inter i is
    one of the hole and j one of the known part.

    Args:
        output_features, truth_features: (B, c', h, w) of the frozen encoder.
        mask: (B, 1, H, W), 1 = hole.
        labels: (B, H, W) class labels of the real image, used for both images; unused with regions="mask".
        classes: number of classes n in `labels`.
        regions: "semantic" gives n rows per side, "mask" one.
        similarity: "dot" divides products by c', so that the scale does not depend on the width; "cosine"
            normalises the rows (norms floored at 1e-6), as in similarity-preserving distillation.

    Returns:
        Coordination of float32 scalars >= 0. Where no pair of regions is present the value is 0 with its
        graph intact. With the frozen batch-norm encoder, intra has no gradient far from the hole.

    Raises:
        InputError: unknown `regions` or `similarity`, or `labels` missing for regions="semantic".
    """
    if regions not in ("semantic", "mask"):
        raise InputError(f"coordination_loss: regions is {regions!r}, allowed are 'semantic' and 'mask'.")
    if similarity not in ("dot", "cosine"):
        raise InputError(f"coordination_loss: similarity is {similarity!r}, allowed are 'dot' and 'cosine'.")
    if regions == "semantic" and labels is None:
        raise InputError("coordination_loss: regions='semantic' needs labels.")
    if regions == "mask":
        labels, classes = None, 1
    height, width = output_features.shape[2:]
    if mask.shape[2] % height or mask.shape[3] % width:
        raise InputError(
            f"coordination_loss: a mask of {tuple(mask.shape[2:])} does not fit a grid of {(height, width)}; "
            "its height and width must be multiples of the grid's."
        )
    weights = region_weights(labels, mask, (height, width), classes)
    with torch.autocast(output_features.device.type, enabled=False):
        ours, presence = region_pool(output_features, weights)
        # The truth is a target: no gradient goes back through it.
        truth, _ = region_pool(truth_features.detach(), weights)
        if similarity == "cosine":
            ours, truth = (F.normalize(rows, dim=-1, eps=1e-6) for rows in (ours, truth))
            scale = 1.0
        else:
            scale = 1.0 / ours.shape[-1]
        # Rows: hole regions; columns: hole regions (intra), then known regions (inter).
        # (B,n,2n), from rows (B,2n,c').
        difference = ours[:, :classes] @ ours.transpose(1, 2) - truth[:, :classes] @ truth.transpose(1, 2)
        # The same pairs for both images: classes are those of the real one in both.
        pairs = (presence[:, :classes, None] & presence[:, None, :]).float()
        gaps = difference.abs() * scale * pairs

        def mean_over_pairs(columns: slice) -> Tensor:
            # Per image first: the mean over a batch is then the mean of its parts, on one device or several.
            sums, counts = (values[..., columns].sum((1, 2)) for values in (gaps, pairs))
            return (sums / counts.clamp(min=1)).mean()

        return Coordination(mean_over_pairs(slice(0, classes)), mean_over_pairs(slice(classes, None)))
