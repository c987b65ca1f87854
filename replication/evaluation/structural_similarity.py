"""Structural similarity: Wang's, EdgeConnect's variant of it, and the multi-scale form.

All take uint8 tensors (B, 3, H, W) and return float64 (B,), 1 for identical images. Windows that reach over the
border are left out, as scikit-image does, so no padding enters a number.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from replication.errors import InputError
from replication.evaluation.pixels import check_pair, chunk_size, chunks

WINDOW = 11  # Wang et al. 2004, section III.B
EDGECONNECT_WINDOW = 51  # knazeri/edge-connect, scripts/metrics.py
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
MS_SSIM_SMALLEST_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)  # 176: the window must fit the coarsest scale

_SIGMA = 1.5
_K1, _K2, _RANGE = 0.01, 0.03, 255.0
_GRAY = (2125, 7154, 721)  # scikit-image's rgb2gray in units of 1e-4


def _refuse_small(images: Tensor, name: str, side: int) -> None:
    height, width = images.shape[-2:]
    if min(height, width) < side:
        raise InputError(f"{name} needs images of at least {side} x {side} pixels, got {height} x {width}")


def _gaussian_taps() -> list[float]:
    half = WINDOW // 2
    weights = [math.exp(-0.5 * (offset / _SIGMA) ** 2) for offset in range(-half, half + 1)]
    return [weight / sum(weights) for weight in weights]


def _blur(images: Tensor) -> Tensor:
    """Gaussian filter without padding, (..., H, W) -> (..., H - 10, W - 10).

    Shifted additions: float64 convolution has no fast CPU kernel (96 ms against 5 for 256 x 256 pixels).
    """
    taps, half = _gaussian_taps(), WINDOW // 2
    for axis in (-1, -2):
        size = images.shape[axis] - 2 * half
        total = images.narrow(axis, half, size) * taps[half]
        for i in range(half):
            total.add_(images.narrow(axis, i, size), alpha=taps[i])
            total.add_(images.narrow(axis, 2 * half - i, size), alpha=taps[i])
        images = total
    return images


def _structure(x: Tensor, y: Tensor, *, luminance: bool) -> Tensor:
    """Contrast-structure map of float64 images with range 255, times luminance if asked: (B, C, H - 10, W - 10)."""
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    # The two variances enter only by their sum, so four filtered maps do instead of five.
    mean_x, mean_y, squares, product = _blur(torch.stack((x, y, (x * x).addcmul_(y, y), x * y)))
    mean_squares = (mean_x * mean_x).addcmul_(mean_y, mean_y)
    mean_product = mean_x.mul_(mean_y)
    above, below = product.sub_(mean_product).mul_(2).add_(c2), squares.sub_(mean_squares).add_(c2)
    if luminance:
        above.mul_(mean_product.mul_(2).add_(c1))
        below.mul_(mean_squares.add_(c1))
    return above.div_(below)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of each image, (B,), per RGB channel (Wang et al. 2004; settings in `METRICS`).

    Images smaller than the 11 x 11 window raise InputError.
    """
    check_pair(a, b)
    _refuse_small(a, "SSIM", WINDOW)
    return torch.cat([_structure(x, y, luminance=True).mean((1, 2, 3)) for x, y in chunks(a, b)])


def _halve(images: Tensor) -> Tensor:
    """Means of 2 x 2 blocks; a last odd row or column is repeated, as by Matlab's 'symmetric' border."""
    height, width = images.shape[-2:]
    return F.avg_pool2d(F.pad(images, (0, width % 2, 0, height % 2), mode="replicate"), 2)


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Multi-scale structural similarity of each image, (B,), per RGB channel (Wang, Simoncelli and Bovik 2003).

    The product over five scales of the mean contrast-structure term, and of luminance at the coarsest, each to the
    power of its scale's weight; a negative mean counts as 0, since it has no real power. As in the authors'
    msssim.m, a side below 176 (11 pixels at the fifth scale) has no value: it raises InputError.
    """
    check_pair(a, b)
    _refuse_small(a, "MS_SSIM", MS_SSIM_SMALLEST_SIDE)
    values = []
    for x, y in chunks(a, b):
        product = torch.ones(x.shape[:2], dtype=torch.float64, device=x.device)
        for scale, weight in enumerate(SCALE_WEIGHTS):
            if scale:
                x, y = _halve(x), _halve(y)
            coarsest = scale == len(SCALE_WEIGHTS) - 1
            term = _structure(x, y, luminance=coarsest).mean((2, 3))
            product = product * term.clamp(min=0) ** weight
        values.append(product.mean(1))
    return torch.cat(values)


def _box_sums(images: Tensor, side: int) -> Tensor:
    """Sums over side x side windows that lie inside, (..., H, W) int64 -> (..., H - side + 1, W - side + 1)."""
    for axis in (-1, -2):
        running = images.cumsum(axis)
        size = images.shape[axis] - side
        ends = running.narrow(axis, side - 1, size + 1).clone()
        ends.narrow(axis, 1, size).sub_(running.narrow(axis, 0, size))
        images = ends
    return images


def ssim_edgeconnect(a: Tensor, b: Tensor) -> Tensor:
    """SSIM as EdgeConnect's scripts/metrics.py calls it, (B,): gray images, uniform 51 x 51 window, sample covariance.

    Gray values are weighted by integers and window sums taken in int64, so they are exact; float64 from there on.
    (The script rounds gray values to float32 first, which moves a value by less than 1e-6.)
    Images smaller than the window raise InputError.
    """
    check_pair(a, b)
    _refuse_small(a, "SSIM_edgeconnect", EDGECONNECT_WINDOW)
    count = EDGECONNECT_WINDOW**2
    full = 255.0 * sum(_GRAY)
    c1, c2 = _K1**2, _K2**2
    values = []
    size = chunk_size(a)
    for x, y in zip(a.split(size), b.split(size), strict=True):
        x, y = (sum(weight * image[:, channel].long() for channel, weight in enumerate(_GRAY)) for image in (x, y))
        sums = _box_sums(torch.stack((x, y, x * x + y * y, x * y)), EDGECONNECT_WINDOW).double()
        mean_x, mean_y = sums[:2] / (count * full)
        mean_squares, mean_product = sums[2:] / (count * full * full)
        unbiased = count / (count - 1)
        product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        covariance, variances = unbiased * (mean_product - product), unbiased * (mean_squares - squares)
        value = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
        values.append(value.mean((1, 2)))
    return torch.cat(values)
