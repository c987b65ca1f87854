"""The vanilla adversarial loss on logits (ShowFace, equation 13; Goodfellow et al. 2014).

On logits, log D(x) = -softplus(-x) and log(1 - D(x)) = -softplus(x): exact also where a sigmoid saturates.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from replication.errors import InputError


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Equation 13, negated: −E[log D(I_gt)] − E[log(1 − D(Î))] (ShowFace, eq. 13), means over samples and patches.

    The equation is what the discriminator maximises; an optimiser minimises.

    Returns:
        Scalar float32, >= 0; 2 log 2 for an undecided discriminator (logits 0).
    """
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def generator_loss(fake_logits: Tensor, form: Literal["non_saturating", "saturating"] = "non_saturating") -> Tensor:
    """Equation 13, generator's side: E[log(1 − D(Î))] (ShowFace, eq. 13), or by default −E[log D(Î)] in its place.

    "saturating" is the literal one. It has almost no gradient while the discriminator wins, as it does early in a
    training; the default, which Goodfellow et al. recommend for that reason, has the same fixed point.

    Returns:
        Scalar float32, >= 0 ("non_saturating") or <= 0 ("saturating").
    """
    if form not in ("non_saturating", "saturating"):
        raise InputError(f"generator_loss: form is {form!r}, allowed are 'non_saturating' and 'saturating'.")
    if form == "non_saturating":
        return F.softplus(-fake_logits.float()).mean()
    return -F.softplus(fake_logits.float()).mean()
