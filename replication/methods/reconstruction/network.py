"""The reconstruction network whose encoder InCo2 looks through (ShowFace section 3.5, Figure 4).

The paper says "an encoder-decoder based reconstruction network" and "the middle layer", nothing more.
Here: no skip connections (they would let the bottleneck be empty) and batch norm, which is local once
frozen: a bottleneck cell sees 21 pixels. Instance norm would mix hole and known regions, which InCo2
wants to tell apart.
"""

from __future__ import annotations

from torch import Tensor, nn

from replication.backbones.frozen import FrozenNetwork


def _block(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


class ReconstructionNetwork(nn.Module):
    """Autoencoder with a stride-8 bottleneck of 4 * width channels (256 x 32 x 32 at 256 px and width 64).

    Encoder: 7x7 stride 1 to width, then 3x3 stride 2 to 2x, 4x and 4x width; decoder mirrored, nearest x2
    before its 3x3 convolutions, tanh at the end. H and W must be multiples of 8.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.width = width
        self.encoder = nn.Sequential(
            *_block(3, width, 7),
            *_block(width, 2 * width, 3, stride=2),
            *_block(2 * width, 4 * width, 3, stride=2),
            *_block(4 * width, 4 * width, 3, stride=2),
        )
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_block(4 * width, 4 * width, 3),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_block(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_block(2 * width, width, 3),
            nn.Conv2d(width, 3, 7, padding=3),
            nn.Tanh(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> reconstruction of the same shape and range."""
        return self.decoder(self.encoder(images))


class ReconstructionEncoder(FrozenNetwork):
    """The frozen encoder: (B, 3, H, W) in [-1, 1] -> (B, 4 * width, H/8, W/8), >= 0."""

    def __init__(self, network: ReconstructionNetwork):
        super().__init__(network.encoder)
        self.channels = 4 * network.width

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)
