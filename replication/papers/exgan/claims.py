"""Executable checks of what is said about ExGAN's Table 1, or follows from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from replication.papers.checks import Cell, Check, Comparison, Conjunction, Rule, Values, label, listed, number

DATASETS = ("Internal benchmark", "Celeb-ID")
METRICS = ("L1", "MSSSIM_distance", "FID", "Inception")
PLAIN, REFERENCE, CODE = METHODS = ("Non-exemplar GAN", "Reference-based ExGAN", "Code-based ExGAN")
HOLES = "eye boxes"


def _cell(dataset: str, method: str, metric: str) -> Cell:
    return Cell(1, dataset, method, HOLES, metric)


def _better(
    better: Iterable[str], worse: Iterable[str], metrics: Iterable[str], datasets: Iterable[str] = DATASETS
) -> Conjunction:
    pairs = itertools.product(datasets, metrics, better, worse)
    return Conjunction(tuple(Comparison(_cell(d, a, k), _cell(d, b, k)) for d, k, a, b in pairs))


def _gap(values: Values, dataset: str, metric: str, a: str, b: str):
    """Advantage of method a over method b."""
    return Comparison(_cell(dataset, a, metric), _cell(dataset, b, metric)).advantage(values)


def _same_order(values: Values) -> np.ndarray:
    """E05."""
    return np.logical_and.reduce(
        [
            np.sign(_gap(values, d, "L1", a, b)) == np.sign(_gap(values, d, "MSSSIM_distance", a, b))
            for d in DATASETS
            for a, b in itertools.combinations(METHODS, 2)
        ]
    )


def _order_words(values: Values) -> str:
    def words(dataset: str, metric: str) -> str:
        return f"{label(metric)} " + ", ".join(number(values[_cell(dataset, method, metric)]) for method in METHODS)

    parts = [f"{d}: {words(d, 'L1')} and {words(d, 'MSSSIM_distance')}" for d in DATASETS]
    return f"Non-exemplar, reference-based, code-based on {listed(parts)}."


def _best(values: Values, dataset: str, metric: str) -> np.ndarray:
    """Index of the best method."""
    gaps = [_gap(values, dataset, metric, method, METHODS[0]) for method in METHODS]
    return np.argmax(gaps, axis=0)


def _scores_agree(values: Values) -> np.ndarray:
    """E06."""
    return np.logical_and.reduce([_best(values, d, "FID") == _best(values, d, "Inception") for d in DATASETS])


def _best_words(values: Values) -> str:
    def words(dataset: str, metric: str) -> str:
        method = METHODS[int(_best(values, dataset, metric))]
        return f"{method} ({number(values[_cell(dataset, method, metric)])})"

    parts = [f"{d}: by FID {words(d, 'FID')}, by inception score {words(d, 'Inception')}" for d in DATASETS]
    return f"Best on {listed(parts)}."


def _winner(values: Values, dataset: str, metric: str) -> np.ndarray:
    return np.sign(_gap(values, dataset, metric, REFERENCE, CODE))


def _variants_rank_alike(values: Values) -> np.ndarray:
    """E07."""
    return np.logical_and.reduce([_winner(values, DATASETS[0], k) == _winner(values, DATASETS[1], k) for k in METRICS])


def _variant_words(values: Values) -> str:
    names = {1.0: "reference-based", -1.0: "code-based", 0.0: "neither"}

    def winner(dataset: str, metric: str) -> str:
        return names[float(_winner(values, dataset, metric))]

    others = [
        f"{label(k)}: {winner(DATASETS[0], k)} on {DATASETS[0]}, {winner(DATASETS[1], k)} on {DATASETS[1]}"
        for k in METRICS
        if winner(DATASETS[0], k) != winner(DATASETS[1], k)
    ]
    counted = f"The same variant wins on both sets in {len(METRICS) - len(others)} of {len(METRICS)} metrics"
    return f"{counted}; not: {listed(others)}." if others else f"{counted}."


def _cells(metrics: Iterable[str], methods: Iterable[str] = METHODS) -> tuple[Cell, ...]:
    return tuple(_cell(d, m, k) for d, k, m in itertools.product(DATASETS, metrics, methods))


_EXEMPLARS = (REFERENCE, CODE)

CHECKS: dict[str, Check] = {
    "E01": _better(_EXEMPLARS, (PLAIN,), ("FID", "Inception")),
    "E02": _better(_EXEMPLARS, (PLAIN,), ("L1", "MSSSIM_distance")),
    "E03": _better((REFERENCE,), (PLAIN, CODE), METRICS[:3], DATASETS[:1]),
    "E04": _better((CODE,), (PLAIN, REFERENCE), METRICS, DATASETS[1:]),
    "E05": Rule(_cells(METRICS[:2]), _same_order, _order_words),
    "E06": Rule(_cells(("FID", "Inception")), _scores_agree, _best_words),
    "E07": Rule(_cells(METRICS, _EXEMPLARS), _variants_rank_alike, _variant_words),
}
"""Claim id -> check."""
