"""Masked correlation mining, the second half of MREM (ShowFace, section 3.3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def unfold_patches(x: Tensor, size: int) -> Tensor:
    """Cut (B,C,H,W) into non-overlapping patches: (B, N, C*size*size), N = (H/size)*(W/size), row by row.

    The "unfold" of ShowFace, section 3.3. Without overlap it only moves numbers, so folding needs no division by how
    often a pixel was covered, and a gradient comes back unchanged.
    """
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // size, size, width // size, size)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * size * size)


def fold_patches(patches: Tensor, size: int, height: int, width: int) -> Tensor:
    """The exact inverse of `unfold_patches`: (B,N,C*size*size) -> (B,C,H,W)."""
    batch = patches.shape[0]
    x = patches.reshape(batch, height // size, width // size, -1, size, size)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, height, width)


class MaskedCorrelationMining(nn.Module):
    """F_f = F_fuse + M_f ⊙ fold(A · unfold(v(F_fuse))), A = softmax_rows(Φ / √d), Φ = QKᵀ (ShowFace, section 3.3).

    The section has no numbered equation; it names Φ, of size NxN, the dot products of the N patches. Q and K are
    the unfolded patches of two 1x1 convolutions of F_fuse, d is their length.

    The paper states two 1x1 convolutions whose unfolded patches are compared by dot product, a third branch
    that the correlations are matched to, and the multiplication by the mask. Chosen here: patch size, no
    overlap, the row softmax and its 1/sqrt(d) (dot products over thousands of dimensions saturate a softmax
    without it), a 1x1 convolution as third branch, and no exclusion of keys.

    Args:
        channels: c, a multiple of 8; queries and keys have c/8 channels.
        patch: patch side p in cells; the feature grid must be a multiple of it.
        similarity: "dot" or "cosine" (normalised patches times `scale`, as contextual attention does).
        scale: factor of the cosine similarity; not used by "dot".
        key_mask: "none", or "known_any": keys that lie wholly in the hole are excluded (unless all do).
        attention: "softmax", or "uniform": the same weight for every key that is not excluded, the control that the
            correlations must beat.
    """

    def __init__(
        self,
        channels: int,
        patch: int,
        similarity: str = "dot",
        scale: float = 10.0,
        key_mask: str = "none",
        attention: str = "softmax",
    ):
        super().__init__()
        self.patch, self.similarity, self.scale, self.key_mask = patch, similarity, scale, key_mask
        self.attention_mode = attention
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)

    def attention(self, fused: Tensor, hole: Tensor) -> Tensor:
        """Correlation weights (B,N,N) between patches of F_fuse; rows sum to 1."""
        query = unfold_patches(self.query(fused), self.patch)
        key = unfold_patches(self.key(fused), self.patch)
        # In float32: sums over d, thousands of products, lose the small differences that the softmax is about.
        with torch.autocast(fused.device.type, enabled=False):
            query, key = query.float(), key.float()  # (B,N,d)
            if self.similarity == "cosine":
                # The floor of contextual attention's code: a patch of zeros would be 0 / 0.
                query, key = F.normalize(query, dim=-1, eps=1e-4), F.normalize(key, dim=-1, eps=1e-4)
                scale = self.scale
            else:
                scale = 1 / math.sqrt(query.shape[-1])
            scores = query @ key.transpose(1, 2) * scale  # (B,N,N): row i, how patch i correlates with each patch
            if self.attention_mode == "uniform":
                scores = scores * 0  # not a tensor of zeros: the graph stays, with gradient 0
            if self.key_mask == "known_any":
                whole = unfold_patches(hole.float(), self.patch).amin(-1) > 0  # (B,N)
                # Where every patch is hole none is excluded: the softmax of a row of -inf is NaN.
                whole = whole & ~whole.all(1, keepdim=True)
                scores = scores.masked_fill(whole[:, None], float("-inf"))
            return scores.softmax(-1)

    def forward(self, fused: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Enhance the hole cells of F_fuse.

        Args:
            fused: F_fuse (B,C,h,w).
            hole: M_f (B,1,h,w) in {0,1}, 1 = hole cell.

        Returns:
            F_f (B,C,h,w), equal to F_fuse wherever M_f is 0, and the weights (B,N,N).
        """
        weights = self.attention(fused, hole)
        values = unfold_patches(self.value(fused), self.patch)
        mined = fold_patches(weights.to(values.dtype) @ values, self.patch, *fused.shape[-2:])
        # The mask multiplies what was mined, not the sum: known cells keep F_fuse bit for bit.
        return fused + hole.to(fused.dtype) * mined, weights
