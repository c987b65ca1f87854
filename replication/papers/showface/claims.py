"""Executable checks of ShowFace's claims, to be run on the printed tables and on measured ones.

Most claims are a conjunction of comparisons between two cells of a table; those are listed one by one, so
that a report can also test each of them for significance. The others are rules over a whole table.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

Tables = Mapping[int, pd.DataFrame]

RATIOS = ("1-20%", "20-40%", "40-60%")
METRICS = ("L1_percent", "FID", "PSNR", "SSIM")
HIGHER_IS_BETTER = frozenset({"PSNR", "SSIM"})
DATASETS = ("CelebA-HQ", "FFHQ")
BASELINES = ("PConv", "DeepFillv2", "PIC", "CTSDG", "DSI", "ICT")
SLOTS = (32, 64, 128, 256, 512)
SHARED = "non-disentangled (same volume as m=128)"
DIGITS = 3  # decimals of every printed number

# Cost of one similarity search (section 3.2): classes, slots a class, code width.
_CLASSES, _SLOTS_PER_CLASS, _WIDTH = 14, 128, 512


class Cell(NamedTuple):
    """One number of a table."""

    table: int
    dataset: str
    method: str
    mask_ratio: str
    metric: str


class MissingValue(KeyError):
    """A check needs a cell that the tables do not have: the claim was not run."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.cell = cell

    def __str__(self) -> str:
        c = self.cell
        return f"table {c.table} has no {c.metric} of {c.method!r} on {c.dataset} at {c.mask_ratio}"


class Values:
    """Cells of several tables. A measured FD stands where the paper has FID."""

    def __init__(self, tables: Tables) -> None:
        self._cells: dict[Cell, float] = {}
        for number, table in tables.items():
            for row in table.itertuples():
                metric = "FID" if row.metric == "FD" else row.metric
                if not math.isnan(row.value):
                    self._cells[Cell(number, row.dataset, row.method, row.mask_ratio, metric)] = float(row.value)

    def __getitem__(self, cell: Cell) -> float:
        try:
            return self._cells[cell]
        except KeyError:
            raise MissingValue(cell) from None


@dataclass(frozen=True)
class Comparison:
    """ "`better` is better than `worse`", by at least `margin` (in the metric's unit) if that is not zero."""

    better: Cell
    worse: Cell
    margin: float = 0.0

    def advantage(self, values: Values) -> float:
        """How much better `better` is, positive if it is, whatever the metric's direction."""
        difference = values[self.better] - values[self.worse]
        return difference if self.better.metric in HIGHER_IS_BETTER else -difference

    def holds(self, values: Values) -> bool:
        """Strictly better; a margin is met when the advantage reaches it at the printed precision."""
        advantage = self.advantage(values)
        return round(advantage, DIGITS) >= self.margin if self.margin else advantage > 0


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


def second_best_gain(values: Values, dataset: str, ratio: str, metric: str, *, relative: bool = False) -> float:
    """Advantage of Ours over Table 1's best baseline, absolute or as a share of that baseline's value."""
    ours = Cell(1, dataset, "Ours", ratio, metric)
    others = [ours._replace(method=method) for method in BASELINES]
    gain, rival = min((Comparison(ours, other).advantage(values), other) for other in others)
    return gain / values[rival] if relative else gain


def _largest_gain_at_largest_holes(values: Values) -> bool:
    """C11; L1 and FID are compared as shares (their size grows with the hole), PSNR and SSIM as they are."""
    for dataset in DATASETS:
        for metric in METRICS:
            relative = metric not in HIGHER_IS_BETTER
            gains = [second_best_gain(values, dataset, r, metric, relative=relative) for r in RATIOS]
            if gains[2] <= max(gains[:2]):
                return False
    return True


def _one_baseline_run(values: Values) -> bool:
    """C20."""
    others = ((2, "Full"), (3, "Full"), (4, slots(128)))
    return all(
        values[Cell(1, "CelebA-HQ", "Ours", ratio, metric)] == values[Cell(table, "CelebA-HQ", method, ratio, metric)]
        for table, method in others
        for ratio in RATIOS
        for metric in METRICS
    )


def _memory(values: Values, m: int, ratio: str, metric: str) -> float:
    """A cell of Table 4 with the sign turned so that higher is better."""
    value = values[Cell(4, "CelebA-HQ", slots(m), ratio, metric)]
    return value if metric in HIGHER_IS_BETTER else -value


def _psnr_fits_its_column(values: Values) -> bool:
    """C21: the best PSNR of all m must not stand in the column that loses to m=128 in every other metric."""
    psnrs = {m: _memory(values, m, "40-60%", "PSNR") for m in SLOTS}
    if psnrs[512] < max(psnrs.values()):
        return True
    rest = [metric for metric in METRICS if metric != "PSNR"]
    return any(_memory(values, 512, "40-60%", k) >= _memory(values, 128, "40-60%", k) for k in rest)


def is_unimodal(values: Values, ratio: str, metric: str) -> bool:
    """Whether quality over m in Table 4 never falls before, and never rises after, a peak at 64 or 128."""
    curve = [_memory(values, m, ratio, metric) for m in SLOTS]
    return any(
        curve[: peak + 1] == sorted(curve[: peak + 1]) and curve[peak:] == sorted(curve[peak:], reverse=True)
        for peak in (SLOTS.index(64), SLOTS.index(128))
    )


def _all_unimodal(values: Values) -> bool:
    """C22."""
    return all(is_unimodal(values, ratio, metric) for ratio in RATIOS for metric in METRICS)


def _own_slots_are_cheaper(values: Values) -> bool:
    """C25, a count of multiply-adds; it needs no table."""
    disentangled = _CLASSES * _SLOTS_PER_CLASS * _WIDTH
    shared = _CLASSES * (_CLASSES * _SLOTS_PER_CLASS) * _WIDTH
    return disentangled < shared


def _ctsdg_rows_agree(values: Values) -> bool:
    """C26: CTSDG's rank in L1 at 1-20% among the seven methods moves by at most one between the data sets."""
    ranks = []
    for dataset in DATASETS:
        errors = {m: values[Cell(1, dataset, m, RATIOS[0], "L1_percent")] for m in (*BASELINES, "Ours")}
        ranks.append(sum(error < errors["CTSDG"] for error in errors.values()))
    return abs(ranks[0] - ranks[1]) <= 1


RULES: dict[str, Callable[[Values], bool]] = {
    "C11": _largest_gain_at_largest_holes,
    "C20": _one_baseline_run,
    "C21": _psnr_fits_its_column,
    "C22": _all_unimodal,
    "C25": _own_slots_are_cheaper,
    "C26": _ctsdg_rows_agree,
}
"""Claims about the shape of a table."""


def check(claim: str, tables: Tables) -> bool:
    """Whether a claim ("C01" ... "C27") holds on tables (number -> DataFrame as `papers.load_table` returns).

    A cell that the check needs and the tables lack raises `MissingValue`, unless what can be compared already
    refutes the claim. An unknown claim raises KeyError.
    """
    values = Values(tables)
    if claim in RULES:
        return RULES[claim](values)
    missing: MissingValue | None = None
    for comparison in COMPARISONS[claim]:
        try:
            if not comparison.holds(values):
                return False
        except MissingValue as error:
            missing = missing or error
    if missing:
        raise missing
    return True


CHECKS: dict[str, Callable[[Tables], bool]] = {
    claim: (lambda tables, claim=claim: check(claim, tables)) for claim in sorted({**COMPARISONS, **RULES})
}
"""Claim id -> check(tables) -> bool."""
