"""LPIPS (Zhang et al. 2018, version 0.1) by its authors' `lpips` package, which is optional here.

The package brings its linear weights but downloads its trunk; here the trunk is a file of the user's, and nothing
is ever downloaded.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from replication.errors import InputError
from replication.evaluation.pixels import check_pair, chunk_size
from replication.published_weights import ALEXNET, VGG16, PublishedFile, read_published_weights


@dataclass(frozen=True)
class Trunk:
    """One of the networks that LPIPS looks through, as torchvision publishes it."""

    label: str
    net: str  # the package's name for it
    model: str  # torchvision's
    published: PublishedFile
    first_kernel: int  # side of the first convolution, which tells the files apart
    smallest_side: int  # below it a pooling layer has no output


TRUNKS = (
    Trunk("AlexNet", "alex", "alexnet", ALEXNET, first_kernel=11, smallest_side=31),
    Trunk("VGG-16", "vgg", "vgg16", VGG16, first_kernel=3, smallest_side=16),
)


class PerceptualDistance:
    """LPIPS with the trunk whose torchvision weights are in the file `weights_path`.

    The file must be alexnet-owt-7be5be79.pth or vgg16-397923af.pth, checked by its hash and by every tensor's name and
    shape (`published_weights`); `sha256_prefix` replaces the expected beginning of the hash, for a trunk trained
    elsewhere, whose distances are then no published LPIPS. `label` names the trunk, `weights` says what was loaded,
    and images with a side below `smallest_side` have no distance.

    A missing package, a missing file, or one with other content raises InputError.
    """

    def __init__(
        self, weights_path: str | Path, *, device: str | torch.device = "cpu", sha256_prefix: str | None = None
    ) -> None:
        try:
            import lpips
        except ImportError as error:
            raise InputError(f"LPIPS needs the package lpips ({error}); install it or give no LPIPS weights") from error
        path, prefixes = Path(weights_path), tuple(trunk.published.sha256 for trunk in TRUNKS)
        state, self.sha256 = read_published_weights(
            path,
            name=" or ".join(trunk.published.file for trunk in TRUNKS),
            sha256=prefixes if sha256_prefix is None else sha256_prefix,
            expected=_shapes,
            keep="features.",
        )
        trunk = _trunk_of(state)
        network = _network(lpips, trunk, state)
        self.label, self.smallest_side = trunk.label, trunk.smallest_side
        self.weights = f"{trunk.label} {path.name} (sha256 {self.sha256}), linear layers 0.1 of the lpips package"
        self.device = torch.device(device)
        self.network = network.to(self.device)

    @torch.no_grad()
    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) twice -> float64 (B,) on the images' device, 0 for identical images.

        The network's arithmetic is float32: on a CPU one image at a time, so that batches change nothing.
        """
        check_pair(a, b)
        if min(a.shape[-2:]) < self.smallest_side:
            raise InputError(
                f"LPIPS with {self.label} needs images of at least {self.smallest_side} x {self.smallest_side} pixels, "
                f"got {a.shape[-2]} x {a.shape[-1]}"
            )
        size = 1 if self.device.type == "cpu" else chunk_size(a)
        parts = []
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            for x, y in zip(a.split(size), b.split(size), strict=True):
                x, y = (images.to(self.device).float() / 127.5 - 1 for images in (x, y))
                parts.append(self.network(x, y).reshape(-1))
        return torch.cat(parts).to(a.device).double()


def _trunk_of(state: Mapping[str, Tensor]) -> Trunk:
    """Which trunk the tensors of a file are; AlexNet's if they are neither's."""
    first = state.get("features.0.weight")
    kernel = first.shape[-1] if first is not None and first.ndim else None
    return next((trunk for trunk in TRUNKS if trunk.first_kernel == kernel), TRUNKS[0])


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors in torchvision's file of the trunk that the tensors look like."""
    from torchvision import models

    with torch.device("meta"):
        network = getattr(models, _trunk_of(state).model)(weights=None)
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def _network(lpips, trunk: Trunk, state: dict[str, Tensor]) -> torch.nn.Module:
    """The package's network with `state`, torchvision's, in its trunk; a missing or misshapen tensor raises."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # the package calls torchvision in a way that is deprecated
        network = lpips.LPIPS(net=trunk.net, pnet_rand=True, verbose=False)
    # "slice2.3.weight" of the package is "features.3.weight" of torchvision.
    names = {name: "features." + name.split(".", 1)[1] for name in network.net.state_dict()}
    network.net.load_state_dict({name: state[source] for name, source in names.items()})
    return network.eval().requires_grad_(False)
