"""Training the face parser on labelled faces, or taking the published weights."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from replication.errors import InputError
from replication.methods import Finished, Task, Training
from replication.methods.parser.bisenet import (
    PUBLISHED_SHA256,
    BiSeNet,
    at_image_size,
    at_parser_size,
    published_parser,
)
from replication.training.trainable import Trainable, Update


def train(task: Task) -> Training | Finished:
    """The parser of the run: trained on its data set, or the published weights under this suite's names.

    Raises:
        InputError: the data set has no parsing maps, or the published file is missing or another one.
    """
    p = task.settings
    if p.source == "published":
        file = Path(p.weights)
        weights = published_parser(file).state_dict()
        return Finished(weights, {"source": file.name, "source_sha256": PUBLISHED_SHA256})
    if task.faces.parsing is None:
        raise InputError(f"data.{task.dataset}: has no parsing maps; set its parsing_folder, or source: drawn")
    steps = p.schedule.steps(task.train_images)
    trainable = ParserTraining(
        BiSeNet(width=p.width, output_stride=p.output_stride),
        steps=steps,
        optimizer="adam",
        lr=p.schedule.lr,
        betas=p.schedule.betas,
        warmup=min(100, steps // 10),
        upscale=p.upscale,
    )
    return Training(trainable, p.schedule)


def hard_example_cross_entropy(logits: Tensor, labels: Tensor, threshold: float = 0.7) -> Tensor:
    """Cross entropy of the hard pixels only (online hard example mining, as in BiSeNet's training).

    Pixels whose true class has probability below `threshold` count; when they are fewer than 1/16 of all
    pixels, the hardest 1/16 count.

    Args:
        logits: (B, n, H, W).
        labels: (B, H, W) integers in 0..n-1.

    Returns:
        Scalar, float32, >= 0.
    """
    # One row per pixel: a view of channels_last logits, and deterministic on GPUs, unlike the 4-D form.
    rows = logits.float().movedim(1, -1).flatten(0, 2)
    losses = F.cross_entropy(rows, labels.long().flatten(), reduction="none")
    least = max(1, losses.numel() // 16)
    hard = losses > -math.log(threshold)
    count = hard.sum()
    # Both means are computed: choosing by value would make a GPU wait for the count.
    mean_hard = (losses * hard).sum() / count.clamp(min=1)
    # Sorted stably, not by `topk`: where equal losses stand on both sides of the limit, it is the pixels that come
    # first that count, and get the gradient.
    hardest = losses.sort(descending=True, stable=True).values[:least]
    return torch.where(count > least, mean_hard, hardest.mean())


class ParserTraining(Trainable):
    """Train a BiSeNet on labelled faces: hard-example cross entropy on the main and both auxiliary heads.

    Args:
        network: the BiSeNet to train.
        steps: length of the schedule in optimiser steps.
        optimizer: "sgd" (momentum 0.9; weight decay 5e-4 except for norms; ten times the rate for fusion and
            heads: the public recipe, with lr 1e-2) or "adam" (one rate, no decay; for short trainings).
        lr: peak rate of the trunk; reached linearly from 1e-5, then lowered to 0 with power 0.9.
        warmup: steps of linear warm-up (1,000 in the public recipe).
        upscale: the factor that the FaceParser will use.

    Batch: image (B, 3, H, W) in [-1, 1], parsing (B, H, W) labels, step; B >= 2 (batch norm of a 1x1 map).
    Scalars: loss, accuracy (share of pixels labelled correctly by the main head), lr.
    """

    needs = frozenset({"parsing"})

    def __init__(
        self,
        network: BiSeNet,
        *,
        steps: int,
        optimizer: str = "sgd",
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        warmup: int = 0,
        upscale: int = 1,
    ):
        super().__init__()
        if optimizer not in ("sgd", "adam"):
            raise InputError(f"ParserTraining: optimizer is {optimizer!r}, allowed are 'sgd' and 'adam'.")
        self.network = network
        self.steps, self.warmup, self.lr, self.upscale = steps, warmup, lr, upscale
        if optimizer == "adam":
            self.rates = [1.0]
            self.optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=betas, fused=True)
        else:
            trunk = list(network.cp.parameters())
            heads = [p for name, p in network.named_parameters() if not name.startswith("cp.")]
            self.rates = [1.0, 1.0, 10.0, 10.0]
            # Convolution weights decay; scales and shifts of batch norms (one axis) do not.
            groups = [
                {"params": [p for p in part if (p.ndim > 1) == decays], "weight_decay": 5e-4 * decays}
                for part in (trunk, heads)
                for decays in (True, False)
            ]
            self.optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"parser": self.optimizer}

    def learning_rate(self, step: int) -> float:
        """Rate of the trunk at a 0-based step: linear from 1e-5 to lr, then lr * (1 - progress)^0.9."""
        if step < self.warmup:
            return 1e-5 + (self.lr - 1e-5) * step / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * max(0.0, 1.0 - progress) ** 0.9

    def training_step(self, batch: dict, update: Update) -> dict[str, Tensor]:
        rate = self.learning_rate(batch["step"])
        for group, factor in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        outputs = self.network(at_parser_size(batch["image"], self.upscale))
        heads = [at_image_size(logits, self.upscale) for logits in outputs]
        labels = batch["parsing"].long()
        loss = sum(hard_example_cross_entropy(logits, labels) for logits in heads)
        update("parser", loss)
        accuracy = (heads[0].argmax(dim=1) == labels).float().mean()
        return {"loss": loss.detach(), "accuracy": accuracy, "lr": torch.tensor(rate)}

    def inference_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()
