"""Every claim of the papers, judged twice: on the numbers that its paper prints, and on what was measured here.

The same executable check runs on both. A check that is made of comparisons is judged comparison by comparison, by the
rule that tables and diffs follow (`evaluation.verdicts.judge`): it is borne out if each by itself holds beyond chance,
and refuted if one fails beyond chance with all of them as its family. A rule over a whole table has no single
difference: it runs on joint draws (a bootstrap over the test images and over trainings). Either way methods are spoken
of only where every number has three trainings and thirty images behind it. The words depend on whether the numbers may
stand beside the paper's: "supported" and "contradicted" there, elsewhere "same direction" and "opposite here".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import write_text
from replication.errors import InputError
from replication.evaluation.verdicts import (
    FEWEST_IMAGES,
    FEWEST_TRAININGS,
    Change,
    Judgement,
    Standing,
    judge,
)
from replication.papers import PAPERS, Layout, dataset_names, load_checks, load_claims, load_layouts, load_tables
from replication.papers.checks import HIGHER_IS_BETTER, Cell, Check, Conjunction, Values, listed, run
from replication.reporting.placement import Row, rows_of
from replication.reporting.tables.conditions import (
    conditions_of,
    images_of,
    is_comparable,
    made_by,
    stand_in,
    trainings_of,
)

DRAWS = 10_000
"""Draws per number: a probability of 0.95 is then known to 0.005 (two standard errors), and a part that holds in none
of them has p = 0.0001, so that a claim of 144 parts, the most there are, can be contradicted."""

SUPPORTED, CONTRADICTED = 0.95, 0.05
"""A rule over a whole table is borne out from this probability on, and refuted up to that p value of its weakest part
(`Check.refutation`)."""

VERDICTS = (
    "supported",
    "contradicted",
    "same direction",
    "opposite here",
    "not resolved",
    "one training",
    "two trainings",
    "too few images",
    "not run",
    "not comparable",
)
DIRECTIONS = ("same", "opposite", "mixed", "")
COLUMNS = (
    "id",
    "paper",
    "sentence",
    "where",
    "paper_supports",
    "paper_evidence",
    "measured_evidence",
    "probability",
    "verdict",
    "direction",
    "trainings",
    "images",
    "runs",
    "profile",
    "comparable",
)

Metrics = Mapping[str, Mapping[str, Any]]  # run -> its metrics file
Measured = tuple[str, str, str]  # (run, bucket, metric)
Draws = Mapping[Measured, np.ndarray]  # -> (draws,)
Differences = Callable[[Measured, Measured, float], Change]
"""(reference, other, margin) -> other minus reference of one metric, its p value that of "it is the margin"."""

_TOLD = {
    Standing.BEYOND_CHANCE: "beyond chance",
    Standing.ONE_TRAINING: "by more than the images explain, with one training behind them",
    Standing.TWO_TRAININGS: "by more than the images explain, with two trainings behind them",
    Standing.WITHIN_CHANCE: "within chance",
    Standing.FEW_IMAGES: "with too few images",
}
_SPLIT = (Standing.BEYOND_CHANCE, Standing.ONE_TRAINING, Standing.TWO_TRAININGS)
_NOT_MEASURED = {
    "print": "it is about the paper's own print",
    "count": "it is a count of operations, and nothing here times them",
}


@dataclass(frozen=True)
class _Verdict:
    """verdict, the probability behind it (None without one), the sentence that says why, and whether the measured
    values go the claim's way."""

    verdict: str
    probability: float | None
    why: str
    direction: str = ""


def claim_metrics() -> frozenset[str]:
    """Names in metrics files of all metrics that a check reads: FD beside FID."""
    read = {cell.metric for cell in _cells_read()}
    return frozenset(read | {"FD"} if "FID" in read else read)


def claim_buckets() -> frozenset[str]:
    """Names of all buckets that a check reads."""
    return frozenset(cell.mask_ratio for cell in _cells_read())


def _cells_read() -> Iterator[Cell]:
    return (cell for paper in PAPERS for check in load_checks(paper).values() for cell in check.cells)


def judge_claims(metrics: Metrics, draws: Draws, differences: Differences) -> pd.DataFrame:
    """One row a claim, in the order of PAPERS and of each paper: columns COLUMNS.

    metrics: the metrics files of what was measured. draws: (run, bucket, metric) -> (draws,) joint draws of
    the true value, the metric under its own name (FD or FID); a number without draws counts as missing.
    differences: compares two of those numbers, on the same images where both have them. probability: share of the draws
    in which the whole check holds; NaN where the claim was not judged. direction: whether the measured values go the
    claim's way, in all its comparisons ("same"), in none ("opposite") or in some ("mixed"); "" where nothing was
    measured. trainings, images: the fewest behind any number that the claim reads. runs: those that the claim reads and
    that were measured, separated by "; ". Raises InputError for draws that are not finite or not equally many.
    """
    _check_draws(draws)
    records = {name: made_by(file) for name, file in metrics.items()}
    rows = []
    for paper in PAPERS:
        checks, tables = load_checks(paper), load_tables(paper)
        measured_by, layouts = rows_of(paper), load_layouts(paper)
        for claim in load_claims(paper).itertuples():
            check = checks[claim.id]
            measured = _Cells(check, measured_by, layouts, metrics, draws, records, differences)
            judgement = measured.judge(claim.kind)
            rows.append(
                (
                    claim.id,
                    paper,
                    claim.statement,
                    claim.where,
                    run(check, tables),
                    check.evidence(Values(tables)),
                    " ".join(
                        filter(None, (judgement.why, measured.evidence() if claim.kind not in _NOT_MEASURED else ""))
                    ),
                    judgement.probability,
                    judgement.verdict,
                    judgement.direction,
                    measured.trainings,
                    measured.images,
                    "; ".join(measured.runs),
                    "; ".join(sorted({str(record.get("profile")) for record in records.values()})),
                    bool(records) and all(map(is_comparable, records.values())),
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {"probability": float, "trainings": "Int64", "images": "Int64"}
    )


class _Cells:
    """What was measured of the cells that one check reads."""

    def __init__(
        self,
        check: Check,
        measured_by: Mapping[Row, str],
        layouts: Mapping[int, Layout],
        metrics: Metrics,
        draws: Draws,
        records: Mapping[str, Mapping[str, Any]],
        differences: Differences,
    ) -> None:
        self.check = check
        self._metrics, self._measured_by, self._layouts = metrics, measured_by, layouts
        self._differences = differences
        values, drawn, self._names = {}, {}, set()
        self._places: dict[Cell, Measured] = {}
        for cell in check.cells:
            name_of_run = self._run(cell)
            bucket = metrics.get(name_of_run, {}).get(cell.mask_ratio, {})
            name = "FD" if cell.metric == "FID" and "FID" not in bucket else cell.metric
            if bucket.get(name) is not None and (name_of_run, cell.mask_ratio, name) in draws:
                values[cell] = float(bucket[name])
                drawn[cell] = draws[name_of_run, cell.mask_ratio, name]
                self._places[cell] = name_of_run, cell.mask_ratio, name
                self._names.add(name)
        self.values, self.draws = Values.of(values), Values.of(drawn)
        planned = dict.fromkeys(self._run(cell) for cell in check.cells)
        self.runs = tuple(name for name in planned if name in metrics)
        self.records = {name: records[name] for name in self.runs}

    def _run(self, cell: Cell) -> str:
        return self._measured_by.get((cell.table, cell.dataset, cell.method), "")

    def judge(self, kind: str) -> _Verdict:
        if kind in _NOT_MEASURED:
            return _Verdict("not run", None, f"Not run: {_NOT_MEASURED[kind]}.")
        if kind == "amount" and self.records and not all(map(is_comparable, self.records.values())):
            missing = self.check.outcome(self.draws).missing
            why = "Not comparable: the amount belongs to the paper's data and training."
            return _Verdict("not comparable", None, f"{why} {self._missing_sentence(missing)}".strip())
        layouts = [self._layouts.get(cell.table) for cell in self.check.cells]
        same = all(layout is not None and layout.same_schedule for layout in layouts)
        header = conditions_of(self.records, same_schedule=same)
        if not header.comparable_rows or {"FD", "FID"} <= self._names:
            why = listed(header.differences) or "some runs have FD and some FID"
            return _Verdict("not comparable", None, f"Not comparable: {why}.")
        possible, missing = self.check.outcome(self.draws)
        probability = float(np.mean(possible))
        holds, refuted = self._certain()
        why = ""
        if missing and kind == "each method" and possible.ndim:
            why = f"Judged on the methods that were measured. {self._missing_sentence(missing)}"
        elif missing and refuted:
            why = f"Refuted by what was run: P is at most this. {self._missing_sentence(missing)}"
        elif missing:
            return _Verdict("not run", None, f"Not run: {self._missing_words(missing)}.")
        return _Verdict(self._word(holds, refuted), probability, why, self._direction())

    def _word(self, holds: bool, refuted: bool) -> str:
        if holds or refuted:
            comparable = all(map(is_comparable, self.records.values()))
            return (("contradicted", "opposite here") if refuted else ("supported", "same direction"))[not comparable]
        if (self.images or 0) < FEWEST_IMAGES:
            return "too few images"
        if (self.trainings or 0) < FEWEST_TRAININGS:
            return "one training" if self.trainings == 1 else "two trainings"
        return "not resolved"

    def _certain(self) -> tuple[bool, bool]:
        """(whether what is there holds beyond chance, whether it is refuted beyond chance)."""
        if isinstance(self.check, Conjunction):
            alone = [
                ahead and judge([change])[0].standing is Standing.BEYOND_CHANCE for change, ahead, _ in self._judged
            ]
            failing = [judged for _, ahead, judged in self._judged if not ahead]
            return bool(alone) and all(alone), any(one.standing is Standing.BEYOND_CHANCE for one in failing)
        if (self.trainings or 0) < FEWEST_TRAININGS or (self.images or 0) < FEWEST_IMAGES:
            return False, False
        holds = float(np.mean(self.check.outcome(self.draws).possible)) >= SUPPORTED
        return holds, self.check.refutation(self.draws) <= CONTRADICTED

    @cached_property
    def _judged(self) -> list[tuple[Change, bool, Judgement]]:
        """Each comparison whose two numbers are there: whether it goes the claim's way, and what may be said of it."""
        assert isinstance(self.check, Conjunction)
        made = self.check.present(self.values)
        changes = []
        for comparison in made:
            margin = comparison.margin if comparison.better.metric in HIGHER_IS_BETTER else -comparison.margin
            change = self._differences(self._places[comparison.worse], self._places[comparison.better], margin)
            # Two buckets of one run are the same networks; a claim about the method is about its other trainings too.
            changes.append(replace(change, same_networks=False))
        ahead = [bool(comparison.holds(self.values)) for comparison in made]
        return list(zip(changes, ahead, judge(changes), strict=True))

    def _direction(self) -> str:
        if isinstance(self.check, Conjunction):
            ahead = {ahead for _, ahead, _ in self._judged}
            return "mixed" if len(ahead) > 1 else "same" if True in ahead else "opposite" if ahead else ""
        return "same" if bool(self.check.outcome(self.values).possible) else "opposite"

    @property
    def trainings(self) -> int | None:
        """The fewest trainings behind a number that the claim reads; None where none was measured."""
        counts = [trainings_of(self.records[run]) for run in {place[0] for place in self._places.values()}]
        return min(counts, default=None)

    @property
    def images(self) -> int | None:
        """The fewest images behind a number that the claim reads; None where that is not recorded."""
        counts = [images_of(self.records[run], bucket) for run, bucket, _ in self._places.values()]
        return min((count for count in counts if count is not None), default=None)

    def evidence(self) -> str:
        """The measured values that decide, under the names of what was measured."""
        present = [cell for cell in self.check.cells if cell in self.values]
        if not present or (len(present) < len(self.check.cells) and not isinstance(self.check, Conjunction)):
            return ""
        text = self.check.evidence(self.values)
        if isinstance(self.check, Conjunction):
            text += self._certainty() if text else ""
        for record in self.records.values():
            paper_name = dataset_names().get(str(record.get("dataset")))
            if paper_name and not is_comparable(record):
                other = record.get("dataset_title") or stand_in(
                    str(record.get("profile")), record.get("dataset_source")
                )
                text = text.replace(paper_name, str(other or "other images"))
        if text and "FD" in self._names:
            text = f"{text.replace('FID', 'FD')} FD stands in for FID."
        return text

    def _certainty(self) -> str:
        """What may be said of the comparisons, counted."""
        told: dict[Standing, list[bool]] = {}
        for _, ahead, judged in self._judged:
            told.setdefault(judged.standing, []).append(ahead)
        parts = []
        for standing, words in _TOLD.items():
            if ways := told.get(standing):
                split = f"{sum(ways)} hold and {len(ways) - sum(ways)} fail" if standing in _SPLIT else str(len(ways))
                parts.append(f"{split} {words}")
        return f" Taken together: {'; '.join(parts)}." if len(self._judged) > 1 else ""

    def _missing_sentence(self, missing: Iterable[Cell]) -> str:
        words = self._missing_words(missing)
        return f"{words[:1].upper()}{words[1:]}." if words else ""

    def _missing_words(self, missing: Iterable[Cell]) -> str:
        """Which run, or which number of it, is not there."""
        unplanned, absent, lacking = {}, {}, {}
        for cell in missing:
            one = self._run(cell)
            if not one:
                unplanned[cell.method] = None
            elif one not in self._metrics:
                absent[one] = None
            else:
                lacking[f"run {one} has no {cell.metric} at {cell.mask_ratio}"] = None
        parts = [f"no run measures {', '.join(unplanned)}"] if unplanned else []
        parts += [f"run {name} was not measured" for name in absent]
        return listed([*parts, *lacking], 6)


def _check_draws(draws: Draws) -> None:
    lengths = Counter(len(values) for values in draws.values())
    for (one, bucket, metric), values in draws.items():
        if len(values) != lengths.most_common(1)[0][0]:
            raise InputError(f"{one}, {bucket}, {metric}: {len(values)} draws, but other numbers have more or fewer.")
        if not np.isfinite(values).all():
            raise InputError(f"{one}, {bucket}, {metric}: the draws hold NaN or infinity; evaluate it again.")


def write_claims_csv(claims: pd.DataFrame, path: str | Path) -> Path:
    """Write what `judge_claims` returned, atomically: True and False as in the tables, no probability is empty."""
    write_text(path, claims.to_csv(index=False, lineterminator="\n", float_format="%.4f"))
    return Path(path)


def read_claims_csv(path: str | Path) -> pd.DataFrame:
    """The claims of a `write_claims_csv`, as `judge_claims` returned them.

    Raises InputError if the file is no such file or lists other claims than this version of the package has.
    """
    try:
        claims = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); run `python -m replication claims`.") from error
    if tuple(claims.columns) != COLUMNS:
        raise InputError(f"{path} has columns {', '.join(claims.columns)}; run `python -m replication claims`.")
    known = [(paper, claim) for paper in PAPERS for claim in load_claims(paper).id]
    answers = {*claims.paper_supports, *claims.comparable}
    current = (
        answers <= {True, False} and set(claims.verdict) <= set(VERDICTS) and set(claims.direction) <= set(DIRECTIONS)
    )
    if list(zip(claims.paper, claims.id, strict=True)) != known or not current:
        raise InputError(f"{path} was written by another version of the claims; run `python -m replication claims`.")
    counts = {name: pd.to_numeric(claims[name]).astype("Int64") for name in ("trainings", "images")}
    return claims.assign(probability=pd.to_numeric(claims.probability), **counts)
