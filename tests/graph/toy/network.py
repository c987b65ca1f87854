"""The second part: a convolution over the masked image and noise, beside the mean colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from replication.methods.toy.mean import open_part
from torch import Tensor, nn

from replication.layers.noise import normal_like
from replication.layers.pasting import composite, hide
from replication.methods import ONLY_PART, Task, Trace, TrainedRun, Training, tensor
from replication.training.trainable import Trainable


class Network(nn.Module):
    """(B,3,H,W) masked image, (B,1,H,W) mask, (B,1,H,W) noise -> (B,3,H,W)."""

    def __init__(self, kernel: int, colour: Tensor):
        super().__init__()
        self.conv = nn.Conv2d(5, 3, kernel, padding=kernel // 2)
        self.register_buffer("colour", colour.clone())

    def forward(self, image: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        return torch.tanh(self.conv(torch.cat([hide(image, mask), mask, noise], 1)) + self.colour)


class ToyTraining(Trainable):
    """Mean absolute error."""

    def __init__(self, network: Network, noise: float, lr: float):
        super().__init__()
        self.network, self.noise, self.lr = network, noise, lr

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"network": torch.optim.Adam(self.network.parameters(), self.lr)}

    def training_step(self, batch: dict, update) -> dict[str, Tensor]:
        image, mask = batch["image"], batch["mask"]
        loss = (self.network(image, mask, self.noise * normal_like(mask)) - image).abs().mean()
        update("network", loss)
        return {"loss": loss.detach()}

    def inference_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()


def train(task: Task) -> Training:
    """The convolution of the run."""
    p = task.settings
    network = Network(p.kernel, task.open("mean"))
    return Training(ToyTraining(network, p.noise, p.schedule.lr), p.schedule)


@dataclass(frozen=True)
class ToyTrace(Trace):
    """What the toy computes."""

    noise: Tensor = tensor("map", "what was drawn for the image")
    raw: Tensor = tensor("picture", "R, the raw output")


class ToyInpainter:
    """Draws its noise from the seed of each image."""

    needs = frozenset[str]()

    def __init__(self, network: Network, amount: float):
        self.network, self.amount = network.eval().requires_grad_(False), amount

    def _noise(self, mask: Tensor, seeds: Sequence[int]) -> Tensor:
        drawn = [torch.randn(mask.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return self.amount * torch.stack(drawn).to(mask.device)

    def inpaint(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> Tensor:
        image, mask = batch["image"], batch["mask"]
        return composite(self.network(image, mask, self._noise(mask, seeds)), image, mask)

    def features(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> ToyTrace:
        image, mask = batch["image"], batch["mask"]
        noise = self._noise(mask, seeds)
        raw = self.network(image, mask, noise)
        masked, completed = hide(image, mask), composite(raw, image, mask)
        return ToyTrace(masked_input=masked, mask=mask, completed=completed, noise=noise, raw=raw)


def open_run(trained: TrainedRun) -> ToyInpainter:
    """The trained convolution."""
    network = Network(trained.settings.kernel, open_part(trained))
    network.load_state_dict(trained.weights(ONLY_PART))
    return ToyInpainter(network.to(trained.device), trained.settings.noise)
