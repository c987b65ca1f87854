"""Feature maps for perceptual and style losses: VGG with ImageNet weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from replication.backbones.frozen import FrozenNetwork
from replication.backbones.imagenet import normalise_unit
from replication.published_weights import VGG16, VGG19, read_published_weights


class FeatureMaps(NamedTuple):
    """Feature maps of one batch of images, each (B, C_l, H_l, W_l)."""

    perceptual: tuple[Tensor, ...]
    style: tuple[Tensor, ...]


class PerceptualFeatures(Protocol):
    """A frozen network: images (B, 3, H, W) in [0, 1] -> feature maps; `name` goes into result cards."""

    name: str

    def __call__(self, images: Tensor) -> FeatureMaps: ...


# Channels of the 3x3 convolutions between the five poolings.
_VGG16 = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
_VGG19 = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


def vgg_layers(plan: tuple[tuple[int, ...], ...], last: int) -> nn.Sequential:
    """The convolutional part of a VGG up to layer `last`, indexed like torchvision's `features`."""
    layers: list[nn.Module] = []
    channels = 3
    for group in plan:
        for out_channels in group:
            layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
            channels = out_channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers[: last + 1])


# Sizes of the three linear layers behind the convolutions: in the files, and unused here.
_CLASSIFIER = ((0, 4096, 512 * 7 * 7), (3, 4096, 4096), (6, 1000, 4096))


def vgg_shapes(plan: tuple[tuple[int, ...], ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors in torchvision's weight file of a VGG, the classifier included."""
    with torch.device("meta"):
        layers = vgg_layers(plan, len(plan) + 2 * sum(map(len, plan)) - 1)
    shapes = {f"features.{key}": tuple(value.shape) for key, value in layers.state_dict().items()}
    for index, outputs, inputs in _CLASSIFIER:
        shapes |= {f"classifier.{index}.weight": (outputs, inputs), f"classifier.{index}.bias": (outputs,)}
    return shapes


class _VGGFeatures(FrozenNetwork):
    """One pass through a VGG that collects the outputs of the named layer indices."""

    file_name: str
    sha256_prefix: str
    plan: tuple[tuple[int, ...], ...]
    perceptual_layers: tuple[int, ...]
    style_layers: tuple[int, ...]
    name: str

    def __init__(self, weights_path: str | Path):
        stored, sha256 = read_published_weights(
            weights_path,
            name=self.file_name,
            sha256=self.sha256_prefix,
            expected=vgg_shapes(self.plan),
            keep="features.",
        )
        with torch.device("meta"):
            layers = vgg_layers(self.plan, max(self.perceptual_layers + self.style_layers))
        weights = {key: stored[f"features.{key}"] for key in layers.state_dict()}
        layers.load_state_dict(weights, assign=True)
        super().__init__(layers)
        self.published = {"file": self.file_name, "sha256": sha256}

    def forward(self, images: Tensor) -> FeatureMaps:
        """(B, 3, H, W) in [0, 1] -> FeatureMaps; ImageNet normalisation happens here."""
        x = normalise_unit(images)
        wanted = set(self.perceptual_layers + self.style_layers)
        kept: dict[int, Tensor] = {}
        for index, layer in enumerate(self.network):
            x = layer(x)
            if index in wanted:
                kept[index] = x
        return FeatureMaps(
            tuple(kept[index] for index in self.perceptual_layers),
            tuple(kept[index] for index in self.style_layers),
        )


class VGG19Features(_VGGFeatures):
    """Perceptual: relu1_1, 2_1, 3_1, 4_1, 5_1; style: relu2_2, 3_4, 4_4, 5_2 (EdgeConnect, ICT, AOT-GAN).

    Args:
        weights_path: torchvision's `vgg19-dcbb9e9d.pth`; checked by hash, never downloaded.

    Raises:
        InputError: the file is missing or another one.
    """

    name = "VGG-19 (ImageNet)"
    file_name, sha256_prefix, plan = VGG19.file, VGG19.sha256, _VGG19
    perceptual_layers = (1, 6, 11, 20, 29)
    style_layers = (8, 17, 26, 31)


class VGG16Features(_VGGFeatures):
    """pool1, pool2, pool3 for both terms (Liu et al. 2018, partial convolutions).

    Args:
        weights_path: torchvision's `vgg16-397923af.pth`; checked by hash, never downloaded.

    Raises:
        InputError: the file is missing or another one.
    """

    name = "VGG-16 (ImageNet)"
    file_name, sha256_prefix, plan = VGG16.file, VGG16.sha256, _VGG16
    perceptual_layers = (4, 9, 16)
    style_layers = (4, 9, 16)
