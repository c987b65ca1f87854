from __future__ import annotations

import numpy as np
import pytest
import torch

from replication.errors import InputError
from replication.evaluation.discriminability import NotConverged, discriminative_scores


def _features(n: int = 200, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_indistinguishable_and_separable_sets():
    real = _features()
    assert discriminative_scores(real, real) == (0.5, 0.0)  # a pair of equals is a tie
    assert discriminative_scores(real, real + 100) == (0.0, 0.0)
    unpaired, paired = discriminative_scores(real, _features(seed=1))  # drawn from one distribution
    assert 0.4 < unpaired <= 0.5
    assert 0.3 < paired < 0.6


def test_known_plane():
    # One feature: the classifier is a threshold halfway, by symmetry, so both shares can be counted.
    real = np.array([[2.0], [3.0], [1.0], [-1.0]])
    completed = -real  # the last one lies on the real side, its original on the other
    assert discriminative_scores(real, completed) == (0.25, 0.25)
    assert discriminative_scores(real, completed[[0, 1, 3, 2]]) == (0.25, 0.0)  # now two pairs are ties


def test_scores_follow_the_reference():
    from sklearn.svm import LinearSVC

    real, completed = _features(300), _features(300, seed=1) + 0.4
    machine = LinearSVC(dual=False).fit(np.concatenate([real, completed]), [1] * 300 + [0] * 300)
    wrong = (machine.predict(real) == 0).sum() + (machine.predict(completed) == 1).sum()
    paired = (machine.decision_function(completed) > machine.decision_function(real)).mean()
    assert discriminative_scores(torch.from_numpy(real), torch.from_numpy(completed)) == pytest.approx(
        (wrong / 600, paired), abs=1e-12
    )
    assert 0 < paired < wrong / 600 < 0.5


def test_order_of_pairs_does_not_matter():
    real, completed = _features(), _features(seed=1) + 0.5
    order = np.random.default_rng(0).permutation(len(real))
    # The optimum is found to a tolerance, so an image on the plane itself may change sides.
    expected = pytest.approx(discriminative_scores(real, completed), abs=1.01 / len(real))
    assert discriminative_scores(real[order], completed[order]) == expected
    assert discriminative_scores(real, completed) == discriminative_scores(real, completed)


def test_refuses_what_has_no_scores(monkeypatch):
    real = _features()
    with pytest.raises(InputError, match="completed features hold NaN"):
        discriminative_scores(real, np.where(real == real[3, 2], np.nan, real))
    with pytest.raises(InputError, match="infinity"):
        discriminative_scores(real * np.inf, real)
    for wrong in (real[:-1], real[:, :-1]):
        with pytest.raises(InputError, match="must agree"):
            discriminative_scores(real, wrong)
    with pytest.raises(InputError, match="at least one row"):
        discriminative_scores(real[:0], real[:0])


def test_unfinished_optimisation_is_no_score(monkeypatch):
    import sklearn.svm

    class Hasty(sklearn.svm.LinearSVC):
        def __init__(self, dual):
            super().__init__(dual=dual, max_iter=1)

    monkeypatch.setattr(sklearn.svm, "LinearSVC", Hasty)
    with pytest.raises(NotConverged, match="did not converge"):
        discriminative_scores(_features(), _features(seed=1) + 0.5)
