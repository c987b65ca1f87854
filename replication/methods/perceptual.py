"""Which network a system's perceptual and style losses look through: a published VGG, or the parser trained here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from replication.settings import Settings

if TYPE_CHECKING:
    from replication.backbones.perceptual import PerceptualFeatures
    from replication.methods import Task


class ThroughParser(Settings):
    """The trunk of the face parser that the pipeline trains: for profiles without published weights."""

    source: Literal["parser"] = "parser"


class ThroughVGG(Settings):
    """A VGG with ImageNet weights as torchvision publishes them, checked by hash."""

    source: Literal["vgg"] = "vgg"
    weights: str


PerceptualSettings = Annotated[ThroughParser | ThroughVGG, Field(discriminator="source")]


def open_perceptual(
    settings: ThroughParser | ThroughVGG, vgg: str, task: Task, parser: Any = None
) -> PerceptualFeatures:
    """The frozen features: `vgg` is "vgg16" or "vgg19"; `parser` an opened one, so that its pass can be shared.

    Raises:
        InputError: the file is missing or another one.
    """
    from replication.backbones.perceptual import VGG16Features, VGG19Features
    from replication.methods.parser.features import ParserFeatures

    if settings.source == "parser":
        return ParserFeatures(parser if parser is not None else task.open("parser"))
    return (VGG19Features if vgg == "vgg19" else VGG16Features)(Path(settings.weights))
