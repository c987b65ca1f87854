from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from replication.errors import InputError
from replication.evaluation.pixels import (
    PSNR_CAP,
    composite,
    l1_hole_percent,
    l1_percent,
    psnr,
    psnr_hole,
    to_uint8,
)


def test_psnr_and_l1_agree_with_references(make_pair, channels_last):
    a, b = make_pair()
    x, y = channels_last(a), channels_last(b)
    expected = [peak_signal_noise_ratio(p, q, data_range=255) for p, q in zip(x, y, strict=True)]
    assert np.abs(psnr(a, b).numpy() - expected).max() < 1e-9
    expected = 100 * np.abs(x.astype(float) - y).mean((1, 2, 3)) / 255
    assert np.abs(l1_percent(a, b).numpy() - expected).max() < 1e-12


def test_hole_metrics_agree_with_references(make_pair, channels_last):
    a, b = make_pair()
    mask = (torch.rand(5, 1, 40, 33, generator=torch.Generator().manual_seed(0)) > 0.6).float()
    hole = mask[:, 0].numpy() == 1
    x, y = channels_last(a), channels_last(b)
    expected = [peak_signal_noise_ratio(p[h], q[h], data_range=255) for p, q, h in zip(x, y, hole, strict=True)]
    assert np.abs(psnr_hole(a, b, mask).numpy() - expected).max() < 1e-9
    expected = [100 * np.abs(p[h].astype(float) - q[h]).mean() / 255 for p, q, h in zip(x, y, hole, strict=True)]
    assert np.abs(l1_hole_percent(a, b, mask).numpy() - expected).max() < 1e-9


@pytest.mark.parametrize("offset", [1, 7, 255])
def test_constant_offset(offset):
    a = torch.zeros(2, 3, 12, 12, dtype=torch.uint8)
    b, mask = a + offset, torch.zeros(2, 1, 12, 12)
    mask[:, :, :3] = 1
    for x, y in ((a, b), (b, a)):  # uint8 arithmetic would wrap in one of the two directions
        assert psnr(x, y).tolist() == pytest.approx([20 * math.log10(255 / offset)] * 2, abs=1e-9)
        assert psnr_hole(x, y, mask).tolist() == pytest.approx([20 * math.log10(255 / offset)] * 2, abs=1e-9)
        assert l1_percent(x, y).tolist() == pytest.approx([100 * offset / 255] * 2, abs=1e-9)


def test_identical_images(make_pair):
    a, _ = make_pair()
    mask = torch.zeros(5, 1, 40, 33)
    mask[2:, :, 7] = 1  # the first two holes are empty
    assert psnr(a, a).tolist() == [PSNR_CAP] * 5
    assert psnr_hole(a, a, mask).tolist() == [PSNR_CAP] * 5
    assert l1_percent(a, a).tolist() == [0] * 5


def test_hole_metrics_count_the_hole_only():
    a = torch.zeros(2, 3, 10, 10, dtype=torch.uint8)
    b, mask = a.clone(), torch.zeros(2, 1, 10, 10)
    mask[0, :, :5] = 1
    b[0, :, :5] = 51
    b[1] = 200  # a difference outside every hole
    assert l1_hole_percent(a, b, mask).tolist() == [20.0, 0.0]
    assert psnr_hole(a, b, mask).tolist() == pytest.approx([20 * math.log10(5), PSNR_CAP])
    # On a composite both definitions are tied by the area of the hole.
    assert l1_percent(a, b)[0].item() == pytest.approx(10.0)
    assert psnr_hole(a, b, mask)[0].item() == pytest.approx(psnr(a, b)[0].item() + 10 * math.log10(0.5))


def test_to_uint8_inverts_the_loader_and_rounds():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 127.5 - 1), levels)
    assert torch.equal(to_uint8(levels.float() / 255 * 2 - 1), levels)
    values = torch.tensor([-3.0, -1.0, 0.0, 1.0, 9.0])
    assert to_uint8(values).tolist() == [0, 0, 128, 255, 255]
    for bad in (math.nan, math.inf):
        with pytest.raises(InputError, match="finite"):
            to_uint8(torch.tensor([0.0, bad]))
    with pytest.raises(InputError, match="uint8 cannot be rounded"):
        to_uint8(levels)


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


def test_bad_input_is_named(make_pair):
    a, b = make_pair()
    mask = torch.ones(5, 1, 40, 33)
    with pytest.raises(InputError, match="float32"):
        psnr(a.float(), b)
    with pytest.raises(InputError, match="differ in shape"):
        l1_percent(a, b[:, :, :20])
    with pytest.raises(InputError, match="differ in shape"):
        psnr_hole(a, b[:4], mask)
    with pytest.raises(InputError, match="same shape and type"):
        composite(a.float(), a, mask)
    for metric in (l1_hole_percent, psnr_hole):
        for wrong in (mask[:1], mask[:, 0], mask[..., :32], mask.expand(-1, 3, -1, -1)):
            with pytest.raises(InputError, match="mask is"):
                metric(a, b, wrong)
        with pytest.raises(InputError, match="mask holds NaN"):
            metric(a, b, mask * math.nan)
