"""A difference of a metric between two samples, from what each image gave or from stored intervals alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import t

from replication.evaluation.uncertainty import Sample, tested_difference
from replication.evaluation.verdicts import LEVEL, Change


def measured_change(old: Sample, new: Sample, metric: str, margin: float = 0.0) -> Change:
    """The change from per-image results: paired where both have the same images and masks.

    margin: p is that of "new - old is margin" (in the metric's unit); value and interval are those of new - old.
    """
    found, p = tested_difference(old, new, metric, margin)
    return Change(
        found.value,
        found.low,
        found.high,
        p,
        found.method.startswith("paired"),
        images=found.n,
        trainings=found.seeds,
        same_networks=old.trainings == new.trainings,
    )


def stored_change(
    old: float,
    old_interval: Sequence[float],
    new: float,
    new_interval: Sequence[float],
    *,
    degrees: float,
    images: int,
    trainings: int,
) -> Change:
    """The change from two values and their intervals alone, as if they were independent.

    The interval combines the two by the method of variance estimates recovery (Zou and Donner, Statistics in Medicine
    27, 2008, equation 4), which keeps their skewness. Values on the same images are positively correlated, so this is
    too wide for them, hardly ever too narrow. degrees: of freedom of the t distribution by which the intervals are
    continued to other levels. images, trainings: as in `Change`.
    """
    (old_low, old_high), (new_low, new_high) = (
        _unclipped(old, *old_interval),
        _unclipped(new, *new_interval),
    )
    value = new - old
    below, above = math.hypot(new - new_low, old_high - old), math.hypot(new_high - new, old - old_low)
    near = below if value > 0 else above
    quantile = t.ppf(0.5 + LEVEL / 2, degrees)
    p = 1.0 if value == 0 else (2 * t.sf(abs(value) / near * quantile, degrees) if near else 0.0)
    return Change(value, value - below, value + above, float(p), False, images, trainings)


def _unclipped(value: float, low: float, high: float) -> tuple[float, float]:
    """An interval whose lower arm was cut at zero (a Fréchet distance) with an arm at least as long as the upper."""
    return (min(low, value - (high - value)), high) if low == 0 else (low, high)
