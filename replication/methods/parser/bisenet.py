"""BiSeNet face parser (Yu et al. 2018, ECCV) with the ResNet-18 trunk of the public CelebAMask-HQ parser.

State-dict names follow the published `79999_iter.pth`, so that file loads as it is. The spatial path of the
paper is absent there: the trunk's stride-8 feature takes its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication.backbones.frozen import FrozenNetwork
from replication.backbones.imagenet import normalise_signed
from replication.errors import InputError
from replication.published_weights import PARSER, read_published_weights

PUBLISHED_FILE, PUBLISHED_SHA256 = PARSER.file, PARSER.sha256


class TrunkFeatures(NamedTuple):
    """Activations of the ResNet-18 trunk; strides are relative to the network's input at output_stride 8."""

    stem: Tensor  # (B, w, H/2, W/2), after the first ReLU
    layer1: Tensor  # (B, w, H/4, W/4)
    layer2: Tensor  # (B, 2w, H/8, W/8)
    layer3: Tensor  # (B, 4w, H/16, W/16)
    layer4: Tensor  # (B, 8w, H/32, W/32)


class ConvBNReLU(nn.Module):
    """Bias-free convolution, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions (He et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        # A 1x1 convolution with a stride reads one pixel in so many: taking these first is the same function. Narrow
        # ones run so because of torch 2.15.0: on CPUs without AVX-512, strided, in channels last and with fewer than 8
        # channels, the gradient of the weight differed from call to call, and the process could end with a broken heap.
        self.taken = stride if in_channels < 8 else 1
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride // self.taken, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x[:, :, :: self.taken, :: self.taken])
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


class ResNet18Trunk(nn.Module):
    """ResNet-18 without its classifier: 11,176,512 parameters at width 64."""

    def __init__(self, width: int = 64, output_stride: int = 8):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if output_stride == 8 else nn.Identity()
        channels = (width, width, 2 * width, 4 * width, 8 * width)
        for level in range(1, 5):
            first = BasicBlock(channels[level - 1], channels[level], stride=1 if level == 1 else 2)
            setattr(self, f"layer{level}", nn.Sequential(first, BasicBlock(channels[level], channels[level], 1)))

    def forward(self, x: Tensor) -> TrunkFeatures:
        stem = F.relu(self.bn1(self.conv1(x)), inplace=True)
        layer1 = self.layer1(self.maxpool(stem))
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        return TrunkFeatures(stem, layer1, layer2, layer3, self.layer4(layer3))


class AttentionRefinement(nn.Module):
    """3x3 ConvBNReLU, then a channel gate from the global average (the paper's ARM)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = ConvBNReLU(in_channels, out_channels)
        self.conv_atten = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(x.mean(dim=(2, 3), keepdim=True))))


class ContextPath(nn.Module):
    """Trunk plus the top-down path from stride 32 over 16 to 8."""

    def __init__(self, width: int, output_stride: int):
        super().__init__()
        self.resnet = ResNet18Trunk(width, output_stride)
        self.arm16 = AttentionRefinement(4 * width, 2 * width)
        self.arm32 = AttentionRefinement(8 * width, 2 * width)
        self.conv_head32 = ConvBNReLU(2 * width, 2 * width)
        self.conv_head16 = ConvBNReLU(2 * width, 2 * width)
        self.conv_avg = ConvBNReLU(8 * width, 2 * width, kernel=1)

    def forward(self, x: Tensor) -> tuple[TrunkFeatures, Tensor, Tensor]:
        trunk = self.resnet(x)
        average = self.conv_avg(trunk.layer4.mean(dim=(2, 3), keepdim=True))
        context32 = self.arm32(trunk.layer4) + average
        context32 = self.conv_head32(F.interpolate(context32, trunk.layer3.shape[2:], mode="nearest"))
        context16 = self.arm16(trunk.layer3) + context32
        context16 = self.conv_head16(F.interpolate(context16, trunk.layer2.shape[2:], mode="nearest"))
        return trunk, context16, context32


class FeatureFusion(nn.Module):
    """Concatenation, 1x1 ConvBNReLU, channel gate with residual: out = f + f * gate (the paper's FFM)."""

    def __init__(self, channels: int):
        super().__init__()
        self.convblk = ConvBNReLU(channels, channels, kernel=1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        fused = self.convblk(torch.cat([spatial, context], dim=1))
        gate = F.relu(self.conv1(fused.mean(dim=(2, 3), keepdim=True)))
        return fused + fused * torch.sigmoid(self.conv2(gate))


class OutputHead(nn.Module):
    """3x3 ConvBNReLU, then a bias-free 1x1 convolution to class logits."""

    def __init__(self, in_channels: int, mid_channels: int, classes: int):
        super().__init__()
        self.conv = ConvBNReLU(in_channels, mid_channels)
        self.conv_out = nn.Conv2d(mid_channels, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Two-scale-context segmentation network with one main and two auxiliary heads.

    Args:
        classes: number of labels (19 for CelebAMask-HQ).
        width: channels of the stem; 64 is the published network (13,300,416 parameters with 19 classes).
        output_stride: 8 as published, or 4, which leaves out the max pooling after the stem: the label
            grid of an image twice as large for small images, with the same parameters and names.

    Input: (B, 3, H, W) RGB, ImageNet-normalised; H and W multiples of 4 * output_stride are exact.
    """

    def __init__(self, classes: int = 19, width: int = 64, output_stride: int = 8):
        super().__init__()
        if output_stride not in (4, 8):
            raise InputError(f"BiSeNet: output_stride is {output_stride}, allowed are 4 and 8.")
        self.classes, self.width, self.output_stride = classes, width, output_stride
        self.cp = ContextPath(width, output_stride)
        self.ffm = FeatureFusion(4 * width)
        self.conv_out = OutputHead(4 * width, 4 * width, classes)
        self.conv_out16 = OutputHead(2 * width, width, classes)
        self.conv_out32 = OutputHead(2 * width, width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=1)

    def features(self, x: Tensor) -> TrunkFeatures:
        """Trunk activations from the stem (stride 2) to layer4 (stride 32)."""
        return self.cp.resnet(x)

    def forward_with_features(self, x: Tensor) -> tuple[Tensor, TrunkFeatures]:
        """Main logits (B, classes, H, W) and the trunk's activations, in one pass without auxiliary heads."""
        trunk, context16, _ = self.cp(x)
        logits = self.conv_out(self.ffm(trunk.layer2, context16))
        return _resize_logits(logits, x), trunk

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the main head and of the two auxiliary heads, each (B, classes, H, W)."""
        trunk, context16, context32 = self.cp(x)
        main = self.conv_out(self.ffm(trunk.layer2, context16))
        heads = (main, self.conv_out16(context16), self.conv_out32(context32))
        return tuple(_resize_logits(logits, x) for logits in heads)


def _resize_logits(logits: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=True)


def published_parser(weights_path: str | Path) -> BiSeNet:
    """The parser trained on CelebAMask-HQ by zllrunning, 19 labels; use it at 512 px (upscale 2 at 256 px).

    Args:
        weights_path: `79999_iter.pth`, also published as `parsing_bisenet.pth`; checked by hash.

    Raises:
        InputError: the file is missing or another one.
    """
    network = BiSeNet()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    # Not converted here: the pipeline stores it among its own networks, as safetensors.
    weights, _ = read_published_weights(
        weights_path, name=PUBLISHED_FILE, sha256=PUBLISHED_SHA256, expected=shapes, convert=False
    )
    network.load_state_dict(weights)
    return network


def at_parser_size(images: Tensor, upscale: int) -> Tensor:
    """Images in [-1, 1] -> ImageNet-normalised and enlarged: the published weights expect 512 px faces."""
    images = normalise_signed(images)
    if upscale == 1:
        return images
    return F.interpolate(images, scale_factor=upscale, mode="bilinear", align_corners=False)


def at_image_size(logits: Tensor, upscale: int) -> Tensor:
    """Nearest reduction, which commutes with argmax: labels are those of the enlarged image."""
    return logits[:, :, ::upscale, ::upscale]


class FaceParser(FrozenNetwork):
    """A trained BiSeNet behind the image convention of this package (ShowFace section 3.1; frozen).

    Args:
        network: BiSeNet with its final weights; copied, batch norms folded (so load weights before wrapping).
        upscale: whole factor by which images are enlarged (bilinear) before parsing; 2 turns 256 px
            into the 512 px at which the published weights were trained.
    """

    def __init__(self, network: BiSeNet, upscale: int = 1):
        super().__init__(network)
        if upscale < 1:
            raise InputError(f"FaceParser: upscale is {upscale}, allowed are whole numbers from 1.")
        self.upscale = upscale
        self.classes = network.classes

    def parse_with_features(self, images: Tensor) -> tuple[Tensor, TrunkFeatures]:
        """(B, 3, H, W) in [-1, 1] -> logits (B, classes, H, W), trunk activations of the enlarged image."""
        logits, trunk = self.network.forward_with_features(at_parser_size(images, self.upscale))
        return at_image_size(logits, self.upscale), trunk

    def features(self, images: Tensor) -> TrunkFeatures:
        """Trunk activations only: cheaper when nobody asks for labels."""
        return self.network.features(at_parser_size(images, self.upscale))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> logits (B, classes, H, W). The gradient flows to `images`."""
        return self.parse_with_features(images)[0]

    @torch.no_grad()
    def labels(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> labels (B, H, W) int64."""
        return self(images).argmax(dim=1)
