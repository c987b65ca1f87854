"""Semantic loss: the completed face must be parsed like the real one (ShowFace, equation 9)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from replication.data.labels import CLASSES_14, LABELS, TO_14, to_14
from replication.errors import InputError


def merge_logits(logits: Tensor) -> Tensor:
    """z_c = log Σ_{l in class c} exp(z_l) (no paper's; it makes the class's probability the sum of its labels').

    Logits of the 19 labels (B, 19, H, W) -> logits of the 14 classes (B, 14, H, W).
    """
    groups = [[i for i, to in enumerate(TO_14) if to == c] for c in range(len(CLASSES_14))]
    # Channel by channel, not `logits[:, group]`, whose gradient threads would add up in any order.
    merged = [torch.stack([logits[:, label] for label in group], dim=1).logsumexp(dim=1) for group in groups]
    return torch.stack(merged, dim=1)


def semantic_loss(output_logits: Tensor, truth_labels: Tensor, classes: Literal[19, 14] | None = None) -> Tensor:
    """Equation 9: L_sem = CE(ℙ(I_gt), ℙ(Î)) (ShowFace, eq. 9), ℙ the face parser, mean over pixels.

    ℙ(I_gt) is taken as labels, the argmax, which the paper leaves open.

    Args:
        output_logits: (B, 19, H, W) logits of the parser on the network's output.
        truth_labels: (B, H, W) labels in 0..18 from the parser on the real image.
        classes: None or 19 compares the parser's own labels; 14 merges both sides into the 14 classes.

    Returns:
        Scalar float32, >= 0.

    Raises:
        InputError: another number of classes, or logits with other than 19 channels.
    """
    if classes not in (None, 19, 14):
        raise InputError(f"semantic_loss: classes is {classes}, allowed are 19 and 14.")
    if output_logits.shape[1] != len(LABELS):
        raise InputError(f"semantic_loss: logits have {output_logits.shape[1]} channels, allowed are 19.")
    output_logits = output_logits.float()
    if classes == 14:
        output_logits, truth_labels = merge_logits(output_logits), to_14(truth_labels)
    # One row per pixel: a view of channels_last logits, and deterministic on GPUs, unlike the 4-D form.
    rows = output_logits.movedim(1, -1).flatten(0, 2)
    return F.cross_entropy(rows, truth_labels.long().flatten())
