"""What a check of a claim is made of: cells of tables, comparisons of two cells, and rules over many.

Cells may hold one number (a printed or measured table) or an array of draws (the bootstrap of a measured table);
the same check runs on both, so "does it hold" and "with what probability" are one piece of code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

Tables = Mapping[int, pd.DataFrame]
Number = float | np.ndarray  # one value, or (draws,) values

HIGHER_IS_BETTER = frozenset({"PSNR", "SSIM", "Inception"})
LABELS = {"L1_percent": "L1", "MSSSIM_distance": "MS-SSIM distance", "Inception": "inception score"}
DIGITS = 3  # decimals of every number that ShowFace prints


class Cell(NamedTuple):
    """One number of a table. A table without mask ratios has the kind of hole in their place."""

    table: int
    dataset: str
    method: str
    mask_ratio: str
    metric: str

    def place(self, dataset: bool = True) -> str:
        """Metric, holes and, if wanted, data set, for a sentence."""
        holes = f"at {self.mask_ratio}" if self.mask_ratio.endswith("%") else f"in {self.mask_ratio}"
        return f"{label(self.metric)} {holes}" + (f" on {self.dataset}" if dataset else "")


class MissingValue(KeyError):
    """A check needs a cell that the tables do not have: the claim was not run."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.cell = cell

    def __str__(self) -> str:
        c = self.cell
        return f"table {c.table} has no {c.metric} of {c.method!r} on {c.dataset} at {c.mask_ratio}"


class Values:
    """Cells by name: numbers, or (draws,) arrays of one length. A measured FD stands where the paper has FID."""

    def __init__(self, tables: Tables) -> None:
        self._cells: dict[Cell, Number] = {}
        for number, table in tables.items():
            for row in table.itertuples():
                metric = "FID" if row.metric == "FD" else row.metric
                if not math.isnan(row.value):
                    self._cells[Cell(number, row.dataset, row.method, row.mask_ratio, metric)] = float(row.value)

    @classmethod
    def of(cls, cells: Mapping[Cell, Number]) -> Values:
        """Values of given cells; what is not there is missing."""
        values = cls({})
        values._cells = dict(cells)
        return values

    def __getitem__(self, cell: Cell) -> Number:
        try:
            return self._cells[cell]
        except KeyError:
            raise MissingValue(cell) from None

    def __contains__(self, cell: Cell) -> bool:
        return cell in self._cells


@dataclass(frozen=True)
class Comparison:
    """ "`better` is better than `worse`", by at least `margin` (in the metric's unit) if that is not zero."""

    better: Cell
    worse: Cell
    margin: float = 0.0

    def advantage(self, values: Values) -> Number:
        """How much better `better` is, positive if it is, whatever the metric's direction."""
        difference = values[self.better] - values[self.worse]
        return difference if self.better.metric in HIGHER_IS_BETTER else -difference

    def holds(self, values: Values) -> np.ndarray:
        """Strictly better; a margin is met when the advantage reaches it at the printed precision.

        Returns bool of the values' shape.
        """
        advantage = self.advantage(values)
        return np.round(advantage, DIGITS) >= self.margin if self.margin else np.asarray(advantage > 0)

    def words(self, values: Values, dataset: bool = True) -> str:
        """The two numbers (single values), named; with the data set if wanted."""
        a, b = self.better, self.worse
        if a.mask_ratio == b.mask_ratio:
            return f"{a.place(dataset)}: {a.method} {number(values[a])}, {b.method} {number(values[b])}"
        return f"{a.method}, {a.place(dataset)}: {number(values[a])}, at {b.mask_ratio} {number(values[b])}"


class Outcome(NamedTuple):
    """possible: bool of the values' shape, False where what is there refutes the claim already; missing: cells that
    the check needs and does not find. Without missing cells, `possible` is the answer."""

    possible: np.ndarray
    missing: tuple[Cell, ...]


class Check(Protocol):
    """An executable claim."""

    cells: tuple[Cell, ...]
    """Every cell that the check reads, without repetition."""

    def outcome(self, values: Values) -> Outcome: ...

    def refutation(self, draws: Values) -> float:
        """How strongly draws speak against the claim: a p value for "every part of it holds", 0 to 1.

        The probability that all parts hold at once is no such thing: of dozens of comparisons between equals some
        fail in almost every draw. So each part is judged alone, by the share of draws in which it holds, and the
        smallest share is multiplied by the number of parts (Bonferroni). 1 if nothing can be judged.
        """
        ...

    def evidence(self, values: Values) -> str:
        """The single values that decide, in words; a rule with missing cells raises MissingValue."""
        ...


@dataclass(frozen=True)
class Conjunction:
    """The claim holds if every comparison does."""

    comparisons: tuple[Comparison, ...]
    cells: tuple[Cell, ...] = field(init=False)

    def __post_init__(self) -> None:
        both = [cell for c in self.comparisons for cell in (c.better, c.worse)]
        object.__setattr__(self, "cells", tuple(dict.fromkeys(both)))

    def present(self, values: Values) -> list[Comparison]:
        """The comparisons whose two cells are there."""
        return [c for c in self.comparisons if c.better in values and c.worse in values]

    def outcome(self, values: Values) -> Outcome:
        possible: np.ndarray = np.asarray(True)
        for comparison in self.present(values):
            possible = possible & comparison.holds(values)
        return Outcome(possible, tuple(cell for cell in self.cells if cell not in values))

    def refutation(self, draws: Values) -> float:
        return refutation([comparison.holds(draws) for comparison in self.present(draws)])

    def evidence(self, values: Values) -> str:
        """How many comparisons hold, the failures (or the narrowest success), largest failure first."""
        present = self.present(values)
        if not present:
            return ""
        named = len({cell.dataset for cell in self.cells}) > 1
        if all(c.margin for c in present):
            least = min(present, key=lambda c: c.advantage(values))
            gain = number(least.advantage(values))
            return f"Advantage over the best of the others: {gain} ({least.words(values, named)})."
        ranked = sorted(present, key=lambda c: _relative(c, values))
        failed = [c.words(values, named) for c in ranked if not c.holds(values)]
        of = "" if len(present) == len(self.comparisons) else f" that could be made (of {len(self.comparisons)})"
        counted = f"{len(present) - len(failed)} of {len(present)} comparisons{of} hold"
        if failed:
            return f"{counted}; not: {listed(failed, 3)}."
        return f"{counted}; narrowest: {ranked[0].words(values, named)}."


def _relative(comparison: Comparison, values: Values) -> float:
    """Advantage as a share of the other's value, so that metrics of different units can be ranked."""
    return float(comparison.advantage(values)) / (abs(float(values[comparison.worse])) or 1.0)


@dataclass(frozen=True)
class Rule:
    """A claim about the shape of a table.

    test: bool of the values' shape; words: its evidence; against: its `refutation`, by default of the test as a
    whole, which is right for a test without parts.
    """

    cells: tuple[Cell, ...]
    test: Callable[[Values], np.ndarray]
    words: Callable[[Values], str]
    against: Callable[[Values], float] | None = None

    def outcome(self, values: Values) -> Outcome:
        missing = tuple(cell for cell in self.cells if cell not in values)
        return Outcome(np.asarray(True) if missing else np.asarray(self.test(values)), missing)

    def refutation(self, draws: Values) -> float:
        if any(cell not in draws for cell in self.cells):
            return 1.0
        return self.against(draws) if self.against else refutation([self.test(draws)])

    def evidence(self, values: Values) -> str:
        return self.words(values)


def refutation(parts: Iterable[np.ndarray]) -> float:
    """Smallest share of draws in which a part holds, times the number of parts, at most 1 (see `Check.refutation`).

    Of N draws of which k hold the share is (k + 1) / (N + 1): no finite number of draws shows that a part never holds.
    A single value (no axis of draws) is exact.
    """
    shares = [(part.sum() + 1) / (part.size + 1) if part.ndim else float(part) for part in map(np.asarray, parts)]
    return min(1.0, len(shares) * float(min(shares))) if shares else 1.0


def run(check: Check, tables: Tables) -> bool:
    """Whether a claim holds on tables (number -> DataFrame as `papers.load_table` returns).

    A cell that the check needs and the tables lack raises `MissingValue`, unless what can be compared already
    refutes the claim.
    """
    possible, missing = check.outcome(Values(tables))
    if missing and possible:
        raise MissingValue(missing[0])
    return bool(possible)


def label(metric: str) -> str:
    """How a metric is called in a sentence."""
    return LABELS.get(metric, metric)


def number(value: Number) -> str:
    """A value with ShowFace's three decimals; one below 0.1 with three digits that count."""
    value = float(value)
    return f"{value:.{DIGITS}f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"


def listed(parts: Iterable[str], most: int = 4) -> str:
    """ "a; b; c; and 5 more"."""
    parts = list(parts)
    return "; ".join(parts[:most]) + (f"; and {len(parts) - most} more" if len(parts) > most else "")
