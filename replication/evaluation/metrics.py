"""Image metrics of the inpainting literature on batches of 8-bit images, each tied to a reference.

Every function takes uint8 tensors (B, 3, H, W) and returns float64 (B,), one value per image; arithmetic is
float64 and elementwise up to the last mean, so the size of a batch cannot change a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from replication.errors import InputError

PSNR_CAP = 100.0  # dB, given to identical images, whose PSNR is infinite

_WINDOW = 11  # Wang et al. 2004, section III.B
_SIGMA = 1.5
_K1, _K2, _RANGE = 0.01, 0.03, 255.0


@dataclass(frozen=True)
class Metric:
    """What a number in a table means, in a form that tables and cards can print.

    `better` is "lower" or "higher"; `tolerance` is the largest absolute difference to `reference`
    that the tests allow (relative for the Fréchet distance).
    """

    name: str
    label: str
    unit: str
    better: str
    per_image: bool
    definition: str
    reference: str
    tolerance: float


_FRECHET = (
    "Squared Fréchet distance between Gaussians fitted to the features of the composites and of the same "
    "real images: |m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2)), unbiased covariances, float64; biased in the "
    "number of images. Features: "
)
_FRECHET_REFERENCE = "pytorch_fid.fid_score.calculate_frechet_distance (pytorch-fid 0.3.0)"
_PERCENT = "% of the full range"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="L1_percent",
            label="L1 (%)",
            unit=_PERCENT,
            better="lower",
            per_image=True,
            definition="100 times the mean absolute difference over all pixels and RGB channels, divided by "
            "255, averaged over images.",
            reference="numpy: 100 * abs(a - b).mean() / 255",
            tolerance=1e-9,
        ),
        Metric(
            name="FID",
            label="FID",
            unit="",
            better="lower",
            per_image=False,
            definition=_FRECHET + "pool3 (2048) of pytorch-fid's Inception, whose weights are checked by hash.",
            reference=_FRECHET_REFERENCE,
            tolerance=1e-6,
        ),
        Metric(
            name="FD",
            label="FD",
            unit="",
            better="lower",
            per_image=False,
            definition=_FRECHET + "the network named beside the number; not comparable with any FID.",
            reference=_FRECHET_REFERENCE,
            tolerance=1e-6,
        ),
        Metric(
            name="PSNR",
            label="PSNR",
            unit="dB",
            better="higher",
            per_image=True,
            definition="20 log10(255 / RMSE) of each image over all RGB values, averaged over images; "
            f"identical images count as {PSNR_CAP:g} dB.",
            reference="skimage.metrics.peak_signal_noise_ratio(data_range=255)",
            tolerance=1e-9,
        ),
        Metric(
            name="SSIM",
            label="SSIM",
            unit="",
            better="higher",
            per_image=True,
            definition="Wang et al. 2004: Gaussian window 11 x 11, sigma 1.5, population covariance, K1 .01, "
            "K2 .03, range 255, per RGB channel, mean over the pixels whose window lies inside the image, "
            "averaged over images.",
            reference="skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, "
            "use_sample_covariance=False, channel_axis=-1, data_range=255)",
            tolerance=1e-6,
        ),
        Metric(
            name="L1_hole_percent",
            label="L1 in the hole (%)",
            unit=_PERCENT,
            better="lower",
            per_image=True,
            definition="L1_percent over the pixels of the hole only, averaged over images.",
            reference="numpy: 100 * abs(a - b)[hole].mean() / 255",
            tolerance=1e-9,
        ),
    )
}


def to_uint8(images: Tensor) -> Tensor:
    """Float images in [-1, 1] -> uint8 of the same shape: (x + 1) * 127.5, rounded half to even, clamped.

    This is what saving a PNG and loading it again does; an image that came from 8 bits
    (x = v / 127.5 - 1) returns to exactly v. Values that are not finite raise InputError.
    """
    if not torch.isfinite(images).all():
        raise InputError("an image holds NaN or infinity; every value must be finite (nominally in [-1, 1])")
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def composite(raw: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """The raw output inside the hole, the input outside it: (B, C, H, W) of the dtype of both.

    `mask` (B, 1, H, W): 1 (or True) = hole. Known pixels are copied, never multiplied, so they come back
    bit for bit whatever `raw` holds there. Different shapes or types raise InputError.
    """
    if raw.shape != image.shape or raw.dtype != image.dtype:
        raise InputError(
            f"raw output {tuple(raw.shape)} {raw.dtype} and image {tuple(image.shape)} {image.dtype} "
            "must have the same shape and type"
        )
    return torch.where(mask > 0.5 if mask.is_floating_point() else mask != 0, raw, image)


def _check_pair(a: Tensor, b: Tensor) -> None:
    for name, images in (("first", a), ("second", b)):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise InputError(
                f"the {name} images are {tuple(images.shape)} {images.dtype}; metrics take uint8 (B, 3, H, W)"
            )
    if a.shape != b.shape:
        raise InputError(f"images to compare differ in shape: {tuple(a.shape)} and {tuple(b.shape)}")


def _chunk_size(images: Tensor) -> int:
    # One image at a time stays in a CPU's cache; a GPU wants many at once, but not unbounded memory.
    return 1 if images.device.type == "cpu" else 64


def _chunks(a: Tensor, b: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The pair in float64, a few images at a time; sums of integers below 2^53 are exact in any order."""
    _check_pair(a, b)
    size = _chunk_size(a)
    for x, y in zip(a.split(size), b.split(size), strict=True):
        yield x.double(), y.double()


def l1_percent(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference in percent of the range 255: (B,), 0 to 100; an offset d gives 100 d / 255."""
    totals = torch.cat([(x - y).abs_().sum((1, 2, 3)) for x, y in _chunks(a, b)])
    return totals * (100.0 / (255.0 * a[0].numel()))


def l1_hole_percent(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """`l1_percent` over the hole pixels only; `mask` (B, 1, H, W), nonzero = hole. An empty hole gives 0."""
    hole = mask != 0
    holes = hole.split(_chunk_size(a))
    totals = [((x - y).abs_() * m).sum((1, 2, 3)) for (x, y), m in zip(_chunks(a, b), holes, strict=True)]
    return torch.cat(totals) * (100.0 / 255.0) / (3.0 * hole.sum((1, 2, 3)).clamp(min=1))


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image over its RGB values: (B,) in dB, `PSNR_CAP` if identical.

    The peak is 255; a constant offset d gives 20 log10(255 / d). The mean over images is a mean of
    decibels, not the PSNR of the mean error.
    """
    squared = torch.cat([(x - y).square_().sum((1, 2, 3)) for x, y in _chunks(a, b)]) / a[0].numel()
    values = 20 * math.log10(255.0) - 10 * torch.log10(squared.clamp(min=1e-30))
    return torch.where(squared == 0, torch.full_like(values, PSNR_CAP), values)


def _gaussian_taps() -> list[float]:
    half = _WINDOW // 2
    weights = [math.exp(-0.5 * (offset / _SIGMA) ** 2) for offset in range(-half, half + 1)]
    return [weight / sum(weights) for weight in weights]


def _blur(images: Tensor) -> Tensor:
    """Gaussian filter without padding, (..., H, W) -> (..., H - 10, W - 10).

    Shifted additions: float64 convolution has no fast CPU kernel (96 ms against 5 for 256 x 256 pixels).
    """
    taps, half = _gaussian_taps(), _WINDOW // 2
    for axis in (-1, -2):
        size = images.shape[axis] - 2 * half
        total = images.narrow(axis, half, size) * taps[half]
        for i in range(half):
            total.add_(images.narrow(axis, i, size), alpha=taps[i])
            total.add_(images.narrow(axis, 2 * half - i, size), alpha=taps[i])
        images = total
    return images


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of each image, (B,), 1 for identical images (settings in `METRICS`).

    Images smaller than the 11 x 11 window raise InputError.
    """
    _check_pair(a, b)
    if min(a.shape[-2:]) < _WINDOW:
        raise InputError(f"SSIM needs images of at least 11 x 11 pixels, got {a.shape[-2]} x {a.shape[-1]}")
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    values = []
    for x, y in _chunks(a, b):
        # The two variances enter only by their sum, so four filtered maps do instead of five.
        mean_x, mean_y, mean_squares, mean_product = _blur(torch.stack((x, y, x * x + y * y, x * y)))
        product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        luminance = (2 * product + c1) / (squares + c1)
        structure = (2 * (mean_product - product) + c2) / (mean_squares - squares + c2)
        values.append((luminance * structure).mean((1, 2, 3)))
    return torch.cat(values)
