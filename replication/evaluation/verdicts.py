"""Is a difference of a metric larger than its uncertainty, and of what may it be said?

Tables, claims and diffs ask this by one rule, `judge`:

* The differences that are shown together (the changes and leads of one table, the comparisons of one claim, the rows of
  one diff) are judged together, as two families: those that may speak of methods, and those that may not (below). Their
  p values are adjusted together by Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979), which holds
  whatever the dependence between them (the same images are behind all metrics, so they depend strongly). Benjamini and
  Hochberg's procedure would find more, but it controls the share of false alarms among those
  found: with enough true improvements it lets false "worse" through.
* Nothing is said on fewer than `FEWEST_IMAGES` images.
* A method is only spoken of where both sides were trained `FEWEST_TRAININGS` times or more. Two trainings of one recipe
  that differ in nothing but the seed differ beyond what their test images explain in almost every metric (in `demo`
  53 of 54, spread over seeds 3 to 15 times the paired standard error over images). With fewer trainings a difference
  that is larger than the images explain is one between these networks.
* "Every one of these holds" (a claim with several comparisons; a lead over every other row) needs no adjustment for
  their number: it is shown at 5 % if each of them is (Berger's intersection-union test, Technometrics 24, 1982).

Three trainings tell little: a seeds part has two degrees of freedom, so that a difference among 12 that are judged
together is beyond chance from some 15 standard errors over trainings on, among 48 from 30.

Share of families with any false alarm, measured by simulation (nominal 5 %; tests/evaluation/test_verdicts.py):

                                     one difference, n = 30 / 200 / 2000    252 independent differences, n = 30 / 200
    normal                           4.3  5.0  4.7                           3   4
    t, 3 degrees of freedom          2.9  3.6  4.7                           1   1
    log-normal, s = 1                4.5  3.1  4.3                           0   2
    log-normal, s = 1.5              5.8  4.0  3.3                           0   2
    one image in twenty 5 sigma off  5.6  3.8  4.3                           0   1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

LEVEL = 0.95
"""Confidence of every interval; a verdict is wrong with at most the rest."""

FEWEST_IMAGES = 30
FEWEST_TRAININGS = 3


@dataclass(frozen=True)
class Change:
    """new - old with its interval at the level `LEVEL`.

    p: two-sided, not adjusted for the number of comparisons. paired: same images and masks, image by image. images,
    trainings: the smaller number of the two sides. same_networks: both sides are the very same trained networks, so
    that what differs is the measuring.
    """

    value: float
    low: float
    high: float
    p: float
    paired: bool
    images: int
    trainings: int
    same_networks: bool = False

    @property
    def firm(self) -> bool:
        """Whether more than these networks may be spoken of: enough trainings on both sides, or the same networks."""
        return self.trainings >= FEWEST_TRAININGS or self.same_networks


class Standing(StrEnum):
    """What may be said of a difference."""

    BEYOND_CHANCE = "beyond chance"
    WITHIN_CHANCE = "within chance"
    ONE_TRAINING = "one training"  # beyond what the images explain, of networks trained once
    TWO_TRAININGS = "two trainings"
    FEW_IMAGES = "too few images"


@dataclass(frozen=True)
class Judgement:
    """standing, and the p value adjusted for the family (1 where there are too few images)."""

    standing: Standing
    p: float

    @property
    def of_networks(self) -> bool:
        """Whether the difference is larger than the images explain, but too few trainings are behind it."""
        return self.standing in (Standing.ONE_TRAINING, Standing.TWO_TRAININGS)


def judge(changes: Sequence[Change]) -> list[Judgement]:
    """What may be said of each difference of those that are shown together, by the rule above, in the order given."""
    adjusted = np.ones(len(changes))
    for firm in (True, False):
        own = [i for i, one in enumerate(changes) if one.images >= FEWEST_IMAGES and one.firm is firm]
        adjusted[own] = holm([changes[i].p for i in own])
    judged = []
    for change, p in zip(changes, map(float, adjusted), strict=True):
        if change.images < FEWEST_IMAGES:
            judged.append(Judgement(Standing.FEW_IMAGES, 1.0))
            continue
        if p > 1 - LEVEL + 1e-12:
            standing = Standing.WITHIN_CHANCE
        elif change.firm:
            standing = Standing.BEYOND_CHANCE
        else:
            standing = Standing.ONE_TRAINING if change.trainings < 2 else Standing.TWO_TRAININGS
        judged.append(Judgement(standing, p))
    return judged


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p values (m,), in the order given: rejecting those <= alpha keeps any false alarm below alpha.

    For the k-th smallest of m values: the running maximum of (m - k + 1) p, at most 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
