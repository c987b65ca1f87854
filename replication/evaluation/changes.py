"""Is a change of a metric larger than its uncertainty? One change at a time, and many at once.

One evaluation in two versions gives hundreds of comparisons (runs x buckets x metrics). At 5 % each, two versions
that differ by chance alone would show dozens of "changes". `holm` therefore adjusts all p values of a diff together
by Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979): the probability that a diff contains any
false alarm is at most 5 %, whatever the dependence between the comparisons (the same images are behind all metrics, so
they depend strongly). Benjamini and Hochberg's procedure would find more, but it controls the share of false alarms
among those found: with enough true improvements it lets false "worse" through, and a build that fails for nothing is
the error to avoid here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from replication.evaluation.uncertainty import LEVEL, Sample, difference, p_better


@dataclass(frozen=True)
class Change:
    """new - old with its interval at the level `uncertainty.LEVEL`.

    p: two-sided, not adjusted for the number of comparisons. paired: same images and masks, image by image.
    """

    value: float
    low: float
    high: float
    p: float
    paired: bool


def measured_change(old: Sample, new: Sample, metric: str) -> Change:
    """The change from per-image results: paired where both have the same images and masks."""
    found = difference(old, new, metric)
    # Which direction is better plays no part in a two-sided p value, and some metrics have none.
    higher = p_better(old, new, metric, better=1)
    p = min(1.0, 2 * min(higher, 1 - higher))
    return Change(found.value, found.low, found.high, p, found.method.startswith("paired"))


def stored_change(
    old: float, old_interval: Sequence[float], new: float, new_interval: Sequence[float], *, degrees: float
) -> Change:
    """The change from two values and their intervals alone, as if they were independent.

    The interval combines the two by the method of variance estimates recovery (Zou and Donner, Statistics in Medicine
    27, 2008, equation 4), which keeps their skewness. Values on the same images are positively correlated, so this is
    too wide for them, hardly ever too narrow. degrees: of freedom of the t distribution by which the intervals are
    continued to other levels.
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
    return Change(value, value - below, value + above, float(p), False)


def _unclipped(value: float, low: float, high: float) -> tuple[float, float]:
    """An interval whose lower arm was cut at zero (a Fréchet distance) with an arm at least as long as the upper."""
    return (min(low, value - (high - value)), high) if low == 0 else (low, high)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p values (m,), in the order given: rejecting those <= alpha keeps any false alarm below alpha.

    For the k-th smallest of m values: the running maximum of (m - k + 1) p, at most 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
