"""A small attribute network trained in the pipeline: the Fréchet distance's offline stand-in for Inception.

No training loss looks through it, so no method can be trained towards the number that judges it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication.backbones.frozen import FrozenNetwork


class AttributeNetwork(nn.Module):
    """Four stride-2 3x3 convolutions (BatchNorm, ReLU), global average, embedding, one logit per attribute.

    Args:
        attributes: number of binary attributes.
        width: channels of the first convolution (then x2, x4, x8).
        dimensions: length d of the embedding.
    """

    def __init__(self, attributes: int, width: int = 32, dimensions: int = 128):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for out_channels in (width, 2 * width, 4 * width, 8 * width):
            layers.append(nn.Conv2d(channels, out_channels, 3, stride=2, padding=1, bias=False))
            nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
            layers += [nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
            channels = out_channels
        self.trunk = nn.Sequential(*layers)
        self.embedding = nn.Linear(channels, dimensions)
        self.head = nn.Linear(dimensions, attributes)
        self.dimensions = dimensions

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, d), before the last non-linearity."""
        return self.embedding(self.trunk(images).mean(dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> logits (B, attributes)."""
        return self.head(F.relu(self.embed(images)))


class AttributeFeatures(FrozenNetwork):
    """Feature extractor of the Fréchet distance in profiles without Inception's published weights."""

    name = "FD (attribute network)"

    def __init__(self, network: AttributeNetwork, sha256: str | None = None):
        super().__init__(network)
        self.sha256 = sha256
        self.dimensions = network.dimensions

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """uint8 RGB images (B, 3, H, W) -> embeddings (B, d) float32 on the network's device."""
        device = self.network.embedding.weight.device
        signed = images.to(device=device, dtype=torch.float32) / 127.5 - 1.0
        return self.network.embed(signed).float()
