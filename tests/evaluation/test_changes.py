"""Changes against their uncertainty: paired and not, from stored intervals, and many at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t
from toy_samples import sample, two_networks

from replication.evaluation.changes import measured_change, stored_change
from replication.evaluation.sample import Sample
from replication.evaluation.uncertainty import interval

NETWORKS = {"images": 200, "trainings": 1}


def test_pairing_finds_what_unpaired_results_cannot():
    old, new = two_networks(1, 0.25)
    paired = measured_change(sample(old), sample(new, training="b"), "PSNR")
    unpaired = measured_change(sample(old), sample(new, pairs="others", training="b"), "PSNR")
    assert paired.paired and not unpaired.paired
    assert paired.value == pytest.approx(new.mean() - old.mean()) == unpaired.value
    assert paired.low > 0 and paired.p == 6 / 80**2, "the smallest that 80 images can tell"
    assert unpaired.low < 0 < unpaired.high and unpaired.p > 0.3


def test_stored_intervals_say_the_same_as_unpaired_results():
    old, new = two_networks(2, 0.9)
    a, b = sample(old), sample(new, pairs="others", training="b")
    of_a, of_b = interval(a, "PSNR"), interval(b, "PSNR")
    expected = measured_change(a, b, "PSNR")
    found = stored_change(
        of_a.value, (of_a.low, of_a.high), of_b.value, (of_b.low, of_b.high), **NETWORKS, degrees=len(old) - 1
    )
    assert not found.paired and found.value == pytest.approx(expected.value)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)
    assert found.p == pytest.approx(expected.p, rel=0.1)


@pytest.mark.parametrize(("images", "of_a", "of_b"), [(10, 1, 1), (30, 1, 1), (100, 1, 3), (100, 2, 2)])
def test_coverage_of_changes_from_stored_intervals(images, of_a, of_b):
    """Skewed metrics, independent revisions, few seeds; and no p value far smaller than it may be."""
    rng = np.random.default_rng(images + of_b)
    covered, p_values = [], []
    for _ in range(1500):
        sides = []
        for count in (of_a, of_b):
            luck = (0.3 * rng.standard_normal((count, 1))) if count > 1 else 0.0
            values = np.exp(0.6 * rng.standard_normal((count, images))) + luck
            found = interval(
                Sample({"PSNR": values}, np.arange(images), run="full", bucket="1-20%", pairs_sha256="pairs"),
                "PSNR",
            )
            sides.append((found.value, (found.low, found.high)))
        several = [count for count in (of_a, of_b) if count > 1]
        change = stored_change(*sides[0], *sides[1], degrees=min(several) - 1 if several else images - 1, **NETWORKS)
        covered.append(change.low <= 0 <= change.high)
        p_values.append(change.p)
    assert np.mean(covered) >= 0.94
    assert np.mean(np.array(p_values) <= 0.001) <= 0.004


def test_stored_intervals_by_hand():
    change = stored_change(10.0, (9.0, 14.0), 20.0, (17.0, 22.0), degrees=1e6, **NETWORKS)
    # Below: how far the new value may fall and the old one rise; above: the contrary.
    assert (change.low, change.high) == pytest.approx((10 - 5.0, 10 + np.hypot(2, 1)))
    assert change.p == pytest.approx(2 * norm.sf(10 / 5 * norm.ppf(0.975)), rel=1e-3)
    back = stored_change(20.0, (17.0, 22.0), 10.0, (9.0, 14.0), degrees=1e6, **NETWORKS)
    assert (back.low, back.high, back.p) == pytest.approx((-change.high, -change.low, change.p))


@pytest.mark.parametrize("degrees", [1, 2, 4, 299])
def test_the_p_value_agrees_with_the_stored_interval(degrees):
    for shift, excluded in ((0.99, False), (1.01, True)):
        half = 0.4
        change = stored_change(
            1.0, (1.0, 1.0), 1.0 + shift * half, (1.0 + (shift - 1) * half, 9.0), degrees=degrees, **NETWORKS
        )
        assert (change.low > 0) is excluded and (change.p < 0.05) is excluded
    assert change.p == pytest.approx(2 * t.sf(1.01 * t.ppf(0.975, degrees), degrees))


def test_values_without_any_spread():
    assert stored_change(1.0, (1.0, 1.0), 2.0, (2.0, 2.0), degrees=10, **NETWORKS).p == 0.0
    assert stored_change(1.0, (1.0, 1.0), 1.0, (1.0, 1.0), degrees=10, **NETWORKS).p == 1.0
    same = sample(np.linspace(20, 30, 50))
    assert measured_change(same, same, "PSNR").p == 1.0
