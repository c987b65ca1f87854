"""How long a part is trained, and with what Adam settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from replication.settings import Count, Positive, Settings


class Schedule(Settings):
    """How long and with what Adam settings to train. Exactly one of epochs and images is given."""

    batch_size: Count = Field(description="images a step")
    lr: Positive = Field(description="Adam's learning rate")
    betas: tuple[Annotated[float, Field(ge=0, le=0.9999)], Annotated[float, Field(ge=0, le=0.99999)]] = Field(
        description="Adam's two decay rates"
    )
    epochs: Positive | None = Field(None, description="passes over the training set; or give images")
    images: Count | None = Field(None, description="images to see; or give epochs")
    decay: Literal["constant", "cosine"] = Field("constant", description="course of the learning rate")

    def faults(self) -> Iterator[tuple[str, str]]:
        if (self.epochs is None) == (self.images is None):
            yield "", "give exactly one of epochs and images"

    def total_images(self, train_images: int) -> int:
        """Images to see: `images`, or epochs times the training set's size."""
        return self.images if self.images is not None else round(self.epochs * train_images)

    def steps(self, train_images: int) -> int:
        """Optimiser steps of `batch_size` images, at least one."""
        return max(1, self.total_images(train_images) // self.batch_size)
