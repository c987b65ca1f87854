"""The tables of a paper: what this repository measured, beside what the paper prints.

The paper's rows decide the layout, so a method that was not run keeps its row and says so; a method that the paper does
not have gets a row behind the printed ones once it was measured. All comparisons of a table are judged together by
the rule of `evaluation.verdicts.judge`: the best measured value of a comparison is marked where its lead over every
other row is beyond chance, a change against the full model where it is. Nothing is marked where the rows were
measured in ways that do not compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from replication.errors import InputError
from replication.evaluation.verdicts import Change, Judgement, Standing, judge
from replication.json_files import read_object
from replication.papers import Layout, load_layouts, load_table
from replication.reporting.placement import Row, rows_of
from replication.reporting.tables.conditions import Conditions, conditions_of, made_by

Differences = Callable[[str, str, str, str], Change]
"""(reference, run, bucket, metric) -> run minus reference with its interval and p value."""

_Place = tuple[str, str, str, str]  # (reference, run, bucket, metric)

DIGITS = 3  # the paper prints three decimals everywhere
NOT_PRINTED = "not in the paper"


@dataclass(frozen=True)
class Metric:
    """key: name in the paper's CSVs; measured_keys: its names in metrics files; better: +1 if higher is
    better.
    """

    key: str
    label: str
    measured_keys: tuple[str, ...]
    better: int

    @property
    def arrow(self) -> str:
        return "↑" if self.better > 0 else "↓"


METRICS = (
    Metric("L1_percent", "L1 (%)", ("L1_percent",), -1),
    Metric("FID", "FID", ("FID", "FD"), -1),
    Metric("PSNR", "PSNR", ("PSNR",), +1),
    Metric("SSIM", "SSIM", ("SSIM",), +1),
)


_CELL = ["dataset", "method", "mask_ratio", "metric"]
CSV_COLUMNS = (
    "table",
    *_CELL,
    "measured",
    "low",
    "high",
    "images",
    "seeds",
    "paper",
    "change",
    "change_low",
    "change_high",
    "change_paper",
    "p",
    "standing",
    "signs",
    "run",
    "comparable",
    "measured_on",
    "in_paper",
)


@dataclass(frozen=True)
class ResultTable:
    """One table, measured and printed.

    cells has one row per (dataset, method, mask_ratio, metric), in the paper's order, then what the paper does not
    print: measured (NaN if none), low and high (its 95 % interval, NaN if unknown), measured_as ("FD" where the paper
    has FID), paper (NaN where it prints none), run, status ("measured", "missing" when the run has no such number,
    "not run"), in_paper (whether the paper has this row), best_measured (its lead over every other row is beyond
    chance), best_paper. changes (ablations) has, for every method but `layout.against`, its difference to that method:
    measured, low and high (paired over test images where results are at hand), p (adjusted for all comparisons of the
    table), standing (what may be said of it, "" where that is not known), paper, and agreement of the signs ("agrees",
    "differs", or "" where either difference is zero as printed or unknown).
    """

    paper: str
    layout: Layout
    cells: pd.DataFrame
    changes: pd.DataFrame | None
    conditions: Conditions
    records: Mapping[str, Mapping[str, Any]]  # run -> how it was made

    @property
    def added(self) -> list[str]:
        """What has a row that the paper does not have: the method, with the data set where there are several."""
        added = self.cells[~self.cells.in_paper]
        named = self.cells.dataset.nunique() > 1
        places = zip(added.method, added.dataset, strict=True)
        return list(dict.fromkeys(f"{method} on {dataset}" if named else method for method, dataset in places))

    @property
    def frechet(self) -> str:
        """Name of the measured Fréchet distance: "FID", "FD", or "FD/FID" when runs mix them."""
        names = self.cells.loc[(self.cells.metric == "FID") & (self.cells.status == "measured"), "measured_as"]
        return "/".join(sorted(set(names))) or "FID"

    def to_csv(self) -> str:
        """The table in long form, one row a number, with the columns CSV_COLUMNS.

        Numbers keep their full precision; not measured is empty. images, seeds: how many are behind `measured`.
        comparable: whether `measured` may be set beside `paper`; measured_on: which images, and their width in pixels;
        in_paper: whether the paper has this row.
        In ablations change, change_low, change_high are `measured` minus that of the full model, with the 95 %
        interval, p its p value adjusted for all comparisons of the table, standing what may be said of it, change_paper
        the same of the printed values, and signs says whether the two have the same sign.
        FD and FID are different metrics, so a measured FD gets a row of its own and the paper's FID stays in the FID
        row, where `run` is then empty.
        """
        changes = {} if self.changes is None else self.changes.set_index(_CELL).to_dict("index")
        rows = []
        for cell in self.cells.itertuples():
            place = (cell.dataset, cell.method, cell.mask_ratio, cell.metric)
            change = changes.get(place, {})
            key = dict(zip(_CELL, place, strict=True)) | {"in_paper": cell.in_paper}
            measured = {
                "metric": cell.measured_as,
                "measured": cell.measured,
                "low": cell.low,
                "high": cell.high,
                "run": cell.run,
                "change": change.get("measured"),
                "change_low": change.get("low"),
                "change_high": change.get("high"),
                "p": change.get("p"),
                "standing": change.get("standing"),
                "signs": change.get("agreement"),
                **self._conditions(cell.run, cell.mask_ratio),
            }
            paper = {"paper": cell.paper, "change_paper": change.get("paper")}
            if cell.metric == "FID" and self.frechet == "FD":
                rows += [key | measured | {"metric": "FD"}, *([key | paper] if cell.in_paper else [])]
            else:
                rows.append(key | measured | paper)
        table = pd.DataFrame(rows, columns=list(CSV_COLUMNS)).assign(table=self.layout.number)
        table = table.astype({"images": "Int64", "seeds": "Int64"})
        # More digits mean nothing, and the last ones depend on the number of threads.
        return table.to_csv(index=False, lineterminator="\n", float_format="%.8g")

    def _conditions(self, run: str, ratio: str) -> dict[str, Any]:
        """How many images and trainings are behind a number, on what it was measured; empty without a run."""
        if (record := self.records.get(run)) is None:
            return {}
        images, seeds = record.get("images_per_bucket"), record.get("seeds")
        shown, size = record.get("dataset_title", record.get("dataset")), record.get("image_size")
        return {
            "images": images.get(ratio) if isinstance(images, Mapping) else images,
            "seeds": len(seeds) if isinstance(seeds, list) else 1,
            "comparable": bool(record.get("comparable", False)),
            "measured_on": f"{shown}, {size}x{size}",
        }

    def agreement(self) -> tuple[int, int]:
        """(number of changes whose sign agrees with the paper, number whose sign can be compared)."""
        if self.changes is None:
            return 0, 0
        return int((self.changes.agreement == "agrees").sum()), int((self.changes.agreement != "").sum())

    def standing(self, standing: Standing) -> tuple[int, int]:
        """(number of changes of this standing whose sign agrees with the paper, number that can be compared)."""
        if self.changes is None:
            return 0, 0
        own = self.changes[(self.changes.standing == standing) & (self.changes.agreement != "")]
        return int((own.agreement == "agrees").sum()), len(own)


def load_metrics(folder: str | Path, runs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The metrics files of the named runs that exist in `folder`, by name.

    Raises InputError when a file is not a metrics file (an object with one object per bucket) or holds NaN.
    """
    found = {}
    for name in sorted(runs):
        path = Path(folder) / f"{name}.json"
        if not path.is_file():
            continue
        content = read_object(path)
        if not buckets_of(content):
            raise InputError(f"{path} is not a metrics file: it needs an object for each bucket, such as 1-20%.")
        for bucket in buckets_of(content):
            for metric, value in content[bucket].items():
                if not isinstance(value, int | float) or not math.isfinite(value):
                    raise InputError(f"{path}: {metric} at {bucket} is {value}; a result must be a finite number.")
        found[name] = content
    return found


def buckets_of(metrics: Mapping[str, Any]) -> list[str]:
    """The buckets of a metrics file, such as "1-20%", in its order."""
    return [key for key, values in metrics.items() if key != "made_by" and isinstance(values, Mapping)]


def result_table(
    layout: Layout,
    *,
    printed: pd.DataFrame,
    runs: Mapping[Row, str],
    metrics: Mapping[str, Mapping[str, Any]],
    differences: Differences | None = None,
    paper: str = "",
) -> ResultTable:
    """Build one table.

    printed: the paper's (table,dataset,method,mask_ratio,metric,value). runs: which run measures (table, dataset,
    method); printed methods without one are "not run", measured rows that are not printed come last. metrics: run ->
    metrics file. differences: gives the uncertainty of changes; without it that is unknown. paper: its folder.

    Raises:
        InputError: a metric that no METRICS has, or an added row on another data set in a table whose columns are
            methods.
    """
    places = [(c.dataset, c.method, c.mask_ratio, c.metric, c.value, True) for c in printed.itertuples()]
    ratios, kinds = list(dict.fromkeys(printed.mask_ratio)), list(dict.fromkeys(printed.metric))
    there = {(place[0], place[1]) for place in places}
    for (number, dataset, method), run in runs.items():
        if number != layout.number or (dataset, method) in there or run not in metrics:
            continue
        if not layout.methods_in_rows and dataset not in set(printed.dataset):
            raise InputError(
                f"run {run}: Table {number} of {paper} is on {', '.join(dict.fromkeys(printed.dataset))} alone, so it "
                f"has no place for {method} on {dataset}"
            )
        places += [(dataset, method, ratio, kind, None, False) for ratio in ratios for kind in kinds]
    rows = []
    for dataset, method, ratio, kind, value, in_paper in places:
        run = runs.get((layout.number, dataset, method), "")
        metric = _metric(kind, layout, paper)
        bucket = metrics.get(run, {}).get(ratio, {})
        measured_as = next((key for key in metric.measured_keys if bucket.get(key) is not None), metric.key)
        number = bucket.get(measured_as)
        low, high = math.nan, math.nan
        if run in metrics:
            intervals = made_by(metrics[run]).get("intervals", {})
            low, high = intervals.get(ratio, {}).get(measured_as, (low, high))
        rows.append(
            {
                "dataset": dataset,
                "method": method,
                "mask_ratio": ratio,
                "metric": kind,
                "measured": math.nan if number is None else float(number),
                "low": low,
                "high": high,
                "measured_as": measured_as,
                "paper": math.nan if value is None else float(value),
                "run": run,
                "status": "not run" if run not in metrics else "missing" if number is None else "measured",
                "in_paper": in_paper,
            }
        )
    cells = pd.DataFrame(rows)
    used = sorted({name for name in cells.run if name in metrics})
    records = {name: made_by(metrics[name]) for name in used}
    header = conditions_of(records, same_schedule=layout.same_schedule)
    family = _Family(differences)
    _mark_best(cells, family, rank_measured=header.comparable_rows)
    changes = _changes(cells, layout, family)
    family.judge()
    cells["best_measured"] = [family.beyond_chance(lead) for lead in cells.pop("leads")]
    if changes is not None:
        told = [family.told(place) for place in changes.pop("place")]
        changes["low"], changes["high"], changes["p"], changes["standing"] = zip(*told, strict=True)
    return ResultTable(paper, layout, cells, changes, header, records)


def paper_tables(
    paper: str, metrics: Mapping[str, Mapping[str, Any]], differences: Differences | None = None
) -> list[ResultTable]:
    """All tables of a paper that has layouts, from metrics files (`load_metrics`), the printed values and the places
    that the systems' runs have; none for a paper without.

    differences: gives changes their uncertainty.
    """
    runs = rows_of(paper)
    return [
        result_table(
            layout,
            printed=load_table(paper, number),
            runs=runs,
            metrics=metrics,
            differences=differences,
            paper=paper,
        )
        for number, layout in load_layouts(paper).items()
    ]


def _metric(kind: str, layout: Layout, paper: str) -> Metric:
    for metric in METRICS:
        if metric.key == kind:
            return metric
    known = ", ".join(metric.key for metric in METRICS)
    raise InputError(f"Table {layout.number} of {paper} prints {kind}, which is none of the metrics here ({known})")


class _Family:
    """Every comparison that a table makes, judged together."""

    def __init__(self, differences: Differences | None) -> None:
        self._differences = differences
        self._changes: dict[_Place, Change] = {}
        self._judged: dict[_Place, Judgement] = {}

    def ask(self, reference: str, run: str, bucket: str, metric: str) -> _Place | None:
        """Take a comparison in; None where nothing tells its uncertainty."""
        if self._differences is None:
            return None
        place = (reference, run, bucket, metric)
        if place not in self._changes:
            self._changes[place] = self._differences(*place)
        return place

    def judge(self) -> None:
        self._judged = dict(zip(self._changes, judge(list(self._changes.values())), strict=True))

    def lead(self, best: str, others: Iterable[str], bucket: str, metric: str) -> _Place | None:
        """Take in whether a run leads all others: one comparison, that with its weakest lead."""
        if self._differences is None:
            return None
        asked = [self._differences(other, best, bucket, metric) for other in others]
        weakest = max(asked, key=lambda change: change.p)
        place = ("every other row", best, bucket, metric)
        self._changes[place] = replace(
            weakest,
            images=min(change.images for change in asked),
            trainings=min(change.trainings for change in asked),
        )
        return place

    def beyond_chance(self, place: _Place | None) -> bool:
        return place is not None and self._judged[place].standing is Standing.BEYOND_CHANCE

    def told(self, place: _Place | None) -> tuple[float, float, float, str]:
        """Interval, adjusted p value and standing."""
        if place is None:
            return math.nan, math.nan, math.nan, ""
        change, judged = self._changes[place], self._judged[place]
        return change.low, change.high, judged.p, judged.standing.value


def _mark_best(cells: pd.DataFrame, family: _Family, *, rank_measured: bool) -> None:
    """Add best_paper, and leads: under which the family has the lead of a measured value over every other row.

    One value alone is not "best"; FD and FID are not ranked together; values that print alike share the mark in print,
    and where they were measured none leads.
    """
    better = {metric.key: metric.better for metric in METRICS}
    cells["best_paper"] = False
    leads: dict[Any, _Place | None] = {}
    for (_, ratio, metric), group in cells.groupby(["dataset", "mask_ratio", "metric"], sort=False):
        values = group.paper.dropna()
        if len(values) > 1:
            printed = (values * better[metric]).round(DIGITS)
            cells.loc[printed.index[printed == printed.max()], "best_paper"] = True
        rows = group[group.measured.notna()]
        if not rank_measured or rows.run.nunique() < 2 or rows.measured_as.nunique() > 1:
            continue
        best = (rows.measured * better[metric]).idxmax()
        others = [run for run in rows.run if run != rows.run[best]]
        leads[best] = family.lead(rows.run[best], others, ratio, rows.measured_as[best])
    cells["leads"] = [leads.get(index) for index in cells.index]


def _changes(cells: pd.DataFrame, layout: Layout, family: _Family) -> pd.DataFrame | None:
    """Each variant minus `layout.against`; place: under which the family has its comparison, None without one."""
    if layout.against is None:
        return None
    key = ["dataset", "mask_ratio", "metric"]
    reference = cells[cells.method == layout.against].set_index(key)[["measured", "measured_as", "paper", "run"]]
    joined = cells[cells.method != layout.against].join(reference.add_suffix("_full"), on=key)
    # An FD minus a FID is no difference of anything.
    measured = (joined.measured - joined.measured_full).where(joined.measured_as == joined.measured_as_full)
    changes = joined[[*key, "method", "status"]].assign(measured=measured, paper=joined.paper - joined.paper_full)
    changes["place"] = [
        None if math.isnan(change) else family.ask(row.run_full, row.run, row.mask_ratio, row.measured_as)
        for row, change in zip(joined.itertuples(), changes.measured, strict=True)
    ]
    changes["agreement"] = [_agreement(m, p) for m, p in zip(changes.measured, changes.paper, strict=True)]
    return changes.reset_index(drop=True)


def _agreement(measured: float, paper: float) -> str:
    if math.isnan(measured) or math.isnan(paper) or not round(measured, DIGITS) or not round(paper, DIGITS):
        return ""
    return "agrees" if (measured > 0) == (paper > 0) else "differs"
