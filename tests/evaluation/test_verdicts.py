"""What may be said of a difference: one rule for tables, claims and diffs, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from toy_samples import sample, two_networks

from replication.evaluation.changes import measured_change
from replication.evaluation.sample import Sample
from replication.evaluation.verdicts import Change, Standing, holm, judge


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_false_alarms_of_a_whole_diff():
    """24 comparisons (6 runs, 4 dependent metrics, one skewed), nothing changed: few diffs show anything."""
    rng = np.random.default_rng(3)
    repetitions, alone, together = 600, 0, 0
    for _ in range(repetitions):
        p = []
        for _ in range(6):
            noise = rng.normal(size=(2, 40))
            for values in (noise, noise + 0.5 * rng.normal(size=(2, 40)), np.exp(noise), noise**3):
                p.append(measured_change(sample(values[0]), sample(values[1], training="b"), "PSNR").p)
        alone += min(p) <= 0.05
        together += holm(p).min() <= 0.05
    assert alone / repetitions > 0.3, "without an adjustment most diffs would raise an alarm"
    # 5 %, and three standard errors of the count.
    assert together / repetitions <= 0.05 + 3 * (0.05 * 0.95 / repetitions) ** 0.5


def test_a_real_change_among_many_is_found():
    rng = np.random.default_rng(4)
    p = [measured_change(sample(a), sample(b, training="b"), "PSNR").p for a, b in rng.normal(size=(160, 2, 200))]
    real = measured_change(
        *(sample(v, training=n) for n, v in zip("ab", two_networks(5, 0.3, 200), strict=True)), "PSNR"
    ).p
    adjusted = holm([*p, real])
    assert adjusted[-1] <= 0.05 and (adjusted[:-1] > 0.05).all()


def difference_of(values: np.ndarray) -> Change:
    """The change of a sample whose images differ by these values from those of another."""
    return measured_change(sample(np.zeros(len(values))), sample(values, training="b"), "PSNR")


SHAPES = {  # of differences with mean 0
    "normal": lambda rng, size: rng.standard_normal(size),
    "t, 3 degrees of freedom": lambda rng, size: rng.standard_t(3, size),
    "log-normal, s = 1": lambda rng, size: np.exp(rng.standard_normal(size)) - np.exp(0.5),
    "log-normal, s = 1.5": lambda rng, size: np.exp(1.5 * rng.standard_normal(size)) - np.exp(1.125),
    "one image in twenty": lambda rng, size: rng.standard_normal(size) + 5 * (rng.random(size) < 0.05) - 0.25,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_false_alarms_of_one_difference(shape):
    """Nominal 5 %, at most 7 % whatever the shape, and no test that never fires."""
    for images, repetitions in ((30, 2500), (200, 1500), (2000, 800)):
        rng = np.random.default_rng(images)
        alarms = [difference_of(SHAPES[shape](rng, images)).p <= 0.05 for _ in range(repetitions)]
        assert 0.015 < np.mean(alarms) <= 0.07, images


@pytest.mark.parametrize("images", [30, 200])
@pytest.mark.parametrize("shape", SHAPES)
def test_false_alarms_of_a_family(shape, images):
    """As many independent comparisons as a diff of `demo` has: the risk of any alarm, over 40 such diffs."""
    rng = np.random.default_rng(images)
    shown = 0
    for _ in range(40):
        family = [difference_of(values) for values in SHAPES[shape](rng, (252, images))]
        shown += any(judgement.standing != Standing.WITHIN_CHANCE for judgement in judge(family))
    assert shown <= 5, "5 % of 40 is 2; two standard errors more are 4.8"


def change_of(p: float, *, images: int = 200, trainings: int = 3, same_networks: bool = False) -> Change:
    return Change(1.0, 0.5, 1.5, p, True, images, trainings, same_networks)


def test_what_may_be_said_of_a_difference():
    def word(**about) -> str:
        (judgement,) = judge([change_of(1e-9, **about)])
        return judgement.standing.value

    assert word() == "beyond chance"
    assert word(trainings=2) == "two trainings"
    assert word(trainings=1) == "one training"
    assert word(trainings=1, same_networks=True) == "beyond chance", "the networks are the same: the measuring moved"
    assert word(images=30) == "beyond chance" and word(images=29) == "too few images"
    assert judge([change_of(0.06)])[0].standing is Standing.WITHIN_CHANCE
    assert judge([]) == []


def test_a_family_is_judged_together_without_those_of_too_few_images():
    few = change_of(1e-9, images=12)
    judged = judge([change_of(0.02), few, change_of(0.04)])
    assert [j.p for j in judged] == pytest.approx([0.04, 1.0, 0.04])
    judged = judge([change_of(0.02), few, change_of(0.04), change_of(0.5)])
    assert [j.standing for j in judged[:3:2]] == [Standing.WITHIN_CHANCE] * 2


def test_what_can_never_be_firm_costs_the_rest_nothing():
    once = [change_of(0.03, trainings=1)] * 50
    judged = judge([change_of(0.02), *once])
    assert (judged[0].standing, judged[0].p) == (Standing.BEYOND_CHANCE, 0.02)
    assert {j.standing for j in judged[1:]} == {Standing.WITHIN_CHANCE}


def test_two_trainings_of_one_recipe_are_not_two_methods():
    """What `demo` showed: luck of the seed, ten times the standard error over images, and nothing else."""
    rng = np.random.default_rng(8)
    loose, firm = 0, 0
    for _ in range(200):
        hardness = 4 * rng.standard_normal(200)
        one, other = (hardness + rng.standard_normal((3, 1)) + 0.3 * rng.standard_normal((3, 200)) for _ in range(2))
        a, b = (
            Sample({"PSNR": v}, np.arange(200), run=run, bucket="1-20%", pairs_sha256="p")
            for v, run in ((one, "a"), (other, "b"))
        )
        first, second = (sample(values[0], training=name) for values, name in ((one, "a"), (other, "b")))
        loose += judge([measured_change(first, second, "PSNR")])[0].of_networks
        firm += judge([measured_change(a, b, "PSNR")])[0].standing is Standing.BEYOND_CHANCE
    assert loose > 180, "the images alone tell the two networks apart"
    assert firm <= 20, "5 % of 200 is 10; two standard errors more are 16"
