"""The face embedding behind EXE-GAN's identity loss: an ArcFace-trained ResNet-101.

Lu et al. 2022 (arXiv 2202.06358). The authors' code loads the file `Arcface.pth` into torchvision's ResNet-101 with 256
outputs, every name as there; 43,024,704 parameters. No hash of the file is published, so the names and shapes of its
tensors are all that can be checked.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication.backbones.frozen import FrozenNetwork
from replication.published_weights import FACE_EMBEDDING, read_published_weights

SIDE = 112
"""Pixels to which images are resized before the network."""
DIMENSIONS = 256


def embedding_network() -> nn.Module:
    """torchvision's ResNet-101 with 256 outputs, on the meta device: names and shapes without numbers."""
    from torchvision.models import resnet101

    with torch.device("meta"):
        return resnet101(weights=None, num_classes=DIMENSIONS)


class FaceEmbedding(FrozenNetwork):
    """Unit vectors whose products say how alike two faces are.

    Args:
        weights_path: `Arcface.pth` of EXE-GAN.
        sha256: its hash, where the user knows it; none is published.

    `published` names the file and its whole hash, for result cards.

    Raises:
        InputError: the file is missing or another one.
    """

    def __init__(self, weights_path: str | Path, *, sha256: str | None = FACE_EMBEDDING.sha256):
        network = embedding_network()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        weights, found = read_published_weights(weights_path, name=FACE_EMBEDDING.file, sha256=sha256, expected=shapes)
        network.load_state_dict(weights, assign=True)
        super().__init__(network)
        self.published = {"file": FACE_EMBEDDING.file, "sha256": found}

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 256) of length 1. The gradient flows to `images`."""
        return F.normalize(self.network(F.interpolate(images, size=SIDE, mode="bilinear")))
