"""Uncertainty of measured numbers from what an evaluation stored; no network is run again.

One method serves every number. Each metric is, to first order, a mean over images of influence values: exactly
so for per-image metrics (influence = value - mean), in closed form for the Fréchet distance
(`frechet_influence.py`). An interval is made of independent parts: the images, and the seeds if there are two or
more. An images part is the wider, on each side, of Student's t interval and Hall's (1992) skewness-corrected
one (t quantiles, skewness of the influences), with degrees of freedom by Satterthwaite's rule for a variance of
heavy-tailed numbers (`_degrees`); a seeds part is Student's t over the means of the seeds. A side with one training
borrows the spread of the other side's. Parts add in squares on each side (Banerjee 1961 proves coverage >= nominal
for t parts; Zou and Donner 2008), because Welch and Satterthwaite's approximation fell to 87 % with 2 seeds.

Coverage of 95 % intervals in per cent, measured by simulation:

    mean, n = 10 / 20 / 30 images         this method        Student's t        studentised bootstrap (n = 10)
      normal                              96.7  96.0  95.7   94.8  95.1  95.1   93.7
      gamma, skewness 1                   96.0  96.3  96.2   93.6  94.4  94.5   93.3
      exponential, skewness 2             95.3  96.4  96.8   90.3  92.3  92.9   94.1
      log-normal, skewness 3.7            93.6  95.1  95.9   88.1  89.8  90.8   92.1
      log-normal, skewness 6.2            92.4  94.4  95.6   84.3  86.8  88.5   90.9
      one image in ten 5 sigma off        92.4  93.0  95.5   89.7  92.0  92.8   88.9
      differences, skewed: paired 95 to 96, unpaired 97 to 98
      (BCa: 82 to 90 at n = 10, 87 to 92 at n = 20; Johnson's (1978) correction: hardly more than t)
    Fréchet distance, normal and skewed features, 4 ways of being apart
      d = 8 and 64 features, n = 12         91 to 99         worst: skewed features, d = 8
      d = 8 and 64, n = 30                  93 to 99.6
      d = 8, 64 and 128, n = 100            93 to 100
      d = 512, n = 60; d = 2048, n = 300    96 to 98         fewer images than dimensions
      paired differences, any of these      92.8 to 100      worst: n = 12, skewed
      (n = 12 and 30: percentile bootstrap 76 to 93; shifted by its bias 87 to 99; Student's t with delete-1
      jackknife 86 to 96, with the standard error used here 85 to 99)
    2 / 3 / 5 seeds, n = 12 and 100         94 to 99, 95 to 98.5, 95 to 98
    differences from `replicates`, n = 12 to 100: one seed 93 to 96, three seeds 98 to 100

What is covered is the expected value of the statistic for other test images of the same kind and number; for the
Fréchet distance this includes its bias in n. Its intervals are conservative where images are few for the feature
dimension or the two sets nearly equal (standard errors up to 1.6 times too large), because a jackknife counts
terms of second order twice. Weak spots: fewer than 30 images with heavy tails (above), and outliers so rare that
no sampled image is one, which no method can see. Two seeds give very wide intervals: t is 12.7,
against 4.3 for three.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from replication.data.random_streams import stream
from replication.errors import InputError
from replication.evaluation.sample import FRECHET, Sample
from replication.evaluation.verdicts import LEVEL

__all__ = ["LEVEL", "Interval", "Sample", "difference", "interval", "p_value", "replicates", "tested_difference"]

_HIDDEN = 100  # images; fewer can hide how skewed they are

_CHUNK = 1000  # bootstrap draws at a time: bounds the memory for weights


@dataclass(frozen=True)
class Interval:
    """A number and where its true value lies with the confidence asked for; all but n and seeds in its unit.

    n: images; seeds: trainings behind the number (of a difference: the smaller count of the two). se: standard
    error. method: one line that says what is included and what is not.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: int
    method: str
    se: float

    @property
    def significant(self) -> bool:
        """Whether zero lies outside, which is of interest for differences."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class _Part:
    """One independent source of error: standard error, skewness of the estimate, degrees of freedom."""

    se: float
    skewness: float
    df: float
    floor: float = 0.0
    """No p value below this can be told (`_floor`)."""

    def reach(self, tail: float) -> tuple[float, float]:
        """How far the interval reaches below and above the value if each side misses with probability `tail`."""
        quantile = -float(special.stdtrit(self.df, tail))
        below = above = quantile
        if abs(self.skewness) > 1e-6:
            below, above = max(below, self._hall(quantile)), max(above, -self._hall(-quantile))
        return below * self.se, above * self.se

    def _hall(self, quantile: float) -> float:
        # Inverse of T + a T^2 / 3 + a^2 T^3 / 27 + a / 6, which is increasing in T for every a.
        a = self.skewness
        return 3 / a * float(np.cbrt(1 + a * (quantile - a / 6)) - 1)


@dataclass(frozen=True)
class _Estimate:
    """A number with the independent parts of its error."""

    value: float
    parts: tuple[_Part, ...]
    n: int
    seeds: int
    method: str

    def reach(self, tail: float) -> tuple[float, float]:
        reaches = [part.reach(tail) for part in self.parts]
        return math.hypot(*(below for below, _ in reaches)), math.hypot(*(above for _, above in reaches))

    def p(self, margin: float = 0.0) -> float:
        """Two-sided p value of "the true value is `margin`": below 0.05 exactly if the 95 % interval leaves it out,
        but never below what the images can tell.
        """
        side, distance = (0 if self.value > margin else 1), abs(self.value - margin)

        def excess(log_tail: float) -> float:
            return self.reach(math.exp(log_tail))[side] - distance

        lowest, highest = math.log(1e-16), math.log(0.5)
        if excess(highest) >= 0:
            return 1.0
        tail = 0.0 if excess(lowest) <= 0 else math.exp(optimize.brentq(excess, lowest, highest, xtol=1e-9))
        return min(1.0, max(2 * tail, *(part.floor for part in self.parts)))

    def interval(self, level: float, floor: float = -math.inf) -> Interval:
        if not 0 < level < 1:
            raise InputError(f"confidence level {level} must lie between 0 and 1, such as {LEVEL}")
        below, above = self.reach((1 - level) / 2)
        low, high = max(floor, self.value - below), self.value + above
        se = math.hypot(*(part.se for part in self.parts))
        return Interval(self.value, low, high, self.n, self.seeds, self.method, se)


def _images_part(influence: np.ndarray) -> _Part:
    n = len(influence)
    deviation = float(influence.std(ddof=1))
    if n < 3 or deviation == 0:
        return _Part(deviation / math.sqrt(n), 0.0, n - 1, _floor(0.0, n) if deviation else 0.0)
    standardised = influence / influence.std()
    # Adjusted sample skewness G1 (g1 sqrt(n (n - 1)) / (n - 2)); that of the mean is G1 / sqrt(n), at most 1 in size.
    skewness = float(np.mean(standardised**3)) * math.sqrt(n * (n - 1)) / (n - 2)
    return _Part(deviation / math.sqrt(n), skewness / math.sqrt(n), _degrees(standardised), _floor(skewness, n))


def _degrees(standardised: np.ndarray) -> float:
    """Degrees of freedom of the variance of (n,) numbers of mean 0 and variance 1: n - 1, fewer for heavy tails.

    Satterthwaite's rule gives a variance estimated from n numbers of excess kurtosis K the degrees 2 n / (K + 2). K is
    taken twice: a sample's kurtosis, at most n, falls far short of a heavy tail's. Without the rule 9 % of nominal 5 %
    tests are false alarms at n = 30 and log-normal influences (s = 1.5), with K once 7 %, with K twice 6 %. The price:
    intervals of few, heavy-tailed images are wide (times Student's: exponential 1.5 at n = 10, 1.3 at 30, 1.1 at 100).
    """
    n = len(standardised)
    if n < 4:
        return n - 1
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (float(np.mean(standardised**4)) - 3) + 6)
    return min(n - 1, max(1.0, n / (max(excess, 0.0) + 1)))


def _floor(skewness: float, n: int) -> float:
    """The smallest p value that n images can tell if they are skewed, or too few to show that they are not.

    Far out, where a family of comparisons is judged (`verdicts.judge`), every approximation fails for skewed
    influences: the sample may not hold the tail at all. At n = 30 and log-normal influences a nominal
    0.0002 is 0.002 to 0.003. (A sign-flip permutation test in the floor's place was tried and changes nothing: it sees
    the same sample.) 6 / n^2 leaves 0.007 at 30 images and 0.00015 at 200, where 300 comparisons can still be
    judged together.
    """
    return 6 / n**2 if abs(skewness) > 1 or n < _HIDDEN else 0.0


def _seeds_parts(values: np.ndarray) -> tuple[_Part, ...]:
    """None for one seed, whose randomness nothing tells."""
    if len(values) < 2:
        return ()
    return (_Part(float(values.std(ddof=1)) / math.sqrt(len(values)), 0.0, len(values) - 1),)


def _seeds_parts_of_both(a: np.ndarray, b: np.ndarray) -> tuple[_Part, ...]:
    """Of the difference of two independent means; one training alone borrows the spread of the other side's.

    Left out, that part made 15 % of nominal 5 % tests of one training against three false alarms; borrowed, 5 %.
    """
    if min(len(a), len(b)) > 1 or len(a) == len(b):
        return _seeds_parts(a) + _seeds_parts(b)
    several = a if len(a) > 1 else b
    return (_Part(float(several.std(ddof=1)) * math.sqrt(1 + 1 / len(several)), 0.0, len(several) - 1),)


def interval(sample: Sample, metric: str, level: float = LEVEL) -> Interval:
    """Where the expected value of a metric lies, with confidence `level` (0 to 1), both sides alike.

    Over the test images and, with two seeds or more, over trainings; `method` says which. An unknown metric or
    a level outside (0, 1) raises InputError.
    """
    values, influence = sample.measure(metric)
    estimate = _Estimate(
        value=float(values.mean()),
        parts=(_images_part(influence), *_seeds_parts(values)),
        n=sample.n,
        seeds=sample.seeds,
        method=f"{sample.n} images{_linear(metric)}; {_trainings(sample.seeds)}",
    )
    return estimate.interval(level, floor=0.0 if metric in FRECHET else -math.inf)


def difference(a: Sample, b: Sample, metric: str, level: float = LEVEL) -> Interval:
    """Interval of b - a: paired if both were measured on the same images of the same pairs, otherwise unpaired.

    Seeds of the two count as independent trainings (they share their start and the order of their data, which as
    a rule makes this too wide), unless both samples come from the same ones (another bucket of the same run),
    which are then paired too. Raises InputError for an unknown metric, a level outside
    (0, 1), and a Fréchet distance whose features come from two networks.
    """
    return _difference(a, b, metric).interval(level)


def _difference(a: Sample, b: Sample, metric: str) -> _Estimate:
    (values_a, influence_a), (values_b, influence_b) = a.measure(metric), b.measure(metric)
    if metric in FRECHET and a.extractor != b.extractor:
        raise InputError(
            f"{metric} of {a.run} and {b.run} cannot be compared: features come from "
            f"{a.extractor[0]!r} ({a.extractor[1]}) and {b.extractor[0]!r} ({b.extractor[1]})"
        )
    if _images_key(a) == _images_key(b):
        parts = (_images_part(influence_b - influence_a),)
        method = f"paired, {a.n} images{_linear(metric)}"
    else:
        parts = (_images_part(-influence_a), _images_part(influence_b))
        method = f"unpaired, {a.n} and {b.n} images{_linear(metric)}"
    if a.trainings == b.trainings:
        parts += _seeds_parts(values_b - values_a)
    else:
        parts += _seeds_parts_of_both(values_a, values_b)
    seeds = _trainings(a.seeds)
    if b.seeds != a.seeds:
        seeds = f"{a.run}: {seeds}, {b.run}: {_trainings(b.seeds)}"
        if min(a.seeds, b.seeds) == 1:
            seeds = f"seeds: {a.seeds} of {a.run}, {b.seeds} of {b.run}; one spread taken for both"
    return _Estimate(
        value=float(values_b.mean() - values_a.mean()),
        parts=parts,
        n=min(a.n, b.n),
        seeds=min(a.seeds, b.seeds),
        method=f"{method}; {seeds}",
    )


def _images_key(sample: Sample) -> str:
    """Equal for samples whose images are the same ones, in the same order."""
    return f"{sample.pairs_sha256} {hashlib.sha256(sample.images.astype(np.int64).tobytes()).hexdigest()}"


def _linear(metric: str) -> str:
    return " (infinitesimal jackknife)" if metric in FRECHET else ""


def _trainings(seeds: int) -> str:
    return f"{seeds} seeds" if seeds > 1 else "images only, 1 seed says nothing of training randomness"


def tested_difference(a: Sample, b: Sample, metric: str, margin: float = 0.0) -> tuple[Interval, float]:
    """`difference` at `LEVEL` and `p_value`, computed once."""
    estimate = _difference(a, b, metric)
    return estimate.interval(LEVEL), estimate.p(margin)


def p_value(a: Sample, b: Sample, metric: str, margin: float = 0.0) -> float:
    """Two-sided p value of "b - a is `margin`" (in the metric's unit). Raises InputError as `difference` does."""
    return _difference(a, b, metric).p(margin)


def replicates(samples: Mapping[str, Sample], metric: str, draws: int, seed: int) -> dict[str, np.ndarray]:
    """Joint draws of the true values of several samples: name -> (draws,) float64, the same for the same `seed`.

    The fraction of draws in which a statement holds is the confidence in it. Samples with equal pairs and images
    share the resampled images (a bootstrap of the influences), others are drawn independently. With two seeds or
    more the seeds' mean is drawn too, shared by samples of the same trainings (buckets, metrics). Draws have the
    spread of t distributions (divided by a chi), so that few images or seeds are not taken for many. What a
    sample draws does not depend on the other samples. The draws are meant for comparisons: for the value of one
    sample alone they have no skewness correction (88 to 92 % for skewed metrics), `interval` has.
    Raises InputError for fewer than 1 draw or an unknown metric.
    """
    if draws < 1:
        raise InputError(f"draws is {draws}; at least 1 is needed")
    measured = {name: sample.measure(metric) for name, sample in samples.items()}
    groups: dict[str, list[str]] = {}
    for name, sample in samples.items():
        groups.setdefault(_images_key(sample), []).append(name)
    drawn = {}
    for key, names in groups.items():
        rng, n = stream(seed, f"resampled images {key}"), samples[names[0]].n
        influences = np.stack([measured[name][1] for name in names], axis=1)
        parts = []
        for start in range(0, draws, _CHUNK):
            counts = rng.multinomial(n, np.full(n, 1 / n), size=min(_CHUNK, draws - start)).astype(float)
            # One dot product per sample: a joint one might round differently with other samples beside it.
            parts.append(np.stack([counts @ column for column in influences.T.copy()], axis=1))
        # n (n - 1): a bootstrap mean has the variance (n - 1) / n of what an unbiased one would have.
        moves = np.concatenate(parts) / math.sqrt(n * (n - 1)) / _chi(rng, n - 1, draws)[:, None]
        for name, move in zip(names, moves.T, strict=True):
            drawn[name] = measured[name][0].mean() + move + _seed_draws(samples[name], measured[name][0], draws, seed)
    return {name: drawn[name] for name in samples}


def _seed_draws(sample: Sample, values: np.ndarray, draws: int, seed: int) -> np.ndarray | float:
    count = len(values)
    if count < 2:
        return 0.0
    rng = stream(seed, f"drawn seeds {sample.trainings}")
    weights = rng.standard_normal((draws, count)) / math.sqrt(count * (count - 1))
    return weights @ (values - values.mean()) / _chi(rng, count - 1, draws)


def _chi(rng: np.random.Generator, df: int, draws: int) -> np.ndarray:
    return np.sqrt(rng.chisquare(df, draws) / df)
