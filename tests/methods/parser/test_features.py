"""The parser's trunk as perceptual features."""

from __future__ import annotations

import torch

from replication.methods.parser.bisenet import BiSeNet, FaceParser
from replication.methods.parser.features import ParserFeatures


def test_parser_features_are_its_trunk_at_four_depths():
    torch.manual_seed(0)
    parser = FaceParser(BiSeNet(19, width=4), upscale=2)
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    maps = ParserFeatures(parser)(images)
    assert [m.shape[1:] for m in maps.perceptual] == [(4, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4)]
    torch.testing.assert_close(maps.style[1], parser.parse_with_features(images * 2 - 1)[1].layer1)
    sum(m.sum() for m in maps.perceptual).backward()
    assert images.grad.abs().sum() > 0
