"""Settings of MDRNets; networks and losses take these very objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from replication.methods import MethodSettings
from replication.methods.perceptual import PerceptualSettings, ThroughParser
from replication.schedule import Schedule
from replication.settings import Count, NonNegative, Positive, Settings, Share, Weight

RECIPE = Schedule(batch_size=8, lr=2e-4, betas=(0.9, 0.99), epochs=45)
"""What the paper states (section 4.1)."""


class Size(Settings):
    """Widths of the generator; the defaults are the full size of the profile `paper`."""

    channels: int = Field(512, ge=8, multiple_of=8, description="c: style features, memory vectors, SPADE guide")
    style_width: Count = Field(32, description="first layer of the style encoder")
    width: Count = Field(64, description="refinement network at full resolution")
    blocks: NonNegative = Field(4, description="gated residual blocks")
    spade_hidden: Count = 128
    patch: Count = Field(8, description="side of a correlation patch on the grid of half the image")


class Memory(Settings):
    """Equations 1 to 5; see `layers.memory.DisentangledMemory`."""

    slots: int = Field(128, ge=1, le=65536, description="m, per class")
    decay: Share = Field(0.99, description="alpha of equation 3")
    shared: bool = Field(False, description="one block for all classes (Table 4)")
    temperature: Positive = Field(1.0, description="divides the similarity of equation 4; 1 is the paper's text")
    read: Literal["softmax", "class_mean"] = "softmax"
    start: Literal["random", "data"] = Field("data", description="where the slots begin; random: of any direction")


class Mining(Settings):
    """Section 3.3; see `layers.correlation_mining.MaskedCorrelationMining`."""

    similarity: Literal["dot", "cosine"] = "dot"
    scale: Positive = Field(10.0, description="factor of the cosine similarity")
    key_mask: Literal["none", "known_any"] = "none"
    attention: Literal["softmax", "uniform"] = Field("softmax", description="uniform: the same weight for every patch")


class Losses(Settings):
    """Weights of equation 15's terms (the paper reports none) and how InCo2 is read."""

    intra: Weight = 1.0
    inter: Weight = 1.0
    semantic: Weight = 0.1
    reconstruction: Weight = 1.0
    perceptual: Weight = 0.1
    style: Weight = 250.0
    adversarial: Weight = 0.1
    total_variation: Weight = 0.1
    # ("on" would be a boolean in YAML)
    apply_to: Literal["raw", "composite"] = Field("raw", description="losses see the raw output R, or the composite")
    regions: Literal["semantic", "mask"] = Field("semantic", description="InCo2 rows: per class, or per mask side")
    similarity: Literal["dot", "cosine"] = "dot"
    semantic_classes: Literal[19, 14] = 19


class Coarse(Settings):
    """Which trained runs of PConv make the coarse face P."""

    run: str = Field("pconv", description="run of pconv whose first training is the coarse network")
    for_ffhq: str = Field("pconv", description="the same for runs on FFHQ; the paper uses one network for both sets")
    paste: bool = Field(True, description="known pixels go back over P before anything looks at it")


class FirstStage(Settings):
    """Coarse faces and labels of a fixed table of training pairs, computed once for all runs on a data set."""

    pairs: NonNegative = Field(
        0, description="training pairs in the table; 0 = new masks, and the first stage in each step"
    )


class MDRNetSettings(MethodSettings):
    """The section `methods.mdrnet`."""

    size: Size = Size()
    discriminator_width: Count = 64
    discriminator_norm: Literal["spectral", "batch"] = "spectral"
    discriminator_lr_ratio: Positive = 1.0
    spade_norm: Literal["instance", "batch"] = "instance"
    dmm: bool = Field(True, description="disentangled memory module")
    mcm: bool = Field(True, description="masked correlation mining")
    memory: Memory = Memory()
    mining: Mining = Mining()
    losses: Losses = Losses()
    perceptual: PerceptualSettings = ThroughParser()
    schedule: Schedule = RECIPE
    coarse: Coarse = Coarse()
    first_stage: FirstStage = FirstStage()

    def misfits(self, image_size: int) -> Iterator[tuple[str, str]]:
        """Patches tile the grid of half the image."""
        grid = image_size // 2
        if grid % self.size.patch:
            yield "size.patch", f"must divide the feature grid {grid} = image_size/2, got {self.size.patch}"

    def opens(self, part: str, need: str, dataset: str) -> bool:
        """A data set has one coarse network; without a table of pairs nothing is computed for it beforehand."""
        if part == "first_stage" and not self.first_stage.pairs:
            return False
        coarse = {"pconv:coarse.run": self.coarse.run, "pconv:coarse.for_ffhq": self.coarse.for_ffhq}
        return need not in coarse or coarse[need] == self.coarse_run(dataset)

    def stated_by_the_paper(self, run: str) -> dict[str, tuple[Any, Any]]:
        """What ShowFace says of it, and the full size, which it does not state but which a small network is not."""
        full = {}
        if run in ("full", "full_ffhq"):  # the others vary these
            full = {
                "memory.slots": (self.memory.slots, 128),
                "memory.shared": (self.memory.shared, False),
                "memory.read": (self.memory.read, "softmax"),
                "dmm": (self.dmm, True),
                "mcm": (self.mcm, True),
                "losses.intra above 0": (self.losses.intra > 0, True),
                "losses.inter above 0": (self.losses.inter > 0, True),
                "losses.semantic above 0": (self.losses.semantic > 0, True),
            }
        return full | {
            "size": (self.size, Size()),
            "discriminator_width": (self.discriminator_width, 64),
            "schedule": (self.schedule, RECIPE),
            "coarse.for_ffhq": (self.coarse.for_ffhq, self.coarse.run),
            "perceptual.source": (self.perceptual.source, "vgg"),
        }

    def coarse_run(self, dataset: str) -> str:
        """The run of PConv that is the coarse network on a data set."""
        return self.coarse.for_ffhq if dataset == "ffhq" else self.coarse.run
