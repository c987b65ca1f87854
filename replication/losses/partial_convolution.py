"""The objective of the partial-convolution network (Liu et al. 2018, section 3.3), terms size-averaged."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from replication.backbones.imagenet import IMAGENET_STD
from replication.backbones.perceptual import PerceptualFeatures
from replication.losses.perceptual import perceptual_loss, style_loss
from replication.losses.total_variation import total_variation_loss


class PConvLoss:
    """L_total = L_valid + 6 L_hole + 0.05 L_perceptual + 120 (L_style_out + L_style_comp) + 0.1 L_tv.

    Liu et al. 2018, section 3.3, with the paper's weights. Here M is 1 in the hole (the paper's M is 1 where valid),
    K = 1 − M, and the terms, as they are computed here, are

        L_valid      = mean |K ⊙ (I_out − I_gt)|
        L_hole       = mean |M ⊙ (I_out − I_gt)|
        L_perceptual = Σ_p mean |Ψ_p(I_out) − Ψ_p(I_gt)| + Σ_p mean |Ψ_p(I_comp) − Ψ_p(I_gt)|
        L_style      = Σ_p mean |G_p(I_out) − G_p(I_gt)|, the same with I_comp, G_p the Gram matrix of Ψ_p
        L_tv         = mean absolute difference of neighbouring pixels of I_comp

    where I_comp is I_out in the hole and I_gt elsewhere, and Ψ_p are feature maps. The means of L_valid and L_hole
    are over all pixels, not over those of their region, so that a small hole weighs little.

    The public 256-pixel ports, from which the weights' use is known, load whitened images, (x − mean) / std of ImageNet
    for x in [0, 1], and take every term of them. A difference of pixels is then 1/std, 4.43 times on average, what it
    is in [0, 1], while perceptual and style terms, whose network whitens its input anyway, are the same.

    Args:
        features: VGG-16 pool1..3 in the paper. The loss is no nn.Module, so that a trainable may hold it
            without the features' weights entering its checkpoints.
        valid, hole, perceptual, style, total_variation: weights; a term with weight 0 is not computed.
        pixels: what L_valid, L_hole and L_tv compare: "whitened" images, as the ports do, or "unit" ones in [0, 1].
    """

    def __init__(
        self,
        features: PerceptualFeatures,
        *,
        valid: float = 1.0,
        hole: float = 6.0,
        perceptual: float = 0.05,
        style: float = 120.0,
        total_variation: float = 0.1,
        pixels: Literal["whitened", "unit"] = "whitened",
    ):
        self.features, self.pixels = features, pixels
        self.weights = {
            "valid": valid,
            "hole": hole,
            "perceptual": perceptual,
            "style": style,
            "total_variation": total_variation,
        }

    def __call__(self, output: Tensor, truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Compare a raw output with the truth.

        Args:
            output: (B, 3, H, W), nominally in [-1, 1] but not clamped.
            truth: (B, 3, H, W) in [-1, 1].
            mask: (B, 1, H, W), 1 = hole.

        Returns:
            "total" with its graph, and every unweighted term, detached; scalars, float32, >= 0.
        """
        # [-1, 1] is twice as wide as [0, 1].
        difference = 0.5 * self._scaled(output.float() - truth.float()).abs()
        # Selected, not K·gt + M·output: known pixels are then the truth exactly, and no gradient passes there.
        composite = torch.where(mask > 0.5, output, truth.to(output.dtype))
        terms: dict[str, Tensor] = {}
        if self.weights["valid"]:
            terms["valid"] = (difference * (1 - mask)).mean()
        if self.weights["hole"]:
            terms["hole"] = (difference * mask).mean()
        if self.weights["perceptual"] or self.weights["style"]:
            with torch.no_grad():  # the target: nothing learns from this pass
                real = self.features(truth * 0.5 + 0.5)
            # One pass for both pictures: the frozen network sees a batch of twice the size.
            both = self.features(torch.cat([output, composite]) * 0.5 + 0.5)
            for name, loss, ours, theirs in (
                ("perceptual", perceptual_loss, both.perceptual, real.perceptual),
                ("style", style_loss, both.style, real.style),
            ):
                if self.weights[name]:
                    raw, composed = zip(*(maps.chunk(2) for maps in ours), strict=True)
                    terms[name] = loss(raw, theirs) + loss(composed, theirs)
        if self.weights["total_variation"]:
            terms["total_variation"] = total_variation_loss(self._scaled(composite.float()))
        total = sum(self.weights[name] * term for name, term in terms.items())
        return {"total": total} | {name: term.detach() for name, term in terms.items()}

    def _scaled(self, images: Tensor) -> Tensor:
        """Differences of pixels in the unit of the loss; whitening's mean is in no difference."""
        if self.pixels == "unit":
            return images
        return images / torch.tensor(IMAGENET_STD, device=images.device).view(3, 1, 1)
