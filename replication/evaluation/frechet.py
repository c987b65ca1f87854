"""Fréchet distance between two sets of features, and who may call it FID.

Heusel et al. 2017 (section 4): with means m and unbiased covariances S of the features,
d^2 = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication.errors import InputError
from replication.published_weights import INCEPTION, read_published_weights

INCEPTION_FILE, INCEPTION_SHA256_PREFIX = INCEPTION.file, INCEPTION.sha256


@runtime_checkable
class FeatureExtractor(Protocol):
    """A frozen network that describes pictures by vectors.

    `name` is printed beside every number: "FID" for the verified Inception network of pytorch-fid, else
    "FD (<network>)", such as "FD (attribute network)".
    """

    name: str

    def features(self, images: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> float32 (B, d); each row depends on its own image only."""
        ...


def metric_key(extractor: FeatureExtractor) -> str:
    """ "FID" or "FD": the name that a Fréchet distance from this extractor may carry in a table.

    An extractor that calls itself FID without being the verified Inception network raises InputError, as does
    one whose name is not of the form "FD (<network>)".
    """
    verified = isinstance(extractor, InceptionFeatures) and extractor.verified
    if verified:
        return "FID"
    if not (extractor.name.startswith("FD (") and extractor.name.endswith(")") and len(extractor.name) > 5):
        raise InputError(
            f"feature extractor {extractor.name!r} must be named 'FD (<network>)'; only pytorch-fid's "
            "Inception with verified weights makes an FID"
        )
    return "FD"


def _factor(features: Tensor | np.ndarray, name: str) -> tuple[Tensor, Tensor]:
    """Mean (d,) and a matrix A of at most d rows with A^T A = the unbiased covariance, both float64."""
    x = torch.as_tensor(features)
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise InputError(f"{name} features have shape {tuple(x.shape)}; at least 2 rows (n, d) are needed")
    if x.device.type == "mps":
        x = x.cpu()  # no float64 there
    x = x.double()
    if not torch.isfinite(x).all():
        raise InputError(f"{name} features hold NaN or infinity; every value must be finite")
    mean = x.mean(0)
    factor = (x - mean) / (x.shape[0] - 1) ** 0.5
    if factor.shape[0] > factor.shape[1]:
        # QR of the data, not Cholesky of its covariance: squaring would halve the digits.
        factor = torch.linalg.qr(factor, mode="r").R
    return mean, factor


def frechet_distance(features_a: Tensor | np.ndarray, features_b: Tensor | np.ndarray) -> float:
    """Fréchet distance of two feature sets (n1, d) and (n2, d), n >= 2 each, in float64; 0 for equal sets.

    With S = A^T A for each set, the eigenvalues of S1 S2 are the squared singular values of A1 A2^T, so the
    trace of the matrix root is a nuclear norm: exact also when n <= d makes both covariances singular, where
    the Schur method of `scipy.linalg.sqrtm` loses half of its digits, and with no d x d matrix when n < d.
    Fewer than two rows, different widths, NaN or infinity raise InputError.
    """
    (mean_a, factor_a), (mean_b, factor_b) = (
        _factor(features_a, "the first"),
        _factor(features_b, "the second"),
    )
    if mean_a.shape != mean_b.shape:
        raise InputError(f"features to compare have widths {mean_a.shape[0]} and {mean_b.shape[0]}, not one")
    factor_b, mean_b = factor_b.to(factor_a.device), mean_b.to(factor_a.device)
    root_trace = torch.linalg.svdvals(factor_a @ factor_b.T).sum()
    spread = factor_a.square().sum() + factor_b.square().sum() - 2 * root_trace
    return max(0.0, ((mean_a - mean_b).square().sum() + spread).item())


def _inception() -> nn.Module:
    """pytorch-fid's Inception without weights (its own builder would download them)."""
    from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False, num_classes=1008, aux_logits=False)
    network.Mixed_5b = FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = FIDInceptionA(288, pool_features=64)
    network.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
    network.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
    network.Mixed_7b = FIDInceptionE_1(1280)
    network.Mixed_7c = FIDInceptionE_2(2048)
    return network


# Order of the forward pass, cut where pytorch-fid's --dims cuts it: width of the features -> layers up to there.
# torchvision's two max pools come after the 2b and the 4a convolutions.
_STAGES = {
    64: ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
    192: ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    768: ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    2048: ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}


class InceptionFeatures:
    """pool3 features (2048) of the Inception network behind every published FID.

    Preprocessing is pytorch-fid's: values / 255, bilinear to 299 x 299 (no antialias), then 2 x - 1.
    `weights_path` is a local file with exactly the tensors of pytorch-fid's (`published_weights`). The name is
    "FID" if the file's sha256 begins with 6726825d, else "FD (<file name>)"; `features` are the same either way.
    `dims` takes earlier, narrower features instead (64, 192, 768, as pytorch-fid's --dims), averaged over
    positions, which make no FID.

    A missing or unsuitable file, or other `dims`, raise InputError.
    """

    def __init__(self, weights_path: str | Path, *, device: str | torch.device = "cpu", dims: int = 2048) -> None:
        if dims not in _STAGES:
            raise InputError(f"Inception features have no width {dims}; there are {', '.join(map(str, _STAGES))}")
        path, network = Path(weights_path), _inception()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        # Any hash is read, and decides the name.
        state, self.sha256 = read_published_weights(path, name=INCEPTION_FILE, sha256=None, expected=shapes)
        network.load_state_dict(state)
        self.verified = self.sha256.startswith(INCEPTION_SHA256_PREFIX) and dims == 2048
        self.name = "FID" if self.verified else f"FD ({path.name}{'' if dims == 2048 else f', {dims} wide'})"
        layers = [getattr(network, name) for width, stage in _STAGES.items() if width <= dims for name in stage]
        self.network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)).eval().requires_grad_(False).to(device)
        self.device = torch.device(device)

    def to(self, device: str | torch.device) -> InceptionFeatures:
        """Move the network, in place."""
        self.device = torch.device(device)
        self.network.to(self.device)
        return self

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) of any size -> float32 (B, `dims`) on the device of the network."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"Inception takes uint8 (B, 3, H, W), got {tuple(images.shape)} {images.dtype}")
        x = images.to(self.device).float() / 255
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        # TF32 would keep 10 bits of mantissa and make numbers depend on the GPU.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            return self.network(2 * x - 1).flatten(1)
