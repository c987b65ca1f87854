"""8-bit images, composites, and the metrics that compare them pixel by pixel.

Every metric takes uint8 tensors (B, 3, H, W) and returns float64 (B,), one value per image. Sums of differences
are sums of integers below 2^53, exact in any order, so neither the size of a batch nor the device changes a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from replication.errors import InputError

PSNR_CAP = 100.0  # dB, given to identical images, whose PSNR is infinite


def to_uint8(images: Tensor) -> Tensor:
    """Float images in [-1, 1] -> uint8 of the same shape: (x + 1) * 127.5, rounded half to even, clamped.

    This is what saving a PNG and loading it again does; an image that came from 8 bits
    (x = v / 127.5 - 1) returns to exactly v. Other types and values that are not finite raise InputError.
    """
    if not images.is_floating_point():
        raise InputError(f"images of type {images.dtype} cannot be rounded to 8 bits; they must be floats in [-1, 1]")
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


def check_pair(a: Tensor, b: Tensor) -> None:
    """Refuse, by InputError, anything but two uint8 tensors (B, 3, H, W) of one shape."""
    for name, images in (("first", a), ("second", b)):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise InputError(
                f"the {name} images are {tuple(images.shape)} {images.dtype}; metrics take uint8 (B, 3, H, W)"
            )
    if a.shape != b.shape:
        raise InputError(f"images to compare differ in shape: {tuple(a.shape)} and {tuple(b.shape)}")


def _hole(mask: Tensor, images: Tensor) -> Tensor:
    """The mask as booleans (B, 1, H, W); a mask of another shape, or one that holds NaN, raises InputError."""
    if mask.shape != (images.shape[0], 1, *images.shape[2:]):
        raise InputError(
            f"the mask is {tuple(mask.shape)}; images {tuple(images.shape)} need (B, 1, H, W) with 1 = hole"
        )
    if mask.is_floating_point() and mask.isnan().any():
        raise InputError("the mask holds NaN; every value must be 0 (known) or 1 (hole)")
    return mask != 0


def chunk_size(images: Tensor) -> int:
    """How many images a metric takes at once on the device of `images`."""
    # One image at a time stays in a CPU's cache; a GPU wants many at once, but not unbounded memory.
    return 1 if images.device.type == "cpu" else 64


def chunks(a: Tensor, b: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A checked pair in float64, a few images at a time."""
    check_pair(a, b)
    size = chunk_size(a)
    for x, y in zip(a.split(size), b.split(size), strict=True):
        yield x.double(), y.double()


def l1_percent(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference in percent of the range 255: (B,), 0 to 100; an offset d gives 100 d / 255."""
    totals = torch.cat([(x - y).abs_().sum((1, 2, 3)) for x, y in chunks(a, b)])
    return totals * (100.0 / (255.0 * a[0].numel()))


def l1_hole_percent(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """`l1_percent` over the hole pixels only; `mask` (B, 1, H, W), nonzero = hole. An empty hole gives 0."""
    check_pair(a, b)
    hole = _hole(mask, a)
    holes = hole.split(chunk_size(a))
    totals = [((x - y).abs_() * m).sum((1, 2, 3)) for (x, y), m in zip(chunks(a, b), holes, strict=True)]
    return torch.cat(totals) * (100.0 / 255.0) / (3.0 * hole.sum((1, 2, 3)).clamp(min=1))


def _decibels(mean_square: Tensor) -> Tensor:
    values = 20 * math.log10(255.0) - 10 * torch.log10(mean_square.clamp(min=1e-30))
    return torch.where(mean_square == 0, torch.full_like(values, PSNR_CAP), values)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image over its RGB values: (B,) in dB, `PSNR_CAP` if identical.

    The peak is 255; a constant offset d gives 20 log10(255 / d). The mean over images is a mean of
    decibels, not the PSNR of the mean error.
    """
    totals = torch.cat([(x - y).square_().sum((1, 2, 3)) for x, y in chunks(a, b)])
    return _decibels(totals / a[0].numel())


def psnr_hole(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """`psnr` over the hole pixels only; `mask` (B, 1, H, W), nonzero = hole. An empty hole gives `PSNR_CAP`.

    If the images differ in the hole only, this is `psnr` + 10 log10(share of the hole), never above it.
    """
    check_pair(a, b)
    hole = _hole(mask, a)
    holes = hole.split(chunk_size(a))
    totals = [((x - y).square_() * m).sum((1, 2, 3)) for (x, y), m in zip(chunks(a, b), holes, strict=True)]
    return _decibels(torch.cat(totals) / (3.0 * hole.sum((1, 2, 3)).clamp(min=1)))
