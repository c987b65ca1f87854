"""Settings of the face parser: trained here, or the published weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from replication.methods import MethodSettings
from replication.schedule import Schedule
from replication.settings import Count


class _Parser(MethodSettings):
    width: Count = Field(64, description="channels of the trunk's first stage (64 published)")
    upscale: int = Field(1, ge=1, le=8, description="images are enlarged by this before parsing (2: 256 -> 512)")
    output_stride: Literal[4, 8] = Field(8, description="pixels per cell of its finest features (8 published)")

    def stated_by_the_paper(self, run: str) -> dict[str, tuple[Any, Any]]:
        """What ShowFace says of it."""
        return {"source": (self.source, "published")}


class TrainedParser(_Parser):
    """A BiSeNet trained on labelled faces of the run's data set."""

    source: Literal["train"] = "train"
    schedule: Schedule

    def faults(self) -> Iterator[tuple[str, str]]:
        """A schedule with a decay of its own would be ignored."""
        if self.schedule.decay != "constant":
            yield "schedule.decay", "must be constant; the parser's training has a polynomial decay of its own"


class PublishedParser(_Parser):
    """The parser that zllrunning trained on CelebAMask-HQ; its file is checked by hash."""

    source: Literal["published"] = "published"
    weights: str

    def faults(self) -> Iterator[tuple[str, str]]:
        """Other widths would not take the published tensors."""
        if (self.width, self.output_stride) != (64, 8):
            yield "width", "the published parser has width 64 and output_stride 8"


ParserSettings = Annotated[TrainedParser | PublishedParser, Field(discriminator="source")]
