"""All frozen networks that a training loss looks through, with every forward pass made once.

The semantic loss needs the parser's logits, perceptual and style losses need feature maps, InCo2 needs the
reconstruction encoder. When the perceptual features come from the parser's own trunk, one parser pass
serves three losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from replication.backbones.perceptual import FeatureMaps, PerceptualFeatures
from replication.errors import InputError
from replication.methods.parser.bisenet import FaceParser
from replication.methods.parser.features import ParserFeatures
from replication.methods.reconstruction.network import ReconstructionEncoder


@dataclass(frozen=True)
class Views:
    """What the frozen networks say about one batch; a part nobody asked for is None."""

    logits: Tensor | None  # (B, classes, H, W)
    maps: FeatureMaps | None
    encoded: Tensor | None  # (B, c', H/8, W/8)

    @property
    def labels(self) -> Tensor:
        """Argmax of the logits, (B, H, W) int64."""
        return self.logits.argmax(dim=1)


class FrozenNetworks:
    """Parser, perceptual features and reconstruction encoder behind one call.

    Not an nn.Module: a trainable may hold it without the networks' weights entering its checkpoints.

    Args:
        parser: for the semantic loss and for labels, or None.
        perceptual: for perceptual and style terms, or None.
        encoder: for InCo2, or None.
    """

    def __init__(
        self,
        *,
        parser: FaceParser | None = None,
        perceptual: PerceptualFeatures | None = None,
        encoder: ReconstructionEncoder | None = None,
    ):
        self.parser, self.perceptual, self.encoder = parser, perceptual, encoder

    def to(self, *args, **kwargs) -> FrozenNetworks:
        """Move every network, as `torch.nn.Module.to`."""
        for network in (self.parser, self.perceptual, self.encoder):
            if network is not None:
                network.to(*args, **kwargs)
        return self

    def __call__(
        self, images: Tensor, *, parsing: bool = True, perceptual: bool = True, encoding: bool = True
    ) -> Views:
        """Judge images (B, 3, H, W) in [-1, 1]; only the parts asked for are computed.

        The gradient flows from every part to `images`, never to the networks.

        Raises:
            InputError: a part is asked for whose network was not given.
        """
        for wanted, network, part in (
            (parsing, self.parser, "parser"),
            (perceptual, self.perceptual, "perceptual"),
            (encoding, self.encoder, "encoder"),
        ):
            if wanted and network is None:
                raise InputError(f"FrozenNetworks: {part} is needed but was not given.")
        logits = maps = encoded = None
        shared = isinstance(self.perceptual, ParserFeatures) and self.perceptual.parser is self.parser
        if parsing and perceptual and shared:
            logits, trunk = self.parser.parse_with_features(images)
            maps = ParserFeatures.from_trunk(trunk)
        else:
            if parsing:
                logits = self.parser(images)
            if perceptual:
                maps = self.perceptual(images * 0.5 + 0.5)
        if encoding:
            encoded = self.encoder(images)
        return Views(logits, maps, encoded)

    @torch.no_grad()
    def reference(
        self, images: Tensor, *, parsing: bool = True, perceptual: bool = True, encoding: bool = True
    ) -> Views:
        """The same for ground-truth images, without a graph."""
        return self(images, parsing=parsing, perceptual=perceptual, encoding=encoding)
