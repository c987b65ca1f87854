"""Training the attribute network behind the offline Fréchet distance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from replication.errors import InputError
from replication.methods import Task, Training
from replication.methods.attributes.network import AttributeNetwork
from replication.training.schedules import LearningRate, set_rate
from replication.training.trainable import Trainable, Update


def train(task: Task) -> Training:
    """The attribute network of the run, with one logit for each attribute of its data set.

    Raises:
        InputError: the data set has no attributes.
    """
    p, store = task.settings, task.faces
    names = [column for column in store.index.columns if column.startswith("attr_")]
    if not names:
        raise InputError(f"data.{task.dataset}: has no attribute columns; name a table with them, or use source: drawn")
    network = AttributeNetwork(attributes=len(names), width=p.width)
    rate = LearningRate.of(p.schedule, task.train_images)
    return Training(AttributeTraining(network, rate=rate, betas=p.schedule.betas), p.schedule)


class AttributeTraining(Trainable):
    """Train the attribute network with binary cross entropy, mean over images and attributes.

    Batch: image (B, 3, H, W) in [-1, 1], attributes (B, A) 0 or 1.
    Scalars: loss, accuracy (share of correct attributes).
    """

    needs = frozenset({"attributes"})

    def __init__(self, network: AttributeNetwork, *, rate: LearningRate, betas: tuple[float, float] = (0.9, 0.999)):
        super().__init__()
        self.network = network
        self.rate = rate
        self.optimizer = torch.optim.Adam(network.parameters(), rate.peak, betas, fused=True)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"attributes": self.optimizer}

    def training_step(self, batch: dict, update: Update) -> dict[str, Tensor]:
        set_rate([self.optimizer], self.rate.at(batch["images_seen"]))
        truth = batch["attributes"].float()
        logits = self.network(batch["image"]).float()
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        update("attributes", loss)
        accuracy = ((logits.detach() > 0) == (truth > 0.5)).float().mean()
        return {"loss": loss.detach(), "accuracy": accuracy}

    def inference_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()
