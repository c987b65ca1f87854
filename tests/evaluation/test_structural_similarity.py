from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.data import astronaut
from skimage.metrics import structural_similarity

from replication.errors import InputError
from replication.evaluation import structural_similarity as structural_similarity_module
from replication.evaluation.metrics import METRICS
from replication.evaluation.structural_similarity import (
    MS_SSIM_SMALLEST_SIDE,
    SCALE_WEIGHTS,
    ms_ssim,
    ssim,
    ssim_edgeconnect,
)

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


@pytest.mark.parametrize("size", [(40, 33), (11, 11), (64, 64)])
def test_ssim_agrees_with_skimage(make_pair, channels_last, size):
    a, b = make_pair(*size)
    pairs = zip(channels_last(a), channels_last(b), strict=True)
    expected = [structural_similarity(x, y, channel_axis=-1, **WANG) for x, y in pairs]
    assert np.abs(ssim(a, b).numpy() - expected).max() < 1e-10
    assert min(expected) < 0.8 < max(expected)


@pytest.mark.parametrize("size", [(51, 51), (64, 64), (90, 77)])
def test_ssim_edgeconnect_agrees_with_skimage(make_pair, channels_last, size):
    a, b = make_pair(*size)
    grays = [[rgb2gray(image / 255.0) for image in channels_last(v)] for v in (a, b)]
    expected = [structural_similarity(x, y, win_size=51, data_range=1) for x, y in zip(*grays, strict=True)]
    values = ssim_edgeconnect(a, b).numpy()
    assert np.abs(values - expected).max() < 1e-9
    assert min(expected) < 0.8 < max(expected)
    # The script rounds images to float32; its scikit-image then computed in float64.
    rounded = [[np.float64(rgb2gray((image / 255.0).astype(np.float32))) for image in channels_last(v)] for v in (a, b)]
    expected = [structural_similarity(x, y, win_size=51, data_range=1) for x, y in zip(*rounded, strict=True)]
    assert np.abs(values - expected).max() < 1e-6
    # It is another metric: the definitions differ by more than papers' margins.
    assert np.abs(values - ssim(a, b).numpy()).max() > 0.02


def _reference_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """One image (H, W, 3), channel by channel, from scipy's filter and scikit-image's SSIM."""
    c2 = (0.03 * 255) ** 2
    channels = []
    for p, q in zip(x.astype(float).transpose(2, 0, 1), y.astype(float).transpose(2, 0, 1), strict=True):
        value = 1.0
        for scale, weight in enumerate(SCALE_WEIGHTS):
            if scale == 4:
                term = structural_similarity(p, q, **WANG)
            else:
                mp, mq, mpp, mqq, mpq = (
                    gaussian_filter(v, 1.5, truncate=3.5)[5:-5, 5:-5] for v in (p, q, p * p, q * q, p * q)
                )
                term = ((2 * (mpq - mp * mq) + c2) / (mpp - mp**2 + mqq - mq**2 + c2)).mean()
                p, q = (np.pad(v, [(0, n % 2) for n in v.shape], mode="symmetric") for v in (p, q))
                p, q = (v.reshape(v.shape[0] // 2, 2, v.shape[1] // 2, 2).mean((1, 3)) for v in (p, q))
            value *= max(term, 0) ** weight
        channels.append(value)
    return float(np.mean(channels))


@pytest.mark.parametrize("size", [(176, 176), (180, 201)])
def test_ms_ssim_agrees_with_an_independent_computation(make_pair, channels_last, size):
    a, b = make_pair(*size)
    expected = [_reference_ms_ssim(x, y) for x, y in zip(channels_last(a), channels_last(b), strict=True)]
    assert np.abs(ms_ssim(a, b).numpy() - expected).max() < 1e-9
    assert max(expected) - min(expected) > 0.05
    assert pytest.approx(1, abs=1e-4) == sum(SCALE_WEIGHTS)


def test_ms_ssim_of_opposite_pictures_is_zero_not_nan(make_pair):
    a, _ = make_pair(176, 176, 1)
    assert ms_ssim(a, 255 - a).item() == 0


def test_flat_and_extreme_images():
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    white = black + 255
    wang, range_one = (0.01 * 255) ** 2, 0.01**2
    assert ssim(black, white).item() == pytest.approx(wang / (255**2 + wang), abs=1e-9)
    assert ssim_edgeconnect(black, white).item() == pytest.approx(range_one / (1 + range_one), abs=1e-9)
    assert ssim(white, white).item() == pytest.approx(1, abs=1e-12)
    assert ssim_edgeconnect(white, white).item() == pytest.approx(1, abs=1e-12)


def test_identical_images(make_pair):
    a, _ = make_pair(180, 176)
    for metric in (ssim, ssim_edgeconnect, ms_ssim):
        assert metric(a, a).tolist() == pytest.approx([1] * 5, abs=1e-12)


# ------------------------------------------------------------------------------------------------ other packages


def face(side: int) -> torch.Tensor:
    """A photo's face, (1, 3, side, side) uint8."""
    return torch.from_numpy(astronaut()[40 : 40 + side, 130 : 130 + side].copy()).permute(2, 0, 1)[None]


def filled(image: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
    """The image with a rectangle in its mean colour."""
    copy, mean = image.clone(), image.double().mean((2, 3), keepdim=True).round().to(torch.uint8)
    copy[..., rows, columns] = mean
    return copy


def noisy(image: torch.Tensor) -> torch.Tensor:
    noise = 20 * np.random.default_rng(0).normal(size=image.shape)
    return (image.double() + torch.from_numpy(noise)).clamp(0, 255).round().to(torch.uint8)


def mirrored(a: torch.Tensor, b: torch.Tensor) -> float:
    """What torchmetrics 1.9.0 and kornia 0.9.0 compute: the mean over all windows of images with mirrored borders."""
    x, y = (F.pad(image.double(), (5,) * 4, mode="reflect") for image in (a, b))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    taps = torch.exp(-0.5 * (torch.arange(-5.0, 6, dtype=torch.float64) / 1.5) ** 2)
    window = torch.outer(taps, taps)[None, None] / taps.sum() ** 2

    def blur(image: torch.Tensor) -> torch.Tensor:
        return F.conv2d(image.transpose(0, 1), window)

    mx, my, mxx, myy, mxy = (blur(image) for image in (x, y, x * x, y * y, x * y))
    structure = (2 * (mxy - mx * my) + c2) / (mxx - mx**2 + myy - my**2 + c2)
    return ((2 * mx * my + c1) / (mx**2 + my**2 + c1) * structure).mean().item()


def luma(image: torch.Tensor) -> torch.Tensor:
    """Rounded Y of YIQ in all three channels, of which pyiqa 0.1.16 takes SSIM."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(1, 3, 1, 1)
    return (image.double() * weights).sum(1, keepdim=True).round().to(torch.uint8).expand(-1, 3, -1, -1)


def padded_ms_ssim(a: torch.Tensor, b: torch.Tensor, monkeypatch) -> float:
    """What pytorch-msssim 1.0.0 computes: odd sides get zeros before and behind when they are halved."""

    def halve(images: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(images, 2, padding=[side % 2 for side in images.shape[-2:]])

    with monkeypatch.context() as other:
        other.setattr(structural_similarity_module, "_halve", halve)
        return ms_ssim(a, b).item()


def test_the_packages_whose_ssim_differs_are_named_with_what_they_give():
    """The numbers were read from the packages themselves; here is how they come about."""
    told = METRICS["SSIM"].differs
    assert all(name in told for name in ("torchmetrics 1.9.0", "kornia 0.9.0", "pyiqa 0.1.16"))
    for side, ours, theirs in ((64, "0.641", "0.745"), (256, "0.802", "0.818")):
        image, quarter = face(side), slice(side // 4, 3 * (side // 4))
        fill = filled(image, quarter, quarter)
        assert f"{ssim(image, fill).item():.3f}" == ours and f"{mirrored(image, fill):.3f}" == theirs
        assert ours in told and theirs in told
    image = face(64)
    other = noisy(image)
    assert f"{ssim(luma(image), luma(other)).item():.3f}" == "0.584" and f"{ssim(image, other).item():.3f}" == "0.447"
    assert "0.584 for 0.447" in told
    # Damage at the border weighs more in a mirrored mean: the better of two fills is the worse one there.
    edge, middle = filled(image, slice(0, 12), slice(0, 64)), filled(image, slice(22, 42), slice(22, 42))
    assert ssim(image, edge) > ssim(image, middle) + 0.03 and mirrored(image, edge) < mirrored(image, middle) - 0.02


def test_the_packages_whose_ms_ssim_differs_are_named_with_what_they_give(monkeypatch):
    told = METRICS["MS_SSIM"].differs
    assert all(name in told for name in ("pytorch-msssim 1.0.0", "torchmetrics 1.9.0", "pyiqa 0.1.16"))
    image = face(178)
    fill = filled(image, slice(44, 132), slice(44, 132))
    assert f"{ms_ssim(image, fill).item():.3f}" == "0.652" and "0.639 where this has 0.652" in told
    assert f"{padded_ms_ssim(image, fill, monkeypatch):.3f}" == "0.639"
    image = face(256)
    fill = filled(image, slice(64, 192), slice(64, 192))
    assert padded_ms_ssim(image, fill, monkeypatch) == ms_ssim(image, fill).item()
    assert f"{ms_ssim(image, fill).item():.3f}" == "0.537" and "0.622 for 0.537" in told
    other = noisy(image)
    values = ms_ssim(luma(image), luma(other)).item(), ms_ssim(image, other).item()
    assert [f"{value:.3f}" for value in values] == ["0.920", "0.869"] and "0.920 for 0.869" in told


def test_bad_input_is_named(make_pair):
    a, b = make_pair(180, 180, 1)
    for metric, side in ((ssim, 11), (ssim_edgeconnect, 51), (ms_ssim, MS_SSIM_SMALLEST_SIDE)):
        metric(a[..., :side], b[..., :side])
        with pytest.raises(InputError, match=f"at least {side} x {side} pixels, got 180 x {side - 1}"):
            metric(a[..., : side - 1], b[..., : side - 1])
        with pytest.raises(InputError, match="differ in shape"):
            metric(a, b[:, :, :170])
        with pytest.raises(InputError, match="float64"):
            metric(a, b.double())
