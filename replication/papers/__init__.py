"""What the papers print, as data: tables and claims in CSV files, one folder a paper, each with its source.

Tables are in long form (table,dataset,method,mask_ratio,metric,value). `tables.csv` of a paper says how it prints them,
`figures.csv` which figures are drawn, `unknown.csv` what could not be found. Which run measures which printed row
is said by the systems: nothing here knows a result.
"""

from __future__ import annotations

import csv
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from replication.errors import InputError
from replication.papers.checks import Check

TABLE_COLUMNS = ("table", "dataset", "method", "mask_ratio", "metric", "value")
CLAIM_COLUMNS = ("id", "statement", "quote", "where", "kind", "check", "holds_in_paper", "note")
CLAIM_KINDS = ("direction", "amount", "each method", "print", "count")
UNKNOWN_COLUMNS = ("kind", "what", "reason", "source")

PAPERS = {
    "showface": "ShowFace (Wu et al. 2022, arXiv 2204.02824)",
    "exgan": "ExGAN (Dolhansky and Canton Ferrer 2018, arXiv 1712.03999)",
    "exegan": "EXE-GAN (Lu et al. 2022, arXiv 2202.06358)",
    "ebgan": "EBGAN (Guo et al., Exemplar-based Generative Facial Editing)",
}
"""Folder of a paper -> how it is named in reports, in their order."""

_FOLDER = Path(__file__).parent


def _file(paper: str, name: str) -> Path:
    if paper not in PAPERS:
        raise InputError(f"paper {paper!r} is unknown; there are {', '.join(PAPERS)}")
    path = _FOLDER / paper / name
    if not path.is_file():
        raise InputError(f"paper {paper!r} has no {name}")
    return path


def load_table(paper: str, number: int) -> pd.DataFrame:
    """Printed table `number` of a paper (columns table,dataset,method,mask_ratio,metric,value).

    Values are as printed: L1_percent in % of the range, PSNR in dB, FID and SSIM without unit. An unknown
    paper or table raises InputError.
    """
    return pd.read_csv(_file(paper, f"table{number}.csv"))


def load_tables(paper: str) -> dict[int, pd.DataFrame]:
    """All printed tables of a paper by number, each as `load_table` returns it."""
    folder = _file(paper, "claims.csv").parent
    numbers = sorted(int(path.stem.removeprefix("table")) for path in folder.glob("table[0-9]*.csv"))
    return {number: load_table(paper, number) for number in numbers}


def load_claims(paper: str) -> pd.DataFrame:
    """What the paper's numbers are said to show, in the paper's order: columns CLAIM_COLUMNS; none for a paper without
    numbers.

    quote: the paper's words where the statement is its own. kind: "direction" (which is better), "amount" (an
    absolute number of the paper), "each method" (a direction within each method, to be judged on those measured),
    "print" (about the paper's printing alone) or "count" (arithmetic, no result).
    `holds_in_paper` (bool): whether the printed tables bear the statement out.
    """
    claims = pd.read_csv(_file(paper, "claims.csv"), keep_default_na=False)
    claims["holds_in_paper"] = claims.holds_in_paper.map({"yes": True, "no": False})
    return claims


def check_modules() -> list[str]:
    """The modules with the executable checks of all papers that have some; `load_checks` imports them by name."""
    papers = [paper for paper in PAPERS if (_FOLDER / paper / "claims.py").is_file()]
    return [f"replication.papers.{paper}.claims" for paper in papers]


def load_checks(paper: str) -> dict[str, Check]:
    """Claim id -> executable check, for every claim of `load_claims`."""
    if load_claims(paper).empty:
        return {}
    return importlib.import_module(f"replication.papers.{paper}.claims").CHECKS


def load_unknown(paper: str) -> pd.DataFrame:
    """What could not be found, or is stated without a number: columns kind,what,reason,source.

    kind: "number", "definition", "data" or "claim".
    """
    return pd.read_csv(_file(paper, "unknown.csv"), keep_default_na=False)


def load_suspicious(paper: str) -> pd.DataFrame:
    """Printed numbers that are hard to believe, kept as printed: TABLE_COLUMNS and reason."""
    path = _FOLDER / paper / "suspicious.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=[*TABLE_COLUMNS, "reason"])


@dataclass(frozen=True)
class Layout:
    """How a paper prints a table.

    methods_in_rows: else they are columns. against: the method that ablations are compared with, or None.
    same_schedule: whether its rows are only comparable when they were trained for equally many steps (an ablation
    compares equally trained networks, a comparison different systems). heads: method -> (group of columns, head below
    it) where the paper's heads have two rows.
    """

    number: int
    title: str
    methods_in_rows: bool
    against: str | None
    same_schedule: bool
    heads: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedFigure:
    """A figure of a paper, or one drawn beside them.

    name: of its file. kind: "samples" (one run a data set, with masks and ground truth), "comparison" (runs side by
    side on the same pairs) or "panel" (a system's drawing of what goes on inside one run). rows: of faces; 0 for a
    panel. buckets: of the pairs to choose from, the first one for a panel; empty for all.
    """

    name: str
    title: str
    kind: str
    rows: int
    buckets: tuple[str, ...]
    caption: str
    alt: str


FIGURE_KINDS = ("samples", "comparison", "panel")


def papers_with_tables() -> list[str]:
    """The papers whose tables are printed beside measured values: those with a tables.csv, in the order of PAPERS."""
    return [paper for paper in PAPERS if (_FOLDER / paper / "tables.csv").is_file()]


def papers_with_figures() -> list[str]:
    """The papers that have figures to be drawn (a figures.csv), in the order of PAPERS."""
    return [paper for paper in PAPERS if (_FOLDER / paper / "figures.csv").is_file()]


def load_layouts(paper: str) -> dict[int, Layout]:
    """Number -> layout of the tables that are measured, in the paper's order; none for a paper without tables.csv.

    Raises:
        InputError: an unknown paper, or a value of tables.csv that is neither yes nor no.
    """
    return {
        int(row["number"]): Layout(
            int(row["number"]),
            row["title"],
            _yes(row, "methods_in_rows", f"papers/{paper}/tables.csv"),
            row["against"] or None,
            _yes(row, "same_schedule", f"papers/{paper}/tables.csv"),
            {h["method"]: (h["group"], h["head"]) for h in _rows(paper, "heads.csv") if h["table"] == row["number"]},
        )
        for row in _rows(paper, "tables.csv")
    }


def load_figures(paper: str) -> list[PlannedFigure]:
    """The figures to be drawn, in the paper's order; none for a paper without figures.csv.

    Raises:
        InputError: an unknown paper, or a kind that is none of FIGURE_KINDS.
    """
    figures = []
    for row in _rows(paper, "figures.csv"):
        if row["kind"] not in FIGURE_KINDS:
            raise InputError(
                f"papers/{paper}/figures.csv: kind of {row['figure']} must be one of {', '.join(FIGURE_KINDS)}, "
                f"got {row['kind']!r}"
            )
        buckets = tuple(filter(None, row["buckets"].split(";")))
        figures.append(
            PlannedFigure(
                row["figure"], row["title"], row["kind"], int(row["rows"] or 0), buckets, row["caption"], row["alt"]
            )
        )
    return figures


@functools.cache
def dataset_names() -> Mapping[str, str]:
    """Key of a data set in params.yaml -> the name that the papers print, such as "ffhq" -> "FFHQ"."""
    with (_FOLDER / "datasets.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: row["name"] for row in csv.DictReader(file)}


class PaperSet(NamedTuple):
    """A data set as the papers use it: faces to train on and to test, width in pixels, and which numbers (first and
    last, with no face twice) the file names of its test faces have."""

    name: str
    train: int
    test: int
    size: int
    test_ids: tuple[int, int]


def paper_sets() -> Mapping[str, PaperSet]:
    """Key of a data set in params.yaml -> the papers' own set of that name."""
    with (_FOLDER / "datasets.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        first, last = map(int, row["test_ids"].split("-"))
        found[row["key"]] = PaperSet(row["name"], int(row["train"]), int(row["test"]), int(row["size"]), (first, last))
    return found


def choices_file(paper: str) -> Path:
    """The list of what is done here where a paper is silent; it need not exist. An unknown paper raises InputError."""
    _file(paper, "claims.csv")
    return _FOLDER / paper / "CHOICES.csv"


def _rows(paper: str, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of a known paper, none where it has no such file."""
    path = _file(paper, "claims.csv").with_name(name)
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _yes(row: Mapping[str, str], key: str, where: str) -> bool:
    if row[key] not in ("yes", "no"):
        raise InputError(f"{where}: {key} of Table {row['number']} must be yes or no, got {row[key]!r}")
    return row[key] == "yes"


def measured_tables(
    rows: Mapping[tuple[int, str, str], str], metrics: Mapping[str, Mapping[str, Any]]
) -> dict[int, pd.DataFrame]:
    """Metrics of runs in the form of the printed tables, so that a claim's check can run on them.

    `rows`: (table, dataset, method) of a printed row -> the run that measures it; `metrics` maps a run to its metrics
    file ({bucket: {metric: value}, "made_by": [...]}). Rows whose run is absent are left out; a table without rows
    stays empty. The Fréchet distance keeps its own name (FID or FD).
    """
    found: dict[int, list[tuple[Any, ...]]] = {table: [] for table, _, _ in rows}
    for (table, dataset, method), run in rows.items():
        for bucket, values in metrics.get(run, {}).items():
            if isinstance(values, Mapping):
                found[table] += [(table, dataset, method, bucket, name, v) for name, v in values.items()]
    return {table: pd.DataFrame(cells, columns=list(TABLE_COLUMNS)) for table, cells in found.items()}
