"""The disentangled memory module (ShowFace, section 3.2, equations 1 to 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication import distributed


class DisentangledMemory(nn.Module):
    """m slots of c numbers for each of n semantic classes; written by moving average, read by soft scores.

    The memory is a buffer, never a parameter. What the paper leaves open is settled so: the slot is chosen by
    an argmax over the slots of the query's own class (Eq. 2 prints the class index); all vectors of a batch
    that fall on one slot are averaged first, so that neither the order in the batch nor the number of ranks
    matters; slots start as unit Gaussian directions scaled to the mean norm of the first batch's V.

    Args:
        classes: n.
        slots: m per class.
        channels: c.
        decay: alpha of Eq. 3, in [0,1]; the paper gives no value.
        shared: one block of n*m slots for all classes (Table 4, "Non-Disentangled").
        temperature: divides the cosine similarity in Eq. 4; 1 is the paper's text. With 1 a slot's weight
            stays within 1/(1+(m-1)e^2) .. e^2/(e^2+m-1), so every read is close to the class mean.
        read: "softmax" (Eq. 4), or "class_mean": equal weights, the control that a memory must beat.
    """

    def __init__(
        self,
        classes: int,
        slots: int,
        channels: int,
        decay: float = 0.99,
        shared: bool = False,
        temperature: float = 1.0,
        read: str = "softmax",
    ):
        super().__init__()
        self.decay, self.shared, self.temperature, self.read_mode = decay, shared, temperature, read
        shape = (1, classes * slots, channels) if shared else (classes, slots, channels)
        self.register_buffer("slots", torch.empty(shape))
        self.start(torch.randn(slots, classes, channels))
        self.register_buffer("scaled", torch.zeros((), dtype=torch.bool))
        self.register_buffer("hits", torch.zeros(shape[:2]))  # how often each slot was written, for reports

    def start(self, directions: Tensor) -> None:
        """Point the slots along vectors (m,n,c) of any length; a smaller memory takes the first of them."""
        self.slots.copy_(F.normalize(directions, dim=-1).movedim(0, 1).reshape(self.slots.shape))

    def similarity(self, vectors: Tensor) -> Tensor:
        """Cosine similarity (Eq. 1) of (B,n,c) with the slots each class may use: (B,n,m) or (B,n,n*m)."""
        vectors = F.normalize(vectors.float(), dim=-1, eps=1e-6)
        # A copy: the slots change in place at the next step, and autograd must not see that.
        slots = F.normalize(self.slots, dim=-1, eps=1e-6)
        if self.shared:
            return vectors @ slots[0].T
        return torch.einsum("bnc,nmc->bnm", vectors, slots)

    @torch.no_grad()
    def update(self, query: Tensor, value: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Move the slot nearest to each query towards the known-region vector (Eq. 2 and 3).

        Args:
            query: Q (B,n,c), pooled over the whole class region of the coarse face.
            value: V (B,n,c), pooled over its known part.
            visible: (B,n) bool, true where the class has known cells; other rows change nothing.

        Returns:
            Scalars for the log: `memory_agreement`, the share of rows for which V itself would have chosen
            the same slot (the slot is chosen by Q but filled with V), and `memory_drift`, mean |change|.
        """
        with torch.autocast(query.device.type, enabled=False):
            query, value = query.detach().float(), value.detach().float()
            visible_f = visible.float()
            if not bool(self.scaled):
                sums = torch.stack([(value.norm(dim=-1) * visible_f).sum(), visible_f.sum()])
                total, count = distributed.all_reduce_sum(sums)
                if bool(count > 0):
                    self.slots.mul_(total / count)
                    self.scaled.fill_(True)
            chosen = self.similarity(query).argmax(-1)
            agreement = ((chosen == self.similarity(value).argmax(-1)).float() * visible_f).sum()
            one_hot = F.one_hot(chosen, self.slots.shape[1]).float() * visible_f[..., None]  # (B,n,m)
            if self.shared:
                sums = torch.einsum("bnm,bnc->mc", one_hot, value)[None]
                counts = one_hot.sum((0, 1))[None]
            else:
                sums = torch.einsum("bnm,bnc->nmc", one_hot, value)
                counts = one_hot.sum(0)
            sums, counts = distributed.all_reduce_sum(sums), distributed.all_reduce_sum(counts)
            means = sums / counts.clamp(min=1)[..., None]
            step = (1 - self.decay) * (means - self.slots) * (counts > 0)[..., None]
            self.slots.add_(step)
            self.hits.add_(counts)
            return {
                "memory_agreement": agreement / visible_f.sum().clamp(min=1),
                "memory_drift": step.abs().mean(),
            }

    def read(self, query: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Soft read (Eq. 4 and 5).

        Args:
            query: Q (B,n,c).
            present: (B,n) bool; absent classes read zero (no cell has that class, so it is never used).

        Returns:
            Qhat (B,n,c), and the weights (B,n,m) or (B,n,n*m) that sum to 1. Gradient reaches the query
            through the weights; the slots receive none.
        """
        with torch.autocast(query.device.type, enabled=False):
            scores = self.similarity(query) / self.temperature
            if self.read_mode == "class_mean":
                scores = scores * 0
            weights = scores.softmax(-1)
            slots = self.slots.clone()
            if self.shared:
                out = weights @ slots[0]
            else:
                out = torch.einsum("bnm,nmc->bnc", weights, slots)
            return out * present.float()[..., None], weights
