"""Learning rates as a function of the images seen, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch.optim import Optimizer

from replication.schedule import Schedule


@dataclass(frozen=True)
class LearningRate:
    """A peak rate and how it changes over a run.

    Args:
        peak: rate at the start.
        decay: "constant" (the papers) or "cosine" to 0 at `total_images` (short runs profit from it).
        total_images: length of the run; only "cosine" needs it.
    """

    peak: float
    decay: str = "constant"
    total_images: int = 1

    @classmethod
    def of(cls, schedule: Schedule, train_images: int) -> LearningRate:
        """The rate of a part's schedule on a data set of so many training images."""
        return cls(schedule.lr, schedule.decay, schedule.total_images(train_images))

    def at(self, images_seen: int) -> float:
        """The rate when `images_seen` images have been seen.

        "cosine" is ½ · peak · (1 + cos(π · images_seen / total_images)). By images, not steps, so that a run in
        larger batches has the same schedule.
        """
        if self.decay == "constant":
            return self.peak
        # At most 1: past the end the cosine would let the rate rise again.
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, images_seen / self.total_images)))


def set_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Give every parameter group of the optimisers this rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
