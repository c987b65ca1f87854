"""What the papers print, as data: tables and claims in CSV files, one folder a paper, each with its source.

Tables are in long form (table,dataset,method,mask_ratio,metric,value). `rows.csv` of a paper says which
experiment of this repository measures which printed row.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from replication.errors import InputError

TABLE_COLUMNS = ("table", "dataset", "method", "mask_ratio", "metric", "value")
CLAIM_COLUMNS = ("id", "statement", "check", "holds_in_paper", "note")

_FOLDER = Path(__file__).parent


def _file(paper: str, name: str) -> Path:
    known = sorted(folder.name for folder in _FOLDER.iterdir() if (folder / "claims.csv").is_file())
    if paper not in known:
        raise InputError(f"paper {paper!r} is unknown; there are {', '.join(known)}")
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
    """What the paper's numbers are said to show: columns id,statement,check,holds_in_paper,note.

    `holds_in_paper` (bool): whether the printed tables bear the statement out.
    """
    claims = pd.read_csv(_file(paper, "claims.csv"))
    claims["holds_in_paper"] = claims.holds_in_paper.map({"yes": True, "no": False})
    return claims


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
