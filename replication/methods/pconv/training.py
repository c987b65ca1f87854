"""Training PConv with its own loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from replication.layers.pasting import hide
from replication.losses.partial_convolution import PConvLoss
from replication.methods import Task, Training
from replication.methods.pconv.network import PConvUNet
from replication.methods.perceptual import open_perceptual
from replication.training.schedules import LearningRate, set_rate
from replication.training.trainable import Trainable


def train(task: Task) -> Training:
    """The U-Net of the run with the PConv loss."""
    p, images = task.settings, task.train_images
    network = PConvUNet(p.width, p.levels)  # first: its start follows from the seed, whatever is opened later
    finetune_from = p.schedule.total_images(images) - round(p.finetune_epochs * images)
    trainable = PConvTraining(
        network,
        PConvLoss(open_perceptual(p.perceptual, "vgg16", task), **dict(p.losses)),
        rate=LearningRate.of(p.schedule, images),
        betas=p.schedule.betas,
        finetune_from=finetune_from if p.finetune_epochs else None,
        finetune_lr=p.finetune_lr,
    )
    return Training(trainable, p.schedule)


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
