"""Executable checks of ShowFace's claims, to be run on the printed tables and on measured ones.

Most claims are a conjunction of comparisons between two cells of a table; those are listed one by one, so
that a report can also test each of them for significance. The others are rules over a whole table.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from replication.papers.checks import (
    HIGHER_IS_BETTER,
    Cell,
    Check,
    Comparison,
    Conjunction,
    Number,
    Rule,
    Values,
    label,
    listed,
    number,
    refutation,
)

RATIOS = ("1-20%", "20-40%", "40-60%")
METRICS = ("L1_percent", "FID", "PSNR", "SSIM")
DATASETS = ("CelebA-HQ", "FFHQ")
BASELINES = ("PConv", "DeepFillv2", "PIC", "CTSDG", "DSI", "ICT")
SLOTS = (32, 64, 128, 256, 512)
SHARED = "non-disentangled (same volume as m=128)"

# Cost of one similarity search (section 3.2): classes, slots a class, code width.
_CLASSES, _SLOTS_PER_CLASS, _WIDTH = 14, 128, 512


def slots(m: int) -> str:
    """Table 4's name of the disentangled memory with m slots a class."""
    return f"disentangled m={m}"


def _better(
    table: int,
    better: str,
    worse: Iterable[str],
    *,
    dataset: str = "CelebA-HQ",
    ratios: Iterable[str] = RATIOS,
    metrics: Iterable[str] = METRICS,
    margin: float = 0.0,
) -> tuple[Comparison, ...]:
    """`better` against each of `worse`, in every ratio and metric."""
    return tuple(
        Comparison(Cell(table, dataset, better, r, k), Cell(table, dataset, other, r, k), margin)
        for r in ratios
        for k in metrics
        for other in worse
    )


def _gain(metric: str, dataset: str, margin: float) -> tuple[Comparison, ...]:
    """Better than the second best by a margin = better than each baseline by that margin (section 4.3)."""
    return _better(1, "Ours", BASELINES, dataset=dataset, ratios=RATIOS[2:], metrics=(metric,), margin=margin)


def _monotone() -> tuple[Comparison, ...]:
    return tuple(
        Comparison(Cell(1, d, method, smaller, k), Cell(1, d, method, larger, k))
        for d in DATASETS
        for method in (*BASELINES, "Ours")
        for k in METRICS
        for smaller, larger in itertools.pairwise(RATIOS)
    )


_LOSSES = ("w/o L_sem", "w/o L_intra", "w/o L_inter")
_BEST_CELEBAHQ = _better(1, "Ours", BASELINES)
_BEST_FFHQ = _better(1, "Ours", BASELINES, dataset="FFHQ")
_ICT_SECOND = tuple(
    comparison
    for dataset in DATASETS
    for comparison in _better(1, "ICT", BASELINES[:-1], dataset=dataset, metrics=("FID",))
)

COMPARISONS: dict[str, tuple[Comparison, ...]] = {
    "C01": _gain("L1_percent", "CelebA-HQ", 0.963),
    "C02": _gain("FID", "CelebA-HQ", 4.661),
    "C03": _gain("PSNR", "CelebA-HQ", 1.687),
    "C04": _gain("SSIM", "CelebA-HQ", 0.035),
    "C05": _gain("L1_percent", "FFHQ", 0.501),
    "C06": _gain("FID", "FFHQ", 0.401),
    "C07": _gain("PSNR", "FFHQ", 1.303),
    "C08": _gain("SSIM", "FFHQ", 0.032),
    "C09": _BEST_CELEBAHQ,
    "C10": _BEST_FFHQ,
    "C12": _better(2, "Full", ("w/o MREM + w/o DMM", "w/o MREM")),
    "C13": _better(2, "w/o MREM", ("w/o MREM + w/o DMM",)),
    "C14": _better(2, "Full", ("w/o MREM",)),
    "C15": _better(3, "Full", _LOSSES),
    "C16": _better(3, "Full", _LOSSES),
    "C17": _better(3, "w/o L_sem", ("w/o L_inter",), metrics=("FID",))
    + _better(3, "w/o L_inter", ("w/o L_intra",), metrics=("FID",)),
    "C18": _better(4, slots(128), [slots(m) for m in SLOTS if m != 128]),
    "C19": _better(4, slots(128), (SHARED,)),
    "C23": _ICT_SECOND,
    "C24": _monotone(),
    "C27": _BEST_CELEBAHQ + _BEST_FFHQ,
}
"""Claims that are conjunctions: the claim holds if every comparison does."""


def second_best_gain(values: Values, dataset: str, ratio: str, metric: str, *, relative: bool = False) -> Number:
    """Advantage of Ours over Table 1's best baseline, absolute or as a share of that baseline's value."""
    ours = Cell(1, dataset, "Ours", ratio, metric)
    rivals = [ours._replace(method=method) for method in BASELINES]
    gain = np.min([Comparison(ours, rival).advantage(values) for rival in rivals], axis=0)
    best = (np.max if metric in HIGHER_IS_BETTER else np.min)([values[rival] for rival in rivals], axis=0)
    return gain / best if relative else gain


_SERIES = tuple((dataset, metric) for dataset in DATASETS for metric in METRICS)


def _gains(values: Values, dataset: str, metric: str) -> list[Number]:
    """Gain over the second best per ratio; L1 and FID as shares (their size grows with the hole)."""
    relative = metric not in HIGHER_IS_BETTER
    return [second_best_gain(values, dataset, ratio, metric, relative=relative) for ratio in RATIOS]


def _grows(values: Values, dataset: str, metric: str) -> np.ndarray:
    gains = _gains(values, dataset, metric)
    return np.asarray(gains[2] > np.maximum(gains[0], gains[1]))


def _against_growth(values: Values) -> float:
    """C11 fails if the gain at 40-60% is surely not above one of the two others in one series."""
    gains = (_gains(values, *series) for series in _SERIES)
    return refutation([np.asarray(largest > other) for *others, largest in gains for other in others])


def _largest_gain_at_largest_holes(values: Values) -> np.ndarray:
    """C11."""
    return np.logical_and.reduce([_grows(values, dataset, metric) for dataset, metric in _SERIES])


def _gain_words(values: Values) -> str:
    def words(dataset: str, metric: str) -> str:
        gains = _gains(values, dataset, metric)
        if metric in HIGHER_IS_BETTER:
            return f"{label(metric)} on {dataset} " + ", ".join(number(gain) for gain in gains)
        return f"{label(metric)} on {dataset} " + ", ".join(f"{100 * g:.1f}%" for g in gains)

    others = [words(*series) for series in _SERIES if not _grows(values, *series)]
    counted = (
        f"In {len(_SERIES) - len(others)} of {len(_SERIES)} series the gain over the second best is largest at 40-60%"
    )
    return f"{counted}; not, from small to large holes: {listed(others)}." if others else f"{counted}."


_SAME_RUN = tuple(
    tuple(
        Cell(table, "CelebA-HQ", method, ratio, metric)
        for table, method in ((1, "Ours"), (2, "Full"), (3, "Full"), (4, slots(128)))
    )
    for ratio in RATIOS
    for metric in METRICS
)


def _one_run(values: Values) -> np.ndarray:
    """C20."""
    return np.logical_and.reduce([values[row[0]] == values[other] for row in _SAME_RUN for other in row[1:]])


def _one_run_words(values: Values) -> str:
    equal = sum(len({float(values[cell]) for cell in row}) == 1 for row in _SAME_RUN)
    return f"{equal} of {len(_SAME_RUN)} values are the same in all four tables."


def _memory(values: Values, m: int, ratio: str, metric: str) -> Number:
    """A cell of Table 4 with the sign turned so that higher is better."""
    value = values[Cell(4, "CelebA-HQ", slots(m), ratio, metric)]
    return value if metric in HIGHER_IS_BETTER else -value


def _psnr_fits_its_column(values: Values) -> np.ndarray:
    """C21: the best PSNR of all m must not stand in the column that loses to m=128 in every other metric."""
    psnrs = [_memory(values, m, "40-60%", "PSNR") for m in SLOTS]
    not_best = psnrs[-1] < np.max(psnrs, axis=0)
    rest = [metric for metric in METRICS if metric != "PSNR"]
    wins = [_memory(values, 512, "40-60%", k) >= _memory(values, 128, "40-60%", k) for k in rest]
    return np.logical_or.reduce([not_best, *wins])


def _psnr_words(values: Values) -> str:
    cells = [Cell(4, "CelebA-HQ", slots(m), "40-60%", "PSNR") for m in SLOTS]
    rest = [
        f"{label(k)} {number(values[cells[-1]._replace(metric=k)])} against "
        f"{number(values[cells[2]._replace(metric=k)])}"
        for k in METRICS
        if k != "PSNR"
    ]
    psnrs = ", ".join(number(values[cell]) for cell in cells)
    return f"PSNR at 40-60% over m = 32 to 512: {psnrs}. The rest of column m=512 against m=128: {', '.join(rest)}."


def _steps_to_peak(values: Values, ratio: str, metric: str, m: int) -> np.ndarray:
    """Whether each step over Table 4's sizes goes as it must for a peak at m: bool (4, ...)."""
    steps = np.diff([_memory(values, slots, ratio, metric) for slots in SLOTS], axis=0)
    peak = SLOTS.index(m)
    return np.concatenate([steps[:peak] >= 0, steps[peak:] <= 0])


def is_unimodal(values: Values, ratio: str, metric: str) -> np.ndarray:
    """Whether quality over m in Table 4 never falls before, and never rises after, a peak at 64 or 128."""
    return np.logical_or.reduce([_steps_to_peak(values, ratio, metric, m).all(axis=0) for m in _PEAKS])


def _against_unimodal(values: Values) -> float:
    """C22 fails if one curve has a step that surely goes wrong for a peak at 64, and one for a peak at 128."""
    curves = [max(refutation(_steps_to_peak(values, *curve, m)) for m in _PEAKS) for curve in _CURVES]
    return min(1.0, len(curves) * min(curves))


_PEAKS = (64, 128)
_CURVES = tuple((ratio, metric) for ratio in RATIOS for metric in METRICS)


def _all_unimodal(values: Values) -> np.ndarray:
    """C22."""
    return np.logical_and.reduce([is_unimodal(values, ratio, metric) for ratio, metric in _CURVES])


def _unimodal_words(values: Values) -> str:
    def words(ratio: str, metric: str) -> str:
        curve = (values[Cell(4, "CelebA-HQ", slots(m), ratio, metric)] for m in SLOTS)
        return f"{label(metric)} at {ratio} " + ", ".join(map(number, curve))

    others = [words(*curve) for curve in _CURVES if not is_unimodal(values, *curve)]
    counted = f"{len(_CURVES) - len(others)} of {len(_CURVES)} curves over m have one peak, at 64 or 128"
    return f"{counted}; not: {listed(others, 3)}." if others else f"{counted}."


def _multiply_adds() -> tuple[int, int]:
    """(own slots only, all slots): multiply-adds of one similarity search of every class."""
    own = _CLASSES * _SLOTS_PER_CLASS * _WIDTH
    return own, _CLASSES * own


def _own_slots_are_cheaper(values: Values) -> np.ndarray:
    """C25, a count of multiply-adds; it needs no table."""
    own, every = _multiply_adds()
    return np.asarray(own < every)


def _cost_words(values: Values) -> str:
    own, every = _multiply_adds()
    return f"Counted, not timed: {own:,} against {every:,} multiply-adds a search ({every // own} times)."


def _errors(dataset: str) -> dict[str, Cell]:
    return {method: Cell(1, dataset, method, RATIOS[0], "L1_percent") for method in (*BASELINES, "Ours")}


def _ctsdg_rank(values: Values, dataset: str) -> Number:
    """How many of the seven methods have a lower L1 at 1-20% than CTSDG."""
    cells = _errors(dataset)
    return np.sum([values[cell] < values[cells["CTSDG"]] for cell in cells.values()], axis=0)


def _ctsdg_rows_agree(values: Values) -> np.ndarray:
    """C26: CTSDG's rank in L1 at 1-20% among the seven methods moves by at most one between the data sets."""
    return np.asarray(np.abs(_ctsdg_rank(values, DATASETS[0]) - _ctsdg_rank(values, DATASETS[1])) <= 1)


def _ctsdg_words(values: Values) -> str:
    ranks = (
        f"{int(_ctsdg_rank(values, dataset)) + 1} of {len(_errors(dataset))} on {dataset} "
        f"({number(values[_errors(dataset)['CTSDG']])})"
        for dataset in DATASETS
    )
    return f"CTSDG's rank in L1 at {RATIOS[0]}: {', '.join(ranks)}."


_TABLE1 = tuple(
    Cell(1, dataset, method, ratio, metric)
    for dataset in DATASETS
    for method in (*BASELINES, "Ours")
    for ratio in RATIOS
    for metric in METRICS
)
_MEMORIES = tuple(Cell(4, "CelebA-HQ", slots(m), ratio, k) for m in SLOTS for ratio in RATIOS for k in METRICS)

RULES: dict[str, Rule] = {
    "C11": Rule(_TABLE1, _largest_gain_at_largest_holes, _gain_words, _against_growth),
    "C20": Rule(tuple(cell for row in _SAME_RUN for cell in row), _one_run, _one_run_words),
    "C21": Rule(
        tuple(
            c
            for c in _MEMORIES
            if c.mask_ratio == "40-60%" and (c.metric == "PSNR" or c.method in (slots(128), slots(512)))
        ),
        _psnr_fits_its_column,
        _psnr_words,
    ),
    "C22": Rule(_MEMORIES, _all_unimodal, _unimodal_words, _against_unimodal),
    "C25": Rule((), _own_slots_are_cheaper, _cost_words),
    "C26": Rule(tuple(c for d in DATASETS for c in _errors(d).values()), _ctsdg_rows_agree, _ctsdg_words),
}
"""Claims about the shape of a table."""

CHECKS: dict[str, Check] = {
    claim: RULES.get(claim) or Conjunction(COMPARISONS[claim]) for claim in sorted({**COMPARISONS, **RULES})
}
"""Claim id ("C01" ... "C27") -> check."""
