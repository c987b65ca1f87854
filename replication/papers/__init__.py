"""What the papers print, as data: tables and claims in CSV files, one folder a paper, each with its source.

Tables are in long form (table,dataset,method,mask_ratio,metric,value). `rows.csv` of a paper says which
experiment of this repository measures which printed row; `unknown.csv` lists what could not be found.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    numbers = sorted(int(path.stem.removeprefix("table")) for path in folder.glob("table*.csv"))
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


def load_rows(paper: str) -> dict[tuple[int, str, str], str]:
    """(table, dataset, method) of a printed row -> name of the experiment that measures it."""
    with _file(paper, "rows.csv").open(encoding="utf-8", newline="") as file:
        return {(int(r["table"]), r["dataset"], r["method"]): r["experiment"] for r in csv.DictReader(file)}


SHOWFACE_ROWS = load_rows("showface")


def measured_tables(
    rows: Mapping[tuple[int, str, str], str], metrics: Mapping[str, Mapping[str, Any]]
) -> dict[int, pd.DataFrame]:
    """Metrics of experiments in the form of the printed tables, so that a claim's check can run on them.

    `rows` as `load_rows` returns it; `metrics` maps an experiment to its metrics file ({bucket: {metric:
    value}, "made_by": [...]}). Rows whose experiment is absent are left out; a table without rows stays
    empty. The Fréchet distance keeps its own name (FID or FD).
    """
    found: dict[int, list[tuple[Any, ...]]] = {table: [] for table, _, _ in rows}
    for (table, dataset, method), experiment in rows.items():
        for bucket, values in metrics.get(experiment, {}).items():
            if isinstance(values, Mapping):
                found[table] += [(table, dataset, method, bucket, name, v) for name, v in values.items()]
    return {table: pd.DataFrame(cells, columns=list(TABLE_COLUMNS)) for table, cells in found.items()}
