from __future__ import annotations

import json

import pytest
import torch

from replication.evaluation.metrics import METRICS

PIXEL_METRICS = [metric for metric in METRICS.values() if metric.compute is not None]


def test_catalogue_is_complete():
    assert {name: metric.better for name, metric in METRICS.items()} == {
        "L1_percent": "lower",
        "FID": "lower",
        "FD": "lower",
        "PSNR": "higher",
        "SSIM": "higher",
        "L1_hole_percent": "lower",
        "PSNR_hole": "higher",
        "SSIM_edgeconnect": "higher",
        "MS_SSIM": "higher",
        "LPIPS": "lower",
        "U_IDS": "higher",
        "P_IDS": "higher",
        "U_DS": "higher",
        "P_DS": "higher",
    }
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.definition.endswith(".") and metric.reference and metric.tolerance > 0
        assert metric.per_image == (metric.compute is not None or name == "LPIPS")
        data = json.loads(json.dumps(metric.data(), allow_nan=False))
        assert {"definition", "reference", "tolerance", "bounds", "output", "region", "window", "colour"} <= set(data)
        assert {"data_range", "weights", "better", "unit", "label", "differs"} <= set(data)
    assert {name for name, metric in METRICS.items() if metric.region == "hole"} == {"L1_hole_percent", "PSNR_hole"}


@pytest.mark.parametrize("metric", PIXEL_METRICS, ids=lambda metric: metric.name)
def test_batches_and_order_do_not_change_a_bit(metric, make_pair):
    a, b = make_pair(180, 177)
    mask = (torch.rand(5, 1, 180, 177, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    values = metric.compute(a, b, mask)
    assert values.shape == (5,) and values.dtype == torch.float64
    assert len(set(values.tolist())) == 5
    for size in (1, 2):
        parts = [v.split(size) for v in (a, b, mask)]
        assert torch.equal(values, torch.cat([metric.compute(*part) for part in zip(*parts, strict=True)]))
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.equal(values[order], metric.compute(a[order], b[order], mask[order]))
    # ... nor do the strides of a tensor
    assert torch.equal(values, metric.compute(a.contiguous(memory_format=torch.channels_last), b, mask))
    low, high = metric.bounds
    assert (values >= low).all() and (high is None or (values <= high).all())


@pytest.mark.parametrize("metric", PIXEL_METRICS, ids=lambda metric: metric.name)
def test_better_is_the_direction_of_less_noise(metric, make_pair):
    a, b = make_pair(180, 177)
    c = (b.short() // 2 + a.short() // 2).to(torch.uint8)  # half the noise
    mask = torch.ones(5, 1, 180, 177)
    noisy, cleaner = metric.compute(b, a, mask)[1:], metric.compute(c, a, mask)[1:]
    assert ((cleaner > noisy) if metric.better == "higher" else (cleaner < noisy)).all()
