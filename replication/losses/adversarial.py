"""The vanilla adversarial loss on logits (ShowFace Eq. 13; Goodfellow et al. 2014).

On logits, log D(x) = -softplus(-x) and log(1 - D(x)) = -softplus(x): exact also where a sigmoid saturates.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from replication.errors import InputError


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-E[log D(real)] - E[log(1 - D(fake))], means over samples and patches.

    Returns:
        Scalar float32, >= 0; 2 log 2 for an undecided discriminator (logits 0).
    """
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def generator_loss(fake_logits: Tensor, form: Literal["non_saturating", "saturating"] = "non_saturating") -> Tensor:
    """Generator's side: -E[log D(fake)], or with "saturating" the literal E[log(1 - D(fake))].

    Both have the same fixed point; the literal one has almost no gradient while the discriminator wins.

    Returns:
        Scalar float32, >= 0 ("non_saturating") or <= 0 ("saturating").
    """
    if form not in ("non_saturating", "saturating"):
        raise InputError(f"generator_loss: form is {form!r}, allowed are 'non_saturating' and 'saturating'.")
    if form == "non_saturating":
        return F.softplus(-fake_logits.float()).mean()
    return -F.softplus(fake_logits.float()).mean()
