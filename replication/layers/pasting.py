"""What every system does with a hole mask: hide what lies under it, and paste the known pixels over an output."""

from __future__ import annotations

import torch
from torch import Tensor


def composite(raw: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """M * raw + (1 - M) * image: known pixels over a network's output; `where` keeps them bit for bit.

    raw, image (B,3,H,W); mask (B,1,H,W), 1 = hole.
    """
    return torch.where(mask > 0.5, raw.to(image.dtype), image)


def hide(image: Tensor, mask: Tensor) -> Tensor:
    """The masked input I = (1 - M) * I_gt; what lies under the hole cannot be recovered from it."""
    return torch.where(mask > 0.5, torch.zeros_like(image), image)
