from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from replication.errors import InputError
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
