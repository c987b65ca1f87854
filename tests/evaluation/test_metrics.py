from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from replication.errors import InputError
from replication.evaluation.metrics import (
    METRICS,
    PSNR_CAP,
    composite,
    l1_hole_percent,
    l1_percent,
    psnr,
    ssim,
    to_uint8,
)


def _pair(height: int = 40, width: int = 33, count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth pictures with noise of growing strength, so that SSIM covers a wide range."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    a, b = [], []
    for i in range(count):
        picture = 128 + 90 * np.sin(x / (4 + i) + rng.uniform(0, 6, (3, 1, 1))) * np.cos(y / 7)
        noisy = picture + rng.normal(0, 1 + 12 * i, picture.shape)
        a.append(picture)
        b.append(noisy)
    tensors = (torch.from_numpy(np.clip(np.round(np.stack(v)), 0, 255).astype(np.uint8)) for v in (a, b))
    return tuple(tensors)


def _hwc(images: torch.Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()


def test_ssim_agrees_with_skimage():
    common = {"channel_axis": -1, "data_range": 255}
    for size in ((40, 33), (11, 11), (64, 64)):
        a, b = _pair(*size)
        expected = [
            structural_similarity(x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, **common)
            for x, y in zip(_hwc(a), _hwc(b), strict=True)
        ]
        assert np.abs(ssim(a, b).numpy() - expected).max() < 1e-10
    assert min(expected) < 0.8 < max(expected)


def test_ssim_of_flat_and_extreme_images():
    black = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    white = black + 255
    c1 = (0.01 * 255) ** 2
    assert ssim(black, white).item() == pytest.approx(c1 / (255**2 + c1), abs=1e-9)
    assert ssim(white, white).item() == pytest.approx(1, abs=1e-12)


def test_psnr_and_l1_agree_with_references():
    a, b = _pair()
    expected = [peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(_hwc(a), _hwc(b), strict=True)]
    assert np.abs(psnr(a, b).numpy() - expected).max() < 1e-9
    expected = 100 * np.abs(_hwc(a).astype(float) - _hwc(b)).mean((1, 2, 3)) / 255
    assert np.abs(l1_percent(a, b).numpy() - expected).max() < 1e-12


@pytest.mark.parametrize("offset", [1, 7, 255])
def test_constant_offset(offset):
    a = torch.zeros(2, 3, 12, 12, dtype=torch.uint8)
    b = a + offset
    for x, y in ((a, b), (b, a)):  # uint8 arithmetic would wrap in one of the two directions
        assert psnr(x, y).tolist() == pytest.approx([20 * math.log10(255 / offset)] * 2, abs=1e-9)
        assert l1_percent(x, y).tolist() == pytest.approx([100 * offset / 255] * 2, abs=1e-9)


def test_identical_images():
    a, _ = _pair()
    assert psnr(a, a).tolist() == [PSNR_CAP] * 5
    assert l1_percent(a, a).tolist() == [0] * 5
    assert ssim(a, a).tolist() == pytest.approx([1] * 5, abs=1e-12)


def test_hole_l1_counts_the_hole_only():
    a = torch.zeros(2, 3, 10, 10, dtype=torch.uint8)
    b, mask = a.clone(), torch.zeros(2, 1, 10, 10)
    mask[0, :, :5] = 1
    b[0, :, :5] = 51
    b[1] = 200  # a difference outside every hole
    assert l1_hole_percent(a, b, mask).tolist() == [20.0, 0.0]
    # On a composite both definitions are tied by the area of the hole.
    assert l1_percent(a, b)[0].item() == pytest.approx(10.0)


def test_batching_does_not_change_a_bit():
    a, b = _pair()
    for metric in (l1_percent, psnr, ssim):
        assert torch.equal(metric(a, b), torch.cat([metric(a[i : i + 1], b[i : i + 1]) for i in range(5)]))


def test_to_uint8_inverts_the_loader_and_rounds():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 127.5 - 1), levels)
    assert torch.equal(to_uint8(levels.float() / 255 * 2 - 1), levels)
    values = torch.tensor([-3.0, -1.0, 0.0, 1.0, 9.0])
    assert to_uint8(values).tolist() == [0, 0, 128, 255, 255]
    for bad in (math.nan, math.inf):
        with pytest.raises(InputError, match="finite"):
            to_uint8(torch.tensor([0.0, bad]))


def test_composite_keeps_known_pixels_bit_for_bit():
    image = torch.rand(2, 3, 8, 8) * 2 - 1
    raw = torch.full_like(image, math.nan)
    mask = (torch.rand(2, 1, 8, 8) > 0.5).float()
    raw = torch.where(mask > 0, torch.zeros(()), raw)  # NaN on every known pixel
    result = composite(raw, image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(result[known], image[known])
    assert (result[~known] == 0).all()
    bytes_, mask_bytes = to_uint8(image), mask.to(torch.uint8)
    assert torch.equal(composite(bytes_ * 0, bytes_, mask_bytes)[known], bytes_[known])
    assert torch.equal(composite(bytes_ * 0, bytes_, mask_bytes.bool())[known], bytes_[known])


def test_bad_input_is_named():
    a, b = _pair()
    with pytest.raises(InputError, match="float32"):
        psnr(a.float(), b)
    with pytest.raises(InputError, match="differ in shape"):
        ssim(a, b[:, :, :20])
    with pytest.raises(InputError, match="11 x 11"):
        ssim(a[..., :10], b[..., :10])
    with pytest.raises(InputError, match="same shape and type"):
        composite(a.float(), a, torch.ones(5, 1, 40, 33))


def test_metric_table_is_complete():
    assert {"L1_percent", "FID", "FD", "PSNR", "SSIM"} <= set(METRICS)
    assert {name: metric.better for name, metric in METRICS.items()} == {
        "L1_percent": "lower",
        "FID": "lower",
        "FD": "lower",
        "PSNR": "higher",
        "SSIM": "higher",
        "L1_hole_percent": "lower",
    }
    assert all(metric.definition.endswith(".") and metric.tolerance > 0 for metric in METRICS.values())
