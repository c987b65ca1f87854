"""Learning rates are functions of the images seen."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from replication.training.schedules import LearningRate, set_rate


def test_constant_never_changes():
    rate = LearningRate(2e-4)
    assert [rate.at(n) for n in (0, 1, 10**9)] == [2e-4] * 3


def test_cosine_starts_at_the_peak_halves_in_the_middle_and_ends_at_zero():
    rate = LearningRate(2e-3, "cosine", 1000)
    assert rate.at(0) == 2e-3
    assert rate.at(500) == pytest.approx(1e-3)
    assert rate.at(250) == pytest.approx(2e-3 * (1 + math.sqrt(0.5)) / 2)
    assert rate.at(1000) == pytest.approx(0, abs=1e-18)


def test_cosine_falls_throughout_and_stays_at_zero_beyond_its_end():
    rate = LearningRate(1.0, "cosine", 100)
    values = [rate.at(n) for n in range(101)]
    assert all(later < earlier for earlier, later in itertools.pairwise(values))
    assert rate.at(150) == rate.at(100)


def test_set_rate_reaches_every_group_of_every_optimiser():
    a, b, c = (torch.nn.Parameter(torch.zeros(1)) for _ in range(3))
    one = torch.optim.Adam([{"params": [a], "lr": 1.0}, {"params": [b], "lr": 2.0}])
    two = torch.optim.SGD([c], 3.0)
    set_rate([one, two], 0.25)
    assert [g["lr"] for optimizer in (one, two) for g in optimizer.param_groups] == [0.25] * 3
