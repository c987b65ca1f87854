"""PConv: the partial-convolution U-Net of Liu et al. 2018.

It is a baseline of ShowFace's Table 1 and, frozen, the coarse network of MDRNets, which states: every convolution
of a U-Net replaced by partial convolution, pre-trained for 100 epochs with the settings of the main model. The loss
is not stated; the original PConv loss is used. Layer table: the 7-level version of the public 256-pixel networks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication.layers.partial_convolution import PartialConv2d
from replication.losses.partial_convolution import PConvLoss
from replication.methods import composite, hide
from replication.training.schedules import LearningRate, set_rate
from replication.training.trainable import Trainable


class PConvUNet(nn.Module):
    """U-Net of partial convolutions; 25,779,796 trainable parameters at width 64 with 7 levels.

    Args:
        width: channels of the first level; deeper ones have 2, 4, 8, 8, ... times as many.
        levels: how often the image is halved; 7 at 256 pixels.
    """

    def __init__(self, width: int = 64, levels: int = 7):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(levels)]
        kernels = [7, 5, 5] + [3] * max(levels - 3, 0)
        self.encoder, self.encoder_norms = nn.ModuleList(), nn.ModuleList()
        self.decoder, self.decoder_norms = nn.ModuleList(), nn.ModuleList()
        before = 3
        for i in range(levels):
            self.encoder.append(PartialConv2d(before, widths[i], kernels[i], 2, kernels[i] // 2))
            self.encoder_norms.append(nn.BatchNorm2d(widths[i]) if i else nn.Identity())
            before = widths[i]
        for i in reversed(range(levels)):
            skip = widths[i - 1] if i else 3
            out = widths[i - 1] if i else 3
            self.decoder.append(PartialConv2d((before, skip), out, 3, 1, 1, bias=i == 0))
            self.decoder_norms.append(nn.BatchNorm2d(out) if i else nn.Identity())
            before = out
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")

    def forward(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Fill a masked image.

        Args:
            image: (B,3,H,W) in [-1,1]; values where `known` is 0 do not matter.
            known: (B,1,H,W), 1 = valid (partial convolution's convention, the opposite of a hole mask).

        Returns:
            The raw output (B,3,H,W), unbounded, and the final mask (B,1,H,W).
        """
        features, masks = [image], [known]
        for conv, norm in zip(self.encoder, self.encoder_norms, strict=True):
            x, mask = conv([features[-1]], [masks[-1]])
            features.append(F.relu(norm(x)))
            masks.append(mask)
        x, mask = features.pop(), masks.pop()
        for conv, norm in zip(self.decoder, self.decoder_norms, strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            mask = F.interpolate(mask, scale_factor=2, mode="nearest")
            x, mask = conv([x, features.pop()], [mask, masks.pop()])
            if features:
                x = F.leaky_relu(norm(x), 0.2)
        return x, mask

    def freeze_encoder_statistics(self) -> None:
        """Use the encoder's running statistics from now on (the original's fine-tuning phase)."""
        for norm in self.encoder_norms:
            norm.eval()


class PConvTraining(Trainable):
    """Training of the U-Net with the PConv loss; Adam.

    Args:
        network: the U-Net to train.
        loss: the PConv loss with its frozen features.
        finetune_from: images seen at which the fine-tuning phase begins (encoder statistics frozen, learning
            rate `finetune_lr`), as the original has it; None, the default, never: MDRNets does not mention it.
    """

    needs = frozenset[str]()

    def __init__(
        self,
        network: PConvUNet,
        loss: PConvLoss,
        *,
        rate: LearningRate,
        betas: tuple[float, float],
        finetune_from: int | None = None,
        finetune_lr: float = 5e-5,
    ):
        super().__init__()
        self.network, self.loss = network, loss
        features = loss.features
        self.add_frozen("perceptual", features if isinstance(features, nn.Module) else features.parser)
        self.rate, self.betas = rate, betas
        self.finetune_from, self.finetune_lr = finetune_from, finetune_lr

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        self._optimizer = torch.optim.Adam(self.network.parameters(), self.rate.peak, self.betas, fused=True)
        return {"network": self._optimizer}

    def inference_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def training_step(self, batch: dict, update: Callable[[str, Tensor], None]) -> dict[str, Tensor]:
        image, mask = batch["image"], batch["mask"]
        if self.finetune_from is not None and batch["images_seen"] >= self.finetune_from:
            self.network.freeze_encoder_statistics()
            set_rate([self._optimizer], self.finetune_lr)
        else:
            set_rate([self._optimizer], self.rate.at(batch["images_seen"]))
        raw, _ = self.network(hide(image, mask), 1 - mask)
        terms = self.loss(raw, image, mask)
        update("network", terms["total"])
        return terms | {"total": terms["total"].detach()}


class PConvInpainter:
    """The trained U-Net, frozen, as an inpainter."""

    def __init__(self, network: PConvUNet):
        self.network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def coarse(self, image: Tensor, mask: Tensor) -> Tensor:
        """Raw output clamped to [-1,1]: (B,3,H,W)."""
        raw, _ = self.network(hide(image, mask), 1 - mask)
        return raw.clamp(-1, 1)

    def inpaint(self, image: Tensor, mask: Tensor, seed: int = 0) -> Tensor:
        return composite(self.coarse(image, mask), image, mask)

    def features(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        raw = self.coarse(image, mask)
        return {
            "masked_input": hide(image, mask),
            "mask": mask,
            "raw": raw,
            "completed": composite(raw, image, mask),
        }
