"""Training the autoencoder behind InCo2."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from replication.methods import Task, Training
from replication.methods.reconstruction.network import ReconstructionNetwork
from replication.training.schedules import LearningRate, set_rate
from replication.training.trainable import Trainable, Update


def train(task: Task) -> Training:
    """The autoencoder of the run: real faces, no masks."""
    p = task.settings
    network = ReconstructionNetwork(p.width)
    rate = LearningRate.of(p.schedule, task.train_images)
    return Training(ReconstructionTraining(network, rate=rate, betas=p.schedule.betas), p.schedule)


class ReconstructionTraining(Trainable):
    """Train the autoencoder on whole, unmasked faces with the mean absolute error (range [0, 1]).

    Scalars: loss.
    """

    needs = frozenset()

    def __init__(self, network: ReconstructionNetwork, *, rate: LearningRate, betas: tuple[float, float] = (0.9, 0.99)):
        super().__init__()
        self.network = network
        self.rate = rate
        self.optimizer = torch.optim.Adam(network.parameters(), rate.peak, betas, fused=True)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"reconstruction": self.optimizer}

    def training_step(self, batch: dict, update: Update) -> dict[str, Tensor]:
        set_rate([self.optimizer], self.rate.at(batch["images_seen"]))
        images = batch["image"]
        loss = 0.5 * F.l1_loss(self.network(images).float(), images.float())
        update("reconstruction", loss)
        return {"loss": loss.detach()}

    def inference_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()
