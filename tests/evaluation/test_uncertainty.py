from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from replication.atomic import write_json
from replication.errors import InputError
from replication.evaluation.evaluate import read_results
from replication.evaluation.frechet import frechet_distance
from replication.evaluation.frechet_influence import frechet_influence
from replication.evaluation.uncertainty import Interval, Sample, difference, interval, p_value, replicates


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _sample(values, *, name="a", pairs="pairs", images=None, features=None, extractor=("FD (x)", "1"), **changes):
    """A sample with the metric PSNR, (n,) or (seeds, n), and an FD if features (one pair per seed) are given."""
    values = np.atleast_2d(values)
    if features is not None:
        changes |= {"frechet": "FD", "features": lambda seed: features[seed]}
    return Sample(
        {"PSNR": values},
        np.arange(values.shape[1]) if images is None else images,
        run=name,
        bucket="1-20%",
        pairs_sha256=pairs,
        extractor=extractor,
        **changes,
    )


def _frechet_sample(*pairs, **changes):
    return _sample(np.zeros((len(pairs), len(pairs[0][0]))), features=pairs, **changes)


def _share(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([made.low <= truth <= made.high for made in intervals]))


# --- coverage, by simulation with a fixed seed ---

_SHAPES = {  # draws of mean 0; coverage asked of n = 10 and n = 30 images; widest allowed, times Student's
    "normal": (lambda rng, size: rng.standard_normal(size), (0.945, 0.945), 1.25),
    "SSIM-like": (lambda rng, size: rng.beta(8, 2, size) - 0.8, (0.945, 0.945), 1.3),
    "exponential": (lambda rng, size: rng.exponential(size=size) - 1, (0.94, 0.945), 1.9),
    "log-normal": (lambda rng, size: np.exp(0.8 * rng.standard_normal(size)) - np.exp(0.32), (0.92, 0.93), 2.3),
}


@pytest.mark.parametrize("shape", _SHAPES)
def test_coverage_of_means_of_few_images(shape):
    draw, least, widest = _SHAPES[shape]
    for n, floor in zip((10, 30), least, strict=True):
        rng = np.random.default_rng(n)
        made = [interval(_sample(draw(rng, n)), "PSNR") for _ in range(3000)]
        assert _share(made, 0.0) >= floor
        width = np.median([i.high - i.low for i in made])
        student = np.median([2 * stats.t.ppf(0.975, n - 1) * i.se for i in made])
        assert width < widest * student, "covering by being wide is no achievement"
        if shape == "normal":
            assert _share(made, 0.0) < 0.975


def test_student_alone_would_not_cover_skewed_metrics():
    """Why the correction is there: the test above would fail without it."""
    rng = np.random.default_rng(10)
    values = np.exp(0.8 * rng.standard_normal((1200, 10))) - np.exp(0.32)
    reach = stats.t.ppf(0.975, 9) * values.std(1, ddof=1) / 10**0.5
    assert np.mean(np.abs(values.mean(1)) <= reach) < 0.9


@pytest.mark.parametrize("paired", [True, False])
def test_coverage_of_differences(paired):
    rng = np.random.default_rng(3)
    n, made = 15, []
    for _ in range(2000):
        hardness = rng.exponential(size=n)
        a = hardness + 0.3 * rng.exponential(size=n)
        b = (hardness if paired else rng.exponential(size=n)) * 1.2 + 0.3 * rng.exponential(size=n)
        made.append(difference(_sample(a), _sample(b, name="b", pairs="pairs" if paired else "others"), "PSNR"))
    assert _share(made, 0.2) >= 0.935


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3, 2.0])
def test_coverage_with_seeds(seeds, spread):
    """The true value is that of other images and other trainings; `spread` is the seeds' standard deviation."""
    rng = np.random.default_rng(seeds)
    n, made, single = 12, [], []
    for _ in range(600):
        hardness = rng.exponential(size=n) - 1
        values = hardness + spread * rng.standard_normal((seeds, 1)) + 0.5 * rng.standard_normal((seeds, n))
        made.append(interval(_sample(values), "PSNR"))
        single.append(interval(_sample(values[0]), "PSNR"))
    assert _share(made, 0.0) >= 0.935
    if spread == 2.0:
        assert _share(single, 0.0) < 0.5, "one seed cannot know; its method line says so"


@pytest.mark.parametrize(("of_a", "of_b"), [(3, 3), (2, 5), (1, 3)])
def test_coverage_of_differences_with_seeds(of_a, of_b):
    """Paired images, independent trainings; one seed has no luck here, since nothing could tell its size."""
    rng = np.random.default_rng(10 * of_a + of_b)
    n, made = 20, []
    for _ in range(800):
        hardness = rng.exponential(size=n)
        a, b = (
            hardness + 0.4 * (k > 1) * rng.standard_normal((k, 1)) + 0.3 * rng.exponential(size=(k, n))
            for k in (of_a, of_b)
        )
        made.append(difference(_sample(a), _sample(b, name="b"), "PSNR"))
    assert _share(made, 0.0) >= 0.94


def test_coverage_of_differences_within_the_same_trainings():
    """Two buckets of one run: a seed's luck is common to both but for a part of its own."""
    rng = np.random.default_rng(21)
    made = []
    for _ in range(800):
        luck = 2 * rng.standard_normal((3, 1))
        easy, hard = (
            luck + shift + 0.3 * rng.standard_normal((3, 1)) + rng.exponential(size=(3, 15)) for shift in (0.0, 1.0)
        )
        made.append(difference(_sample(easy), _sample(hard), "PSNR"))
    assert _share(made, 1.0) >= 0.94
    assert np.median([i.high - i.low for i in made]) < 3  # the common luck alone would make it 9


def _completions(rng, n, d, *, skewed):
    """Originals and two exchangeable completions; some images are harder than others, in all dimensions at once."""
    scale = np.arange(1, d + 1) ** -0.5
    real, shared, own_a, own_b = (
        rng.exponential(size=(4, n, d)) - 1 if skewed else rng.standard_normal((4, n, d))
    ) * scale
    hardness = np.exp(0.4 * rng.standard_normal((n, 1)))
    blurred = 0.7 * real + 0.2 * scale * hardness
    return real, *(blurred + 0.5 * hardness * (0.8 * shared + 0.6 * own) for own in (own_a, own_b))


@pytest.mark.parametrize(("n", "d"), [(12, 40), (30, 8), (60, 40)])
@pytest.mark.parametrize("skewed", [False, True])
def test_coverage_of_frechet_distances(n, d, skewed):
    """Of the expected statistic at this n; n < d makes both covariances singular."""
    rng = np.random.default_rng(n)
    single, paired, unpaired = [], [], []
    for _ in range(300):
        real, first, second = _completions(rng, n, d, skewed=skewed)
        other_real, other, _ = _completions(rng, n, d, skewed=skewed)
        a, b = _frechet_sample((first, real)), _frechet_sample((second, real), name="b")
        single.append(interval(a, "FD"))
        paired.append(difference(a, b, "FD"))
        unpaired.append(difference(a, _frechet_sample((other, other_real), name="c", pairs="others"), "FD"))
    assert _share(single, float(np.mean([made.value for made in single]))) >= 0.91
    assert _share(paired, 0.0) >= 0.94
    assert _share(unpaired, 0.0) >= 0.93
    spread = np.std([made.value for made in paired])
    assert np.median([made.se for made in paired]) < 1.7 * spread
    assert np.mean([made.se for made in paired]) < 0.9 * np.mean([made.se for made in unpaired])


def test_coverage_of_frechet_differences_with_seeds():
    rng = np.random.default_rng(5)
    made = []
    for _ in range(250):
        real, first, second = _completions(rng, 30, 8, skewed=True)
        # A training's own luck: how far it drifts in the first feature.
        luck = np.zeros((2, 3, 1, 8))
        luck[..., 0] = 0.3 * np.abs(rng.standard_normal((2, 3, 1)))
        a = _frechet_sample(*((first + drift, real) for drift in luck[0]))
        b = _frechet_sample(*((second + drift, real) for drift in luck[1]), name="b")
        made.append(difference(a, b, "FD"))
    assert _share(made, 0.0) >= 0.95


def test_p_values_are_calibrated():
    """With no true difference a p value below 10 % may come up in 10 % of all cases, as often on either side."""
    rng = np.random.default_rng(9)
    sides = {True: 0, False: 0}
    for _ in range(1500):
        a, b = _sample(rng.exponential(size=20)), _sample(rng.exponential(size=20), name="b")
        if p_value(a, b, "PSNR") < 0.1:
            sides[difference(a, b, "PSNR").value > 0] += 1
    assert all(0.03 < count / 1500 < 0.06 for count in sides.values())


def test_coverage_of_joint_draws():
    """How often the 95 % of the draws in the middle hold the true difference, images and three seeds drawn."""
    rng = np.random.default_rng(11)
    covered = []
    for repetition in range(400):
        hardness = rng.exponential(size=20)
        a, b = (hardness + 0.3 * rng.standard_normal((3, 1)) + 0.3 * rng.standard_normal((3, 20)) for _ in range(2))
        drawn = replicates({"a": _sample(a), "b": _sample(b, name="b")}, "PSNR", 400, seed=repetition)
        low, high = np.quantile(drawn["b"] - drawn["a"], [0.025, 0.975])
        covered.append(low <= 0 <= high)
    assert np.mean(covered) >= 0.94


@pytest.mark.parametrize("what", ["PSNR", "FD"])
def test_coverage_of_joint_draws_of_one_seed(what):
    """As in this suite's profiles: one training each, differences over the images alone."""
    rng = np.random.default_rng(17)
    covered = []
    for repetition in range(300):
        if what == "FD":
            real, first, second = _completions(rng, 30, 8, skewed=True)
            a, b = _frechet_sample((first, real)), _frechet_sample((second, real), name="b")
        else:
            hardness = rng.exponential(size=20)
            a, b = (_sample(hardness + 0.3 * rng.exponential(size=20), name=name) for name in "ab")
        drawn = replicates({"a": a, "b": b}, what, 400, seed=repetition)
        low, high = np.quantile(drawn["b"] - drawn["a"], [0.025, 0.975])
        covered.append(low <= 0 <= high)
    assert np.mean(covered) >= 0.92


# --- exact facts ---


def test_influence_of_a_mean_is_the_deviation():
    values = np.random.default_rng(0).normal(20, 3, (3, 9))
    sample = _sample(values)
    np.testing.assert_allclose(sample.influence("PSNR"), values.mean(0) - values.mean(), atol=1e-13)
    assert sample.value("PSNR") == pytest.approx(values.mean(), rel=1e-14)
    np.testing.assert_allclose(sample.per_seed("PSNR"), values.mean(1), rtol=1e-14)


@pytest.mark.parametrize(("n", "d"), [(25, 6), (8, 20), (7, 7)])
def test_influence_on_frechet_distance_is_its_derivative(n, d):
    """Weights are whole numbers of copies: 400 of each image, one more of image i, against `frechet_distance`."""
    rng = np.random.default_rng(n)
    real, completed, _ = _completions(rng, n, d, skewed=True)
    value, influence = frechet_influence(completed, real)
    assert value == pytest.approx(frechet_distance(completed, real), rel=1e-10)
    assert influence.mean() == pytest.approx(0, abs=1e-13)

    copies = 400

    def of_population(counts):
        # n/(n-1) makes many copies of n images have the unbiased covariance of the n images.
        rows, total = np.repeat(np.arange(n), counts), counts.sum()
        x, y = completed[rows], real[rows]
        gap = ((x.mean(0) - y.mean(0)) ** 2).sum()
        return gap + (frechet_distance(x, y) - gap) * (total - 1) / total * n / (n - 1)

    base = np.full(n, copies)
    for i in (0, n // 2, n - 1):
        step = np.eye(n, dtype=int)[i]
        # Weight of the image: eps = 1 / total of the new distribution, so central differences are exact to eps^2.
        above, below = of_population(base + step), of_population(base - step)
        slope = (above - below) / (1 / (n * copies + 1) + 1 / (n * copies - 1))
        assert slope == pytest.approx(influence[i], rel=2e-4, abs=1e-4 * np.abs(influence).max())


def test_frechet_influence_of_equal_sets_is_zero():
    x = np.random.default_rng(0).normal(5, 1, (30, 12))
    for n in (8, 30):
        value, influence = frechet_influence(x[:n], x[:n])
        assert value < 1e-12
        assert np.abs(influence).max() < 1e-11


def test_frechet_interval_is_of_the_reported_number_and_never_negative():
    rng = np.random.default_rng(2)
    real, first, second = _completions(rng, 4, 3, skewed=True)
    sample = _frechet_sample((first, real), (second, real))
    made = interval(sample, "FD")
    assert made.value == pytest.approx((frechet_distance(first, real) + frechet_distance(second, real)) / 2, rel=1e-10)
    assert made.low == 0.0
    assert "infinitesimal jackknife" in made.method


def test_paired_is_narrower_than_unpaired_for_correlated_images():
    rng = np.random.default_rng(1)
    hardness = rng.exponential(size=40)
    a = _sample(hardness + 0.1 * rng.standard_normal(40))
    b = hardness + 0.1 * rng.standard_normal(40)
    paired, unpaired = (difference(a, _sample(b, name="b", pairs=pairs), "PSNR") for pairs in ("pairs", "others"))
    assert paired.method.startswith("paired, 40 images")
    assert unpaired.method.startswith("unpaired, 40 and 40 images")
    assert paired.value == unpaired.value
    assert paired.high - paired.low < 0.3 * (unpaired.high - unpaired.low)
    # The same pairs, but other images of them, are no pairing.
    fewer = difference(a, _sample(b[:30], name="b"), "PSNR")
    assert fewer.method.startswith("unpaired, 40 and 30")


def test_symmetric_values_give_students_interval():
    values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) + 7
    made = interval(_sample(values), "PSNR")
    low, high = stats.t.interval(0.95, 4, 7, values.std(ddof=1) / 5**0.5)
    assert (made.low, made.high) == pytest.approx((low, high), rel=1e-12)
    assert (made.n, made.seeds, made.se) == (5, 1, pytest.approx(values.std(ddof=1) / 5**0.5))
    narrower = interval(_sample(values), "PSNR", level=0.5)
    assert made.low < narrower.low < 7 < narrower.high < made.high


def test_skewness_lengthens_the_side_of_the_tail():
    values = stats.expon.ppf((np.arange(60) + 0.5) / 60)
    made, mirrored = interval(_sample(values), "PSNR"), interval(_sample(-values), "PSNR")
    assert made.high - made.value > 1.15 * (made.value - made.low)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((made.low, made.high), rel=1e-12)


def test_order_of_images_changes_nothing():
    rng = np.random.default_rng(4)
    real, first, second = _completions(rng, 20, 30, skewed=True)
    values, order = rng.exponential(size=(2, 20)), rng.permutation(20)
    sample = _sample(values, features=[(first, real), (second, real)])
    permuted = _sample(
        values[:, order], images=order, features=[(first[order], real[order]), (second[order], real[order])]
    )
    for metric in ("PSNR", "FD"):
        assert interval(sample, metric) == interval(permuted, metric)
        assert np.array_equal(sample.influence(metric), permuted.influence(metric))
        drawn = replicates({"a": sample, "b": permuted}, metric, 50, seed=0)
        assert np.array_equal(drawn["a"], drawn["b"])


def test_seeds_widen_and_one_seed_says_so():
    values = np.random.default_rng(5).normal(size=12)
    one = interval(_sample(values), "PSNR")
    two = interval(_sample(np.stack([values - 1, values + 1])), "PSNR")
    assert "images only" in one.method and "2 seeds" in two.method
    assert two.value == pytest.approx(one.value)
    # Student with one degree of freedom (12.7), standard error 1, added in squares.
    assert two.high - two.value == pytest.approx(np.hypot(one.high - one.value, stats.t.ppf(0.975, 1)), rel=1e-9)
    assert two.value - two.low == pytest.approx(np.hypot(one.value - one.low, stats.t.ppf(0.975, 1)), rel=1e-9)
    assert two.seeds == 2
    mixed = difference(_sample(values), _sample(np.stack([values, values + 1]), name="b"), "PSNR")
    assert mixed.seeds == 1
    assert "1 of a, 2 of b; one spread taken for both" in mixed.method


def test_the_same_trainings_are_paired_by_seed():
    """Two buckets of one run: what a lucky seed adds to both does not blur their difference."""
    rng = np.random.default_rng(6)
    luck = 3 * rng.standard_normal((3, 1))
    easy, hard = luck + rng.standard_normal((3, 15)), luck + 1 + rng.standard_normal((3, 15))
    same = difference(_sample(easy), _sample(hard), "PSNR")
    apart = difference(_sample(easy), _sample(hard, trainings=["x", "y", "z"]), "PSNR")
    assert same.se < 0.4 * apart.se


def test_p_value_agrees_with_the_interval():
    rng = np.random.default_rng(7)
    crossings = set()
    for shift in np.linspace(-2, 2, 41):
        base = rng.exponential(size=12)
        a, b = _sample(base), _sample(base + shift + 1.5 * (rng.exponential(size=12) - 1), name="b")
        made, p = difference(a, b, "PSNR"), p_value(a, b, "PSNR")
        assert made.significant == (p < 0.05)
        assert p_value(b, a, "PSNR") == pytest.approx(p, abs=1e-9)
        assert p_value(a, b, "PSNR", margin=made.value) == 1
        inside, outside = made.high - 1e-6, made.high + 1e-6
        assert p_value(a, b, "PSNR", margin=inside) > 0.05 > p_value(a, b, "PSNR", margin=outside)
        crossings.add(made.significant)
    assert crossings == {True, False}


def test_p_value_is_students_for_symmetric_differences():
    steps = np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], 20)
    p = p_value(_sample(np.zeros(100)), _sample(steps + 0.4, name="b"), "PSNR")
    assert p == pytest.approx(2 * stats.t.sf(0.4 / (steps.std(ddof=1) / 10), 99), abs=1e-9)


def test_equal_results_differ_by_nothing():
    values = np.random.default_rng(8).normal(size=6)
    a, b = _sample(values), _sample(values, name="b")
    made = difference(a, b, "PSNR")
    assert (made.value, made.low, made.high, made.significant) == (0, 0, 0, False)
    assert p_value(a, b, "PSNR") == 1
    assert p_value(a, _sample(values + 1, name="b"), "PSNR") == pytest.approx(6 / 6**2), "the least that 6 images tell"


def test_heavy_tails_have_fewer_degrees_of_freedom():
    """Symmetric, so that only Satterthwaite's rule can lengthen the arms; normal numbers keep n - 1."""
    flat = np.tile([-1.0, 1.0], 20)
    heavy = flat.copy()
    heavy[:2] = -9, 9
    for values, degrees in ((flat, 39), (heavy, None)):
        made = interval(_sample(values), "PSNR")
        arm = (made.high - made.value) / made.se
        if degrees:
            assert arm == pytest.approx(stats.t.ppf(0.975, degrees))
        else:
            assert arm == pytest.approx(stats.t.ppf(0.975, 40 / (stats.kurtosis(heavy, bias=False) + 1)))


def test_skewed_images_tell_no_tiny_p_value():
    rng = np.random.default_rng(15)
    skewed, even = np.exp(1.5 * rng.standard_normal(200)), rng.standard_normal(200)
    assert p_value(_sample(skewed), _sample(2 * skewed + 9, name="b"), "PSNR") == 6 / 200**2
    assert p_value(_sample(even), _sample(2 * even + 9, name="b"), "PSNR") < 1e-12


def test_one_training_borrows_the_spread_of_the_others():
    """One training against three: left out, the lone side's luck makes three times as many false alarms."""
    rng = np.random.default_rng(16)
    alarms = []
    for _ in range(1500):
        luck = rng.standard_normal((4, 1))
        values = luck + 0.1 * rng.standard_normal((4, 40))
        alarms.append(difference(_sample(values[:1]), _sample(values[1:], name="b"), "PSNR").significant)
    assert 0.035 < np.mean(alarms) < 0.065


def test_draws_are_joint_determined_by_the_seed_and_like_the_intervals():
    rng = np.random.default_rng(12)
    hardness = rng.exponential(size=300)
    a, b = (_sample(hardness + 0.1 * rng.standard_normal(300), name=name) for name in "ab")
    apart = _sample(hardness + 0.1 * rng.standard_normal(300), name="c", pairs="others")
    drawn = replicates({"a": a, "b": b, "c": apart}, "PSNR", 4000, seed=3)
    assert {values.shape for values in drawn.values()} == {(4000,)}
    assert np.corrcoef(drawn["a"], drawn["b"])[0, 1] > 0.97
    assert abs(np.corrcoef(drawn["a"], drawn["c"])[0, 1]) < 0.06
    for sample, name in ((a, "a"), (apart, "c")):
        made = interval(sample, "PSNR")
        low, high = np.quantile(drawn[name], [0.025, 0.975])
        assert high - low == pytest.approx(made.high - made.low, rel=0.1)
        assert drawn[name].std() == pytest.approx(made.se, rel=0.06)
    better = 1 - p_value(a, b, "PSNR") / 2
    better = better if difference(a, b, "PSNR").value > 0 else 1 - better
    assert np.mean(drawn["b"] > drawn["a"]) == pytest.approx(better, abs=0.03)
    # Neither the company nor the order of the samples matters, the seed does.
    alone = replicates({"b": b}, "PSNR", 4000, seed=3)["b"]
    assert np.array_equal(alone, drawn["b"])
    assert not np.array_equal(replicates({"b": b}, "PSNR", 4000, seed=4)["b"], alone)


def test_unpaired_parts_add_in_squares_on_their_own_side():
    rng = np.random.default_rng(14)
    a, b = _sample(rng.exponential(size=9)), _sample(rng.exponential(size=14), name="b", pairs="others")
    made, of_a, of_b = difference(a, b, "PSNR"), interval(a, "PSNR"), interval(b, "PSNR")
    below = np.hypot(of_b.value - of_b.low, of_a.high - of_a.value)
    above = np.hypot(of_b.high - of_b.value, of_a.value - of_a.low)
    assert (made.value - made.low, made.high - made.value) == pytest.approx((below, above), rel=1e-12)
    assert (made.n, made.se) == (9, pytest.approx(np.hypot(of_a.se, of_b.se)))


def test_draws_of_few_images_have_the_spread_of_students_t():
    sample = _sample(np.array([-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0]))
    drawn = replicates({"a": sample}, "PSNR", 40000, seed=0)["a"]
    assert drawn.std() == pytest.approx(interval(sample, "PSNR").se * (7 / 5) ** 0.5, rel=0.02)


def test_draws_include_the_seeds():
    values = np.random.default_rng(13).normal(size=50)
    one, three = _sample(values), _sample(np.stack([values - 2, values, values + 2]), name="b")
    drawn = replicates({"one": one, "three": three}, "PSNR", 4000, seed=0)
    apart = drawn["three"] - drawn["one"]  # the images part is common to both
    reach = stats.t.ppf(0.75, 2) * 2 / 3**0.5
    assert np.quantile(apart, 0.75) - np.quantile(apart, 0.25) == pytest.approx(2 * reach, rel=0.08)


# --- files ---

_BUCKET = "20-40%"


def _write(folder, *, n=12, seed=0, change=None, card_change=None, features_change=None):
    """An evaluation folder as `evaluate` writes it, with two buckets; rows of the second start at image 3."""
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(99).normal(size=(n, 5)).astype(np.float32)
    rows = np.arange(3, 3 + n)
    tables, features = [], {"real": truth, "real_image_row": rows}
    for bucket in ("1-20%", _BUCKET):
        table = pd.DataFrame({"run": "full", "dataset": "toy", "bucket": bucket, "image_row": rows})
        table["image_id"], table["mask_row"], table["ratio"] = [f"face{row}" for row in rows], rows[::-1], 0.3
        table["L1_percent"], table["PSNR"] = rng.exponential(size=n), rng.normal(20, 2, n)
        tables.append(table)
        features[bucket] = truth + rng.normal(size=(n, 5)).astype(np.float32) / 3
    per_image = pd.concat(tables, ignore_index=True)
    if change:
        change(per_image)
    if features_change:
        features_change(features)
    metrics = {b: {"L1_percent": 0.0, "FD": 0.0, "PSNR": 0.0} for b in ("1-20%", _BUCKET)}
    made_by = [{"features": "FD (toy)", "weights_sha256": f"w{seed}", "protocol": {"features_sha256": "f"}}]
    card = {
        "run": "full",
        "dataset": "toy",
        "pairs_sha256": "p",
        "samples": {"1-20%": 0, _BUCKET: 0},
        "metrics": metrics | {"made_by": made_by},
    } | (card_change or {})
    folder.mkdir(parents=True)
    per_image.to_parquet(folder / "per_image.parquet", index=False)
    np.savez(folder / "features.npz", **features)
    np.savez(folder / "samples.npz", x=np.zeros(1))
    write_json(folder / "card.json", card)
    return folder


def test_reads_folders_of_several_seeds(tmp_path):
    folders = [_write(tmp_path / f"seed_{seed}", seed=seed) for seed in range(2)]
    sample = Sample.open(folders, _BUCKET)
    assert sample.metrics == ("L1_percent", "PSNR", "FD")
    assert (sample.n, sample.seeds, sample.pairs_sha256, sample.run) == (12, 2, "p", "full")
    opened = [read_results(folder) for folder in folders]
    assert sample.value("PSNR") == pytest.approx(np.mean([r.bucket(_BUCKET)["PSNR"].mean() for r in opened]))
    distances = [frechet_distance(r.features(_BUCKET), r.real_features(_BUCKET)) for r in opened]
    np.testing.assert_allclose(sample.per_seed("FD"), distances, rtol=1e-9)
    assert interval(sample, "FD").seeds == 2
    again = Sample.open([str(folder) for folder in folders], _BUCKET)
    assert difference(sample, again, "FD").value == 0
    # Buckets hold the same images: their difference is paired.
    assert difference(Sample.open(folders, "1-20%"), sample, "PSNR").method.startswith("paired")


def test_refuses_nan_and_names_it(tmp_path):
    def spoil(table):
        table.loc[(table["bucket"] == _BUCKET) & (table["image_row"] == 5), "PSNR"] = np.nan

    folder = _write(tmp_path / "a", change=spoil)
    with pytest.raises(InputError, match=r"a/per_image.parquet: PSNR of image 'face5' in bucket 20-40% is nan"):
        Sample.open([folder], _BUCKET)
    Sample.open([folder], "1-20%")

    def spoil_features(features):
        features[_BUCKET][2, 1] = np.inf

    sample = Sample.open([_write(tmp_path / "b", features_change=spoil_features)], _BUCKET)
    interval(sample, "PSNR")
    with pytest.raises(InputError, match=r"features.npz: features of the composites hold NaN .* image 'face5'"):
        interval(sample, "FD")

    def cut(features):
        features[_BUCKET] = features[_BUCKET][:-1]

    with pytest.raises(InputError, match=r"have shape \(11, 5\), but the table has 12 images"):
        Sample.open([_write(tmp_path / "c", features_change=cut)], _BUCKET).value("FD")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"card_change": {"run": "other"}}, "not seeds of one run: run is 'full' in one and 'oth"),
        ({"card_change": {"pairs_sha256": "q"}}, "pairs_sha256 is 'p' in one and 'q'"),
        ({"card_change": {"dataset": "photos"}}, "dataset is 'toy'"),
        ({"change": lambda table: table.insert(0, "LPIPS", 1.0)}, "different metrics"),
        ({"change": lambda table: table.__setitem__("mask_row", 0)}, "different images or masks"),
        ({"n": 11}, "different images or masks"),
        ({"card_change": {"metrics": {_BUCKET: {"FD": 1.0}}}}, "different feature networks"),
    ],
)
def test_refuses_folders_that_are_not_seeds_of_one_run(tmp_path, change, message):
    first, second = _write(tmp_path / "a"), _write(tmp_path / "b", seed=1, **change)
    with pytest.raises(InputError, match=message):
        Sample.open([first, second], _BUCKET)


def test_refuses_what_gives_no_interval(tmp_path):
    folder = _write(tmp_path / "a")
    with pytest.raises(InputError, match="at least one results folder"):
        Sample.open([], _BUCKET)
    with pytest.raises(InputError, match="name one folder twice"):
        Sample.open([folder, folder], _BUCKET)
    with pytest.raises(InputError, match="no bucket '60-80%'"):
        Sample.open([folder], "60-80%")
    with pytest.raises(InputError, match="at least 2 images, there are 1"):
        Sample.open([_write(tmp_path / "one", n=1)], _BUCKET)
    card = json.loads((folder / "card.json").read_text())
    del card["pairs_sha256"]
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    write_json(broken / "card.json", card)
    with pytest.raises(InputError, match=r"card.json has no key 'pairs_sha256'"):
        Sample.open([broken], _BUCKET)

    a = _sample(np.arange(5.0))
    for ask in (interval, lambda s, m: difference(s, s, m), lambda s, m: replicates({"a": s}, m, 5, 0)):
        with pytest.raises(InputError, match=r"no metric 'LPIPS' has an interval; these have: PSNR"):
            ask(a, "LPIPS")
    for level in (0, 1, 95, float("nan")):
        with pytest.raises(InputError, match="between 0 and 1"):
            interval(a, "PSNR", level)
    with pytest.raises(InputError, match="draws is 0"):
        replicates({"a": a}, "PSNR", 0, 0)
    with pytest.raises(InputError, match="occurs twice"):
        _sample(np.arange(3.0), images=np.array([1, 2, 1]))
    with pytest.raises(InputError, match="PSNR holds NaN"):
        _sample(np.array([1.0, np.nan]))


def test_distances_of_two_feature_networks_are_not_compared():
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    a, b = _frechet_sample((x[0], x[1])), _frechet_sample((x[0], x[1]), name="b", extractor=("FD (x)", "2"))
    with pytest.raises(InputError, match="features come from 'FD \\(x\\)' \\(1\\) and 'FD \\(x\\)' \\(2\\)"):
        difference(a, b, "FD")
    assert difference(a, b, "PSNR").value == 0


def test_influence_refuses_what_is_no_pair():
    x = np.zeros((4, 3))
    with pytest.raises(InputError, match="are not pairs"):
        frechet_influence(x, x[:3])
    with pytest.raises(InputError, match="completed images' features hold NaN"):
        frechet_influence(x * np.nan, x)
    with pytest.raises(InputError, match="at least 2 rows"):
        frechet_influence(x[:1], x[:1])
