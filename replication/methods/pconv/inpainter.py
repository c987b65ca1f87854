"""A trained PConv as an inpainter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from replication.layers.pasting import composite, hide
from replication.methods import ONLY_PART, Trace, TrainedRun, tensor
from replication.methods.pconv.network import PConvUNet


@dataclass(frozen=True)
class PConvTrace(Trace):
    """What PConv computes on the way to a face."""

    raw: Tensor = tensor("picture", "output of the last layer, clamped to [-1,1]")


class PConvInpainter:
    """The trained U-Net, frozen, as an inpainter. It draws nothing: seeds do not matter."""

    needs = frozenset[str]()

    def __init__(self, network: PConvUNet):
        self.network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def coarse(self, image: Tensor, mask: Tensor) -> Tensor:
        """Raw output clamped to [-1,1]: (B,3,H,W)."""
        raw, _ = self.network(hide(image, mask), 1 - mask)
        return raw.clamp(-1, 1)

    def inpaint(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> Tensor:
        """Completed images (B,3,H,W) in [-1,1]."""
        image, mask = batch["image"], batch["mask"]
        return composite(self.coarse(image, mask), image, mask)

    def features(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> PConvTrace:
        """Input, raw output and completion."""
        image, mask = batch["image"], batch["mask"]
        raw = self.coarse(image, mask)
        return PConvTrace(masked_input=hide(image, mask), mask=mask, raw=raw, completed=composite(raw, image, mask))


def open_run(trained: TrainedRun) -> PConvInpainter:
    """The trained U-Net on the run's device."""
    network = PConvUNet(trained.settings.width, trained.settings.levels)
    network.load_state_dict(trained.weights(ONLY_PART))
    return PConvInpainter(network.to(trained.device, memory_format=trained.memory_format))
