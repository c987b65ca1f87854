"""The first part: the mean colour of faces."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from replication.methods import Task, TrainedRun, Training
from replication.training.trainable import Trainable


class MeanColour(Trainable):
    """Three numbers, trained to be near every pixel."""

    def __init__(self, lr: float):
        super().__init__()
        self.colour, self.lr = nn.Parameter(torch.zeros(1, 3, 1, 1)), lr

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"colour": torch.optim.Adam([self.colour], self.lr)}

    def training_step(self, batch: dict, update) -> dict[str, Tensor]:
        loss = (batch["image"] - self.colour).abs().mean()
        update("colour", loss)
        return {"loss": loss.detach()}


def train(task: Task) -> Training:
    """The mean of the data set of the run."""
    return Training(MeanColour(task.settings.schedule.lr), task.settings.schedule)


def open_part(trained: TrainedRun) -> Tensor:
    """The colour (1,3,1,1), for the part that needs it."""
    return trained.weights("mean")["colour"].to(trained.device)
