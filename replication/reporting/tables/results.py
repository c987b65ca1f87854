"""ShowFace's Tables 1 to 4: what this repository measured, beside what the paper prints.

The paper's rows decide the layout, so a method that was not run keeps its row and says so. The best measured
value of each comparison is marked, direction aware and with ties (at the printed precision); nothing is
marked where the rows were measured in ways that do not compare.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from replication.errors import InputError
from replication.reporting.tables.conditions import Provenance, made_by, provenance

Differences = Callable[[str, str, str, str], tuple[float, float]]
"""(reference, experiment, bucket, metric) -> the 95 % interval of experiment minus reference."""

DIGITS = 3  # the paper prints three decimals everywhere
RATIOS = ("1-20%", "20-40%", "40-60%")
FULL = "Full"


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


@dataclass(frozen=True)
class Layout:
    """How the paper prints a table: title, whether methods are rows or columns, and what it compares with."""

    number: int
    title: str
    methods_in_rows: bool
    against: str | None = None  # the method that ablations are compared with
    same_schedule: bool = True


LAYOUTS = {
    1: Layout(1, "Quantitative comparison on CelebA-HQ and FFHQ", True, same_schedule=False),
    2: Layout(2, "Module ablation", False, against=FULL),
    3: Layout(3, "Loss ablation", False, against=FULL),
    4: Layout(4, "Memory design ablation (m slots per memory block)", False, against="disentangled m=128"),
}


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
    "signs",
    "experiment",
    "comparable",
    "measured_on",
)


@dataclass(frozen=True)
class ResultTable:
    """One table, measured and printed.

    cells has one row per (dataset, method, mask_ratio, metric), in the paper's order: measured (NaN if none),
    low and high (its 95 % interval, NaN if unknown), measured_as ("FD" where the paper has FID), paper,
    experiment, status ("measured", "missing" when the experiment has no such number, "not run"), best_measured,
    best_paper. changes (ablations) has, for every method but `layout.against`, its difference to that method:
    measured, low and high (paired over test images where results are at hand), beyond_chance (zero lies outside),
    paper, and agreement of the signs ("agrees", "differs", or "" where either difference is zero as printed or
    unknown).
    """

    layout: Layout
    cells: pd.DataFrame
    changes: pd.DataFrame | None
    provenance: Provenance
    records: Mapping[str, Mapping[str, Any]]  # experiment -> how it was made

    @property
    def frechet(self) -> str:
        """Name of the measured Fréchet distance: "FID", "FD", or "FD/FID" when experiments mix them."""
        names = self.cells.loc[(self.cells.metric == "FID") & (self.cells.status == "measured"), "measured_as"]
        return "/".join(sorted(set(names))) or "FID"

    def to_csv(self) -> str:
        """The table in long form, one row a number, with the columns CSV_COLUMNS.

        Numbers keep their full precision; not measured is empty. images, seeds: how many are behind `measured`.
        comparable: whether `measured` may be set beside `paper`; measured_on: which images, and their width in pixels.
        In ablations change, change_low, change_high are `measured` minus that of the full model, with the 95 %
        interval, change_paper is the same of the printed values, and signs says whether the two have the same sign.
        FD and FID are different metrics, so a measured FD gets a row of its own and the paper's FID stays in the FID
        row, where `experiment` is then empty.
        """
        changes = {} if self.changes is None else self.changes.set_index(_CELL).to_dict("index")
        rows = []
        for cell in self.cells.itertuples():
            key = dict(zip(_CELL, (cell.dataset, cell.method, cell.mask_ratio, cell.metric), strict=True))
            change = changes.get(tuple(key.values()), {})
            measured = {
                "metric": cell.measured_as,
                "measured": cell.measured,
                "low": cell.low,
                "high": cell.high,
                "experiment": cell.experiment,
                "change": change.get("measured"),
                "change_low": change.get("low"),
                "change_high": change.get("high"),
                "signs": change.get("agreement"),
                **self._conditions(cell.experiment, cell.mask_ratio),
            }
            paper = {"paper": cell.paper, "change_paper": change.get("paper")}
            if cell.metric == "FID" and self.frechet == "FD":
                rows += [key | measured | {"metric": "FD"}, key | paper]
            else:
                rows.append(key | measured | paper)
        table = pd.DataFrame(rows, columns=list(CSV_COLUMNS)).assign(table=self.layout.number)
        return table.astype({"images": "Int64", "seeds": "Int64"}).to_csv(index=False, lineterminator="\n")

    def _conditions(self, experiment: str, ratio: str) -> dict[str, Any]:
        """How many images and trainings are behind a number, on what it was measured; empty without experiment."""
        if (record := self.records.get(experiment)) is None:
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

    def beyond_chance(self) -> tuple[int, int]:
        """(number of changes beyond chance whose sign agrees with the paper, number of changes beyond chance)."""
        if self.changes is None:
            return 0, 0
        beyond = self.changes[self.changes.beyond_chance & (self.changes.agreement != "")]
        return int((beyond.agreement == "agrees").sum()), len(beyond)


def load_metrics(folder: str | Path, experiments: set[str]) -> dict[str, dict[str, Any]]:
    """The metrics files of the named experiments that exist in `folder`.

    Raises InputError when a file is not a metrics file (an object with one object per mask ratio) or holds NaN.
    """
    found = {}
    for name in sorted(experiments):
        path = Path(folder) / f"{name}.json"
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is not valid JSON ({error}).") from error
        if not isinstance(content, dict) or not any(isinstance(content.get(ratio), dict) for ratio in RATIOS):
            raise InputError(f"{path} is not a metrics file: it needs an object under one of {', '.join(RATIOS)}.")
        for bucket, values in content.items():
            for metric, value in values.items() if isinstance(values, dict) else ():
                if not isinstance(value, int | float) or not math.isfinite(value):
                    raise InputError(f"{path}: {metric} at {bucket} is {value}; a result must be a finite number.")
        found[name] = content
    return found


def result_table(
    number: int,
    *,
    paper: pd.DataFrame,
    experiments: Mapping[tuple[int, str, str], str],
    metrics: Mapping[str, Mapping[str, Any]],
    differences: Differences | None = None,
) -> ResultTable:
    """Build Table `number` of ShowFace.

    paper: the printed table (table,dataset,method,mask_ratio,metric,value). experiments: which experiment
    measures (table, dataset, method); methods without one are "not run". metrics: experiment -> metrics file.
    differences: gives the uncertainty of changes; without it that is unknown.
    """
    layout = LAYOUTS[number]
    rows = []
    for cell in paper.itertuples():
        experiment = experiments.get((number, cell.dataset, cell.method), "")
        metric = next(m for m in METRICS if m.key == cell.metric)
        bucket = metrics.get(experiment, {}).get(cell.mask_ratio, {})
        measured_as = next((key for key in metric.measured_keys if bucket.get(key) is not None), metric.key)
        value = bucket.get(measured_as)
        status = "not run" if experiment not in metrics else ("missing" if value is None else "measured")
        measured = math.nan if value is None else float(value)
        record = made_by(metrics[experiment]) if experiment in metrics else {}
        low, high = record.get("intervals", {}).get(cell.mask_ratio, {}).get(measured_as, (math.nan, math.nan))
        printed = math.nan if cell.value is None else float(cell.value)
        rows.append(
            (
                cell.dataset,
                cell.method,
                cell.mask_ratio,
                cell.metric,
                measured,
                low,
                high,
                measured_as,
                printed,
                experiment,
                status,
            )
        )
    columns = [
        "dataset",
        "method",
        "mask_ratio",
        "metric",
        "measured",
        "low",
        "high",
        "measured_as",
        "paper",
        "experiment",
        "status",
    ]
    cells = pd.DataFrame(rows, columns=columns)
    used = sorted({name for name in cells.experiment if name in metrics})
    records = {name: made_by(metrics[name]) for name in used}
    header = provenance(records, same_schedule=layout.same_schedule)
    _mark_best(cells, rank_measured=header.comparable_rows)
    return ResultTable(layout, cells, _changes(cells, layout, differences), header, records)


def showface_tables(
    metrics: Mapping[str, Mapping[str, Any]], differences: Differences | None = None
) -> list[ResultTable]:
    """Tables 1 to 4 from metrics files (`load_metrics`) and the paper's CSVs.

    differences: gives changes their uncertainty.
    """
    from replication.papers import SHOWFACE_ROWS, load_table

    return [
        result_table(
            number,
            paper=load_table("showface", number),
            experiments=SHOWFACE_ROWS,
            metrics=metrics,
            differences=differences,
        )
        for number in LAYOUTS
    ]


def _mark_best(cells: pd.DataFrame, *, rank_measured: bool) -> None:
    """Add best_measured and best_paper. One value alone is not "best"; FD and FID are not ranked together."""
    better = {metric.key: metric.better for metric in METRICS}
    for column in ("measured", "paper"):
        cells[f"best_{column}"] = False
        if column == "measured" and not rank_measured:
            continue
        for (_, _, metric), group in cells.groupby(["dataset", "mask_ratio", "metric"], sort=False):
            values = group[column].dropna()
            if len(values) < 2 or (column == "measured" and group.loc[values.index, "measured_as"].nunique() > 1):
                continue
            printed = (values * better[metric]).round(DIGITS)
            cells.loc[printed.index[printed == printed.max()], f"best_{column}"] = True


def _changes(cells: pd.DataFrame, layout: Layout, differences: Differences | None) -> pd.DataFrame | None:
    if layout.against is None:
        return None
    key = ["dataset", "mask_ratio", "metric"]
    reference = cells[cells.method == layout.against].set_index(key)[["measured", "measured_as", "paper", "experiment"]]
    joined = cells[cells.method != layout.against].join(reference.add_suffix("_full"), on=key)
    # An FD minus a FID is no difference of anything.
    measured = (joined.measured - joined.measured_full).where(joined.measured_as == joined.measured_as_full)
    changes = joined[[*key, "method", "status"]].assign(measured=measured, paper=joined.paper - joined.paper_full)
    bounds = [(math.nan, math.nan)] * len(changes)
    if differences is not None:
        bounds = [
            (math.nan, math.nan)
            if math.isnan(change)
            else differences(row.experiment_full, row.experiment, row.mask_ratio, row.measured_as)
            for row, change in zip(joined.itertuples(), changes.measured, strict=True)
        ]
    changes["low"], changes["high"] = zip(*bounds, strict=True)
    changes["beyond_chance"] = (changes.low > 0) | (changes.high < 0)
    changes["agreement"] = [_agreement(m, p) for m, p in zip(changes.measured, changes.paper, strict=True)]
    return changes.reset_index(drop=True)


def _agreement(measured: float, paper: float) -> str:
    if math.isnan(measured) or math.isnan(paper) or not round(measured, DIGITS) or not round(paper, DIGITS):
        return ""
    return "agrees" if (measured > 0) == (paper > 0) else "differs"
