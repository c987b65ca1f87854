"""The parser's trunk in place of a VGG."""

from __future__ import annotations

from torch import Tensor

from replication.backbones.perceptual import FeatureMaps
from replication.methods.parser.bisenet import FaceParser, TrunkFeatures


class ParserFeatures:
    """The face parser's trunk in place of a VGG: stem, layer1, layer2, layer3 for both terms.

    For profiles without published weights: the parser is trained in the pipeline, and its pass can be shared
    with a semantic loss. Not an nn.Module, since it has nothing of its own: `parser` is the network.
    """

    name = "face parser trunk"

    def __init__(self, parser: FaceParser):
        self.parser = parser

    @staticmethod
    def from_trunk(trunk: TrunkFeatures) -> FeatureMaps:
        """Pick the maps from a pass that was made anyway."""
        maps = (trunk.stem, trunk.layer1, trunk.layer2, trunk.layer3)
        return FeatureMaps(maps, maps)

    def to(self, *args, **kwargs) -> ParserFeatures:
        """Move the parser, as `torch.nn.Module.to`."""
        self.parser.to(*args, **kwargs)
        return self

    def __call__(self, images: Tensor) -> FeatureMaps:
        """(B, 3, H, W) in [0, 1] -> FeatureMaps of the images at the parser's size."""
        return self.from_trunk(self.parser.features(images * 2 - 1))
