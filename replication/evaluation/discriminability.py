"""U-IDS and P-IDS: can a linear classifier tell completed images from real ones? (Zhao et al. 2021, section 4.2)

As in metrics/inception_discriminative_score.py of zsyzzsoft/co-mod-gan: one linear SVM is fitted to all features and
judged on the same features, so with fewer images than feature dimensions it separates almost anything and both
scores fall to 0. They are comparable only at equal numbers of images.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from replication.errors import InputError


class NotConverged(RuntimeError):
    """The classifier did not reach its optimum, so the scores would depend on where it stopped."""


def _features(values: Tensor | np.ndarray, name: str) -> np.ndarray:
    x = np.asarray(torch.as_tensor(values).cpu(), dtype=np.float64)
    if x.ndim != 2 or x.shape[0] < 1 or x.shape[1] < 1:
        raise InputError(f"{name} features have shape {x.shape}; at least one row (n, d) is needed")
    if not np.isfinite(x).all():
        raise InputError(f"{name} features hold NaN or infinity; every value must be finite")
    return x


def discriminative_scores(real: Tensor | np.ndarray, completed: Tensor | np.ndarray) -> tuple[float, float]:
    """(U-IDS, P-IDS) of features (n, d) of real images and of their completions, row i of both being one pair.

    U-IDS: share of all 2 n images on the wrong side of the plane, 0 (separable) to 0.5 (the same features).
    P-IDS: share of pairs whose completion looks more real than its original, 0 to 1; a tie counts for the original.
    The classifier is scikit-learn's LinearSVC(dual=False), default settings: squared hinge, l2, C = 1; it draws no
    random numbers.

    Raises InputError for NaN or infinity and for sets of different shape, NotConverged if 1,000 steps are too few.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    x, y = _features(real, "the real"), _features(completed, "the completed")
    if x.shape != y.shape:
        raise InputError(f"features of real and completed images have shapes {x.shape} and {y.shape}; they must agree")
    both, labels = np.concatenate([x, y]), np.repeat([1, 0], len(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            machine = LinearSVC(dual=False).fit(both, labels)
        except ConvergenceWarning as warning:
            raise NotConverged("the linear classifier did not converge in 1,000 steps") from warning
    unpaired = 1 - machine.score(both, labels)
    paired = np.mean(machine.decision_function(y) > machine.decision_function(x))
    return float(unpaired), float(paired)
