"""The disentangled memory module (ShowFace, section 3.2, equations 1 to 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication import distributed


class DisentangledMemory(nn.Module):
    """The memory 𝕄 (n,m,c): m slots e_ij of c numbers for each of n semantic classes i (ShowFace, equations 1 to 5).

    Equation 1: γ_ij = e_ij Q_iᵀ / (‖e_ij‖ ‖Q_i‖)            `similarity`
    Equation 2: k_i = argmax_j γ_ij                          `update`; the paper prints k_j = argmax_i γ_ij
    Equation 3: e_ik ← α e_ik + (1 − α) V_i, k = k_i         `update`
    Equation 4: a_ij = exp(γ_ij) / Σ_j exp(γ_ij)             `read`
    Equation 5: Q̂_i = Σ_j a_ij e_ij                          `read`

    The memory is a buffer, never a parameter. What the paper leaves open is settled so: the slot is chosen by
    an argmax over the slots of the query's own class, the only reading of equation 2 that fits equation 3 and the
    text; all vectors of a batch that fall on one slot are averaged first, so that neither the order in the batch
    nor the number of ranks matters.

    Args:
        classes: n.
        slots: m per class.
        channels: c.
        decay: α of equation 3, in [0,1]; the paper gives no value.
        shared: one block of n*m slots for all classes (Table 4, "Non-Disentangled").
        temperature: divides the cosine similarity in equation 4; 1 is the paper's text. With 1 a slot's weight
            stays within 1/(1+(m-1)e^2) .. e^2/(e^2+m-1), so every read is close to the class mean.
        read: "softmax" (equation 4), or "class_mean": equal weights, the control that a memory must beat.
        start: what the slots are before anything is written, which the paper leaves open. "data": the mean V of the
            class in the first batch that shows it, plus Gaussian directions as long as V usually is away from it.
            "random": Gaussian directions of the mean length of the first batch's V. Every read lies near the mean
            of a class's slots, and the mean of m such directions has 1/√m of their length: with 128 slots a read
            is a tenth as long as V, and stays so, because the argmax of equation 2 writes the same few slots.
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
        start: str = "data",
    ):
        super().__init__()
        self.decay, self.shared, self.temperature, self.read_mode = decay, shared, temperature, read
        self.start = start
        shape = (1, classes * slots, channels) if shared else (classes, slots, channels)
        self.register_buffer("slots", torch.empty(shape))
        self.set_directions(torch.randn(slots, classes, channels))
        self.register_buffer("started", torch.zeros(classes, dtype=torch.bool))
        self.register_buffer("hits", torch.zeros(shape[:2]))  # how often each slot was written, for reports

    def set_directions(self, directions: Tensor) -> None:
        """Point the slots along vectors (m,n,c) of any length; a smaller memory takes the first of them."""
        self.slots.copy_(F.normalize(directions, dim=-1).movedim(0, 1).reshape(self.slots.shape))

    def similarity(self, vectors: Tensor) -> Tensor:
        """Equation 1: γ_ij = e_ij Q_iᵀ / (‖e_ij‖ ‖Q_i‖), of (B,n,c) with the slots each class may use.

        Returns:
            (B,n,m), or (B,n,n*m) where all classes share the slots.
        """
        # The norms have a floor: the vector of an absent class is zero.
        vectors = F.normalize(vectors.float(), dim=-1, eps=1e-6)
        # A copy: the slots change in place at the next step, and autograd must not see that.
        slots = F.normalize(self.slots, dim=-1, eps=1e-6)
        if self.shared:
            return vectors @ slots[0].T
        return torch.einsum("bnc,nmc->bnm", vectors, slots)

    @torch.no_grad()
    def update(self, query: Tensor, value: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Equations 2 and 3: k = argmax_j γ_ij, e_ik ← α e_ik + (1 − α) V_i: move the nearest slot towards V.

        Args:
            query: Q (B,n,c), pooled over the whole class region of the coarse face.
            value: V (B,n,c), pooled over its known part.
            visible: (B,n) bool, true where the class has known cells; other rows change nothing.

        Returns:
            Scalars for the log: `memory_agreement`, the share of rows for which V itself would have chosen
            the same slot (the slot is chosen by Q but filled with V); `memory_drift`, mean |change|;
            `memory_perplexity`, over how many slots the writes so far are spread: 1 to m of a class's own, mean
            over the classes written, or 1 to n*m of the shared ones; `memory_slots_hit`, how many slots were ever
            written, with the same mean.
        """
        with torch.autocast(query.device.type, enabled=False):
            query, value = query.detach().float(), value.detach().float()
            visible_f = visible.float()
            if not bool(self.started.all()):
                self._start(value, visible_f)
            # Equation 2. The slot is chosen by Q, of the whole class, and filled with V, of its known part, as the
            # paper has it.
            chosen = self.similarity(query).argmax(-1)
            agreement = ((chosen == self.similarity(value).argmax(-1)).float() * visible_f).sum()
            one_hot = F.one_hot(chosen, self.slots.shape[1]).float() * visible_f[..., None]  # (B,n,m)
            # Sums and counts, not means: those of several ranks can be added, and the result is that of one process
            # with the joint batch.
            if self.shared:
                sums = torch.einsum("bnm,bnc->mc", one_hot, value)[None]
                counts = one_hot.sum((0, 1))[None]
            else:
                sums = torch.einsum("bnm,bnc->nmc", one_hot, value)
                counts = one_hot.sum(0)
            sums, counts = distributed.all_reduce_sum(sums), distributed.all_reduce_sum(counts)
            means = sums / counts.clamp(min=1)[..., None]
            # Equation 3 as a difference, (1 − α)(V − e), zero for slots that nothing fell on.
            step = (1 - self.decay) * (means - self.slots) * (counts > 0)[..., None]
            self.slots.add_(step)
            self.hits.add_(counts)
            return {
                "memory_agreement": agreement / visible_f.sum().clamp(min=1),
                "memory_drift": step.abs().mean(),
                "memory_perplexity": perplexity(self.hits),
                "memory_slots_hit": slots_hit(self.hits),
            }

    def _start(self, value: Tensor, visible: Tensor) -> None:
        """Scale ("random") or place ("data") the slots of classes that have not started, by V of the joint batch."""
        classes, channels = value.shape[1:]
        norms = value.norm(dim=-1)
        # Per class: ΣV (c numbers), Σ‖V‖, Σ‖V‖², count. Joined to one tensor, so that the ranks meet once, not four
        # times; every rank then starts its slots with the same numbers.
        sums = [(value * visible[..., None]).sum(0), *((x * visible).sum(0)[:, None] for x in (norms, norms**2))]
        sums = distributed.all_reduce_sum(torch.cat([*sums, visible.sum(0)[:, None]], 1))
        total, lengths, squares, count = sums.split([channels, 1, 1, 1], 1)
        if not bool(count.any()):
            return
        length = lengths.sum() / count.sum()
        slots = self.slots.view(classes, -1, channels)
        if self.start == "random":
            slots.mul_(length)
            self.started.fill_(True)
            return
        mean = total / count.clamp(min=1)
        # Σ‖V − mean‖² = Σ‖V‖² − count ‖mean‖² over all classes; one class of a first batch has too few V of its own
        # to tell how far they lie from their mean.
        freedom = (count - 1).clamp(min=0).sum()
        within = (squares - count * mean.square().sum(-1, keepdim=True)).clamp(min=0).sum()
        away = torch.where(freedom > 0, (within / freedom.clamp(min=1)).sqrt(), length)
        begins = (count[:, 0] > 0) & ~self.started
        # In a shared block another class may have written a slot before the class that it was meant for was seen.
        unwritten = self.hits.view(classes, -1, 1) == 0
        slots.copy_(torch.where(begins[:, None, None] & unwritten, mean[:, None] + away * slots, slots))
        self.started |= begins

    def read(self, query: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Equations 4 and 5: a_ij = exp(γ_ij) / Σ_j exp(γ_ij), Q̂_i = Σ_j a_ij e_ij.

        γ is computed anew, after the update, as the paper says.

        Args:
            query: Q (B,n,c).
            present: (B,n) bool; absent classes read zero (no cell has that class, so it is never used).

        Returns:
            Q̂ (B,n,c), and the weights (B,n,m) or (B,n,n*m) that sum to 1. Gradient reaches the query
            through the weights; the slots receive none.
        """
        with torch.autocast(query.device.type, enabled=False):
            scores = self.similarity(query) / self.temperature
            if self.read_mode == "class_mean":
                scores = scores * 0  # not a tensor of zeros: the graph stays, with gradient 0
            weights = scores.softmax(-1)
            # A copy: backward needs the slots as they were, and the next update changes them in place.
            slots = self.slots.clone()
            if self.shared:
                out = weights @ slots[0]
            else:
                out = torch.einsum("bnm,nmc->bnc", weights, slots)
            return out * present.float()[..., None], weights


def perplexity(hits: Tensor) -> Tensor:
    """exp(−Σ_j p_j log p_j), p_j the share of a block's writes that fell on its slot j.

    No paper's: the exponential of the entropy, by which codebooks are usually judged.

    Args:
        hits: (n,m), writes of each slot.

    Returns:
        Scalar, the mean over blocks with any writes: 1 where all fell on one slot, m where they are spread evenly.
    """
    total = hits.sum(-1, keepdim=True)
    entropy = torch.special.entr(hits / total.clamp(min=1)).sum(-1)
    written = total[:, 0] > 0
    return (entropy.exp() * written).sum() / written.sum().clamp(min=1)


def slots_hit(hits: Tensor) -> Tensor:
    """How many slots of a block were ever written: hits (n,m) -> scalar, the mean over blocks with any writes."""
    written = (hits > 0).sum(-1).float()
    return written.sum() / (written > 0).sum().clamp(min=1)


def relative_norm(read: Tensor, value: Tensor, visible: Tensor) -> Tensor:
    """Σ‖Q̂_i‖ / Σ‖V_i‖ over the rows of a batch that are visible: how long a read is beside what it stands for.

    No paper's. F_fuse has Q̂ in the hole and V beside it, so that 1 says that both are features of the same size, and
    0.1 that the hole is all but empty.

    Args:
        read: Q̂ (B,n,c).
        value: V (B,n,c).
        visible: (B,n) bool, true where the class has known cells, and so a V.

    Returns:
        Scalar float32 >= 0; 0 where nothing is visible.
    """
    reads, values = ((x.detach().float().norm(dim=-1) * visible).sum() for x in (read, value))
    return reads / values.clamp(min=1e-12)
