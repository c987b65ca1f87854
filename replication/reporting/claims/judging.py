"""Every claim of the papers, judged twice: on the numbers that its paper prints, and on what was measured here.

The same executable check runs on both. On measured numbers it runs on joint draws (a bootstrap over the test images,
and over training seeds where there are several), so that a statement about many runs gets one probability.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import write_text
from replication.errors import InputError
from replication.papers import PAPERS, Layout, dataset_names, load_checks, load_claims, load_layouts, load_tables
from replication.papers.checks import Cell, Check, Conjunction, Values, listed, run
from replication.reporting.placement import Row, rows_of
from replication.reporting.tables.conditions import conditions_of, is_comparable, made_by, stand_in

DRAWS = 10_000
"""Draws per number: a probability of 0.95 is then known to 0.005 (two standard errors), and a part that holds in none
of them has p = 0.0001, so that a claim of 144 parts, the most there are, can be contradicted."""

SUPPORTED, CONTRADICTED = 0.95, 0.05
"""A claim is supported from this probability on, and contradicted up to that p value of its weakest part
(`Check.refutation`)."""

VERDICTS = ("supported", "contradicted", "not resolved", "not run", "not comparable")
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
    "runs",
    "profile",
    "comparable",
)

Metrics = Mapping[str, Mapping[str, Any]]  # run -> its metrics file
Draws = Mapping[tuple[str, str, str], np.ndarray]  # (run, bucket, metric) -> (draws,)

_NOT_MEASURED = {
    "print": "it is about the paper's own print",
    "count": "it is a count of operations, and nothing here times them",
}


@dataclass(frozen=True)
class _Judgement:
    """verdict, the probability behind it (None without one) and the sentence that says why."""

    verdict: str
    probability: float | None
    why: str


def claim_metrics() -> frozenset[str]:
    """Names in metrics files of all metrics that a check reads: FD beside FID."""
    read = {cell.metric for cell in _cells_read()}
    return frozenset(read | {"FD"} if "FID" in read else read)


def claim_buckets() -> frozenset[str]:
    """Names of all buckets that a check reads."""
    return frozenset(cell.mask_ratio for cell in _cells_read())


def _cells_read() -> Iterator[Cell]:
    return (cell for paper in PAPERS for check in load_checks(paper).values() for cell in check.cells)


def judge_claims(metrics: Metrics, draws: Draws) -> pd.DataFrame:
    """One row a claim, in the order of PAPERS and of each paper: columns COLUMNS.

    metrics: the metrics files of what was measured. draws: (run, bucket, metric) -> (draws,) joint draws of
    the true value, the metric under its own name (FD or FID); a number without draws counts as missing.
    probability: share of the draws in which the whole check holds; NaN where the claim was not judged. A claim of
    many parts can have a low one and be "not resolved": see `Check.refutation`. runs:
    those that the claim reads and that were measured, separated by "; ". Raises InputError for draws that are not
    finite or not equally many.
    """
    _check_draws(draws)
    records = {name: made_by(file) for name, file in metrics.items()}
    rows = []
    for paper in PAPERS:
        checks, tables = load_checks(paper), load_tables(paper)
        measured_by, layouts = rows_of(paper), load_layouts(paper)
        for claim in load_claims(paper).itertuples():
            check = checks[claim.id]
            measured = _Measured(check, measured_by, layouts, metrics, draws, records)
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
                    "; ".join(measured.runs),
                    "; ".join(sorted({str(record.get("profile")) for record in records.values()})),
                    bool(records) and all(map(is_comparable, records.values())),
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"probability": float})


class _Measured:
    """What was measured of the cells that one check reads."""

    def __init__(
        self,
        check: Check,
        measured_by: Mapping[Row, str],
        layouts: Mapping[int, Layout],
        metrics: Metrics,
        draws: Draws,
        records: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.check = check
        self._metrics, self._measured_by, self._layouts = metrics, measured_by, layouts
        values, drawn, self._names = {}, {}, set()
        for cell in check.cells:
            name_of_run = self._run(cell)
            bucket = metrics.get(name_of_run, {}).get(cell.mask_ratio, {})
            name = "FD" if cell.metric == "FID" and "FID" not in bucket else cell.metric
            if bucket.get(name) is not None and (name_of_run, cell.mask_ratio, name) in draws:
                values[cell] = float(bucket[name])
                drawn[cell] = draws[name_of_run, cell.mask_ratio, name]
                self._names.add(name)
        self.values, self.draws = Values.of(values), Values.of(drawn)
        planned = dict.fromkeys(self._run(cell) for cell in check.cells)
        self.runs = tuple(name for name in planned if name in metrics)
        self.records = {name: records[name] for name in self.runs}

    def _run(self, cell: Cell) -> str:
        return self._measured_by.get((cell.table, cell.dataset, cell.method), "")

    def judge(self, kind: str) -> _Judgement:
        if kind in _NOT_MEASURED:
            return _Judgement("not run", None, f"Not run: {_NOT_MEASURED[kind]}.")
        if kind == "amount" and self.records and not all(map(is_comparable, self.records.values())):
            missing = self.check.outcome(self.draws).missing
            why = "Not comparable: the amount belongs to the paper's data and training."
            return _Judgement("not comparable", None, f"{why} {self._missing_sentence(missing)}".strip())
        layouts = [self._layouts.get(cell.table) for cell in self.check.cells]
        same = all(layout is not None and layout.same_schedule for layout in layouts)
        header = conditions_of(self.records, same_schedule=same)
        if not header.comparable_rows or {"FD", "FID"} <= self._names:
            why = listed(header.differences) or "some runs have FD and some FID"
            return _Judgement("not comparable", None, f"Not comparable: {why}.")
        possible, missing = self.check.outcome(self.draws)
        probability = float(np.mean(possible))
        contradicted = self.check.refutation(self.draws) <= CONTRADICTED
        why = ""
        if missing and kind == "each method" and possible.ndim:
            why = f"Judged on the methods that were measured. {self._missing_sentence(missing)}"
        elif missing and contradicted:
            why = f"Refuted by what was run: P is at most this. {self._missing_sentence(missing)}"
        elif missing:
            return _Judgement("not run", None, f"Not run: {self._missing_words(missing)}.")
        verdict = "supported" if probability >= SUPPORTED else "contradicted" if contradicted else "not resolved"
        return _Judgement(verdict, probability, why)

    def evidence(self) -> str:
        """The measured values that decide, under the names of what was measured."""
        present = [cell for cell in self.check.cells if cell in self.values]
        if not present or (len(present) < len(self.check.cells) and not isinstance(self.check, Conjunction)):
            return ""
        text = self.check.evidence(self.values)
        if isinstance(self.check, Conjunction):
            text += self._certainty(self.check) if text else ""
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

    def _certainty(self, check: Conjunction) -> str:
        """How many of the comparisons are certain each for itself."""
        made = check.present(self.draws)
        if len(made) < 2:
            return ""
        shares = [float(np.mean(comparison.holds(self.draws))) for comparison in made]
        sure, wrong = sum(p >= SUPPORTED for p in shares), sum(p <= CONTRADICTED for p in shares)
        return f" Taken one by one: {sure} certain, {wrong} certainly not, {len(made) - sure - wrong} open."

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
    current = answers <= {True, False} and set(claims.verdict) <= set(VERDICTS)
    if list(zip(claims.paper, claims.id, strict=True)) != known or not current:
        raise InputError(f"{path} was written by another version of the claims; run `python -m replication claims`.")
    return claims.assign(probability=pd.to_numeric(claims.probability))
