"""Settings of the autoencoder behind InCo2."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from replication.methods import MethodSettings
from replication.schedule import Schedule
from replication.settings import Count


class ReconstructionSettings(MethodSettings):
    """ShowFace says "an encoder-decoder based reconstruction network", trained for 30 epochs, and nothing more."""

    width: Count = Field(64, description="channels at full resolution (64 in the paper's size)")
    schedule: Schedule = Schedule(batch_size=8, lr=2e-4, betas=(0.9, 0.99), epochs=30)

    def misfits(self, image_size: int):
        """The bottleneck has stride 8."""
        if image_size % 8:
            yield "", f"image_size {image_size} must be a multiple of 8: the autoencoder halves images three times"

    def stated_by_the_paper(self, run: str) -> dict[str, tuple[Any, Any]]:
        """What ShowFace says of it."""
        recipe = Schedule(batch_size=8, lr=2e-4, betas=(0.9, 0.99), epochs=30)
        return {"schedule": (self.schedule, recipe), "width": (self.width, 64)}
