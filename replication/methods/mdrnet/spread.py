"""How sharply a pass of MDRNets chooses: over how many slots a memory read spreads, over how many patches attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from replication.data.labels import CLASSES_14
from replication.layers.correlation_mining import unfold_patches
from replication.methods.mdrnet.trace import MDRNetTrace


def effective_number(weights: Tensor) -> Tensor:
    """exp(−Σ_j a_j log a_j) of the weights a in the last axis: 1 where one has all, k where k share them evenly."""
    return torch.special.entr(weights.double()).sum(-1).exp()


def spread(passed: MDRNetTrace) -> dict[str, Tensor]:
    """For each image, float64 (B,): what its hole was filled with was chosen among how many, effectively.

    slots_read: effective number of slots in a read, the mean over the classes with a cell in the hole, whose reads are
    the only ones that go anywhere. slots: how many there are (m, or n m where all classes share them).
    patches_attended: the same of the patches that a patch attends to, the mean over the patches with a cell in the
    hole. patches: N. What a variant lacks has no entry; an image without a hole cell has NaN.
    """
    found: dict[str, Tensor] = {}
    if passed.read_weights is not None:
        grid = F.one_hot(passed.classes[:, ::2, ::2].long(), len(CLASSES_14)).movedim(-1, 1)
        in_hole = (grid * (passed.hole > 0.5)).flatten(2).any(-1)  # (B,n)
        found["slots_read"] = _mean(effective_number(passed.read_weights), in_hole)
        found["slots"] = torch.full_like(found["slots_read"], passed.read_weights.shape[-1])
    if passed.correlation is not None:
        count, cells = passed.correlation.shape[-1], passed.hole[0, 0].numel()
        side = round((cells / count) ** 0.5)
        receives = unfold_patches(passed.hole, side).amax(-1) > 0.5  # (B,N)
        found["patches_attended"] = _mean(effective_number(passed.correlation), receives)
        found["patches"] = torch.full_like(found["patches_attended"], count)
    return found


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of the rows of (B,k) over the entries that count; NaN where none does."""
    return torch.where(counts, values, 0.0).sum(-1) / counts.sum(-1)
