"""Settings of PConv."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from replication.methods import MethodSettings
from replication.methods.perceptual import PerceptualSettings, ThroughParser
from replication.schedule import Schedule
from replication.settings import Count, Positive, Settings, Weight


class PConvWeights(Settings):
    """The PConv loss (Liu et al. 2018, section 3.3): its weights, of which `style` applies to output and composite
    each, and the pixels that its L1 and TV terms compare.
    """

    valid: Weight = 1.0
    hole: Weight = 6.0
    perceptual: Weight = 0.05
    style: Weight = 120.0
    total_variation: Weight = 0.1
    pixels: Literal["whitened", "unit"] = Field("whitened", description="ImageNet's whitening, or pixels in [0, 1]")


class PConvSettings(MethodSettings):
    """The full size is the 7-level version of the public 256-pixel networks."""

    width: Count = Field(64, description="channels of the first level (64 in the paper's size)")
    levels: int = Field(7, ge=2, le=8, description="halvings (7 at 256 pixels)")
    schedule: Schedule = Schedule(batch_size=8, lr=2e-4, betas=(0.9, 0.99), epochs=100)
    finetune_epochs: Weight = Field(0.0, description="last epochs with frozen encoder statistics (the original's)")
    finetune_lr: Positive = 5.0e-5
    losses: PConvWeights = PConvWeights()
    perceptual: PerceptualSettings = ThroughParser()

    def faults(self) -> Iterator[tuple[str, str]]:
        """The second phase is a part of the epochs."""
        if self.schedule.epochs is not None and self.finetune_epochs > self.schedule.epochs:
            yield "finetune_epochs", "must not exceed schedule.epochs"
        if self.finetune_epochs and self.schedule.epochs is None:
            yield "finetune_epochs", "needs schedule.epochs"

    def misfits(self, image_size: int) -> Iterator[tuple[str, str]]:
        """Every level halves the image."""
        if image_size % 2**self.levels:
            multiple = f"2^{self.levels} = {2**self.levels}"
            yield (
                "levels",
                f"image_size {image_size} must be a multiple of {multiple}; take another size, or fewer levels",
            )

    def stated_by_the_paper(self, run: str) -> dict[str, tuple[Any, Any]]:
        """What ShowFace says of it."""
        recipe = Schedule(batch_size=8, lr=2e-4, betas=(0.9, 0.99), epochs=100)
        return {
            "schedule": (self.schedule, recipe),
            "perceptual.source": (self.perceptual.source, "vgg"),
            "width": (self.width, 64),
            "levels": (self.levels, 7),
        }
