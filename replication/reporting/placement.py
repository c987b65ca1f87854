"""Where the runs of the systems stand in the papers: rows of tables and columns of figures.

A system says it itself, in `rows.csv` (paper,table,dataset,method,run) and `figures.csv`
(paper,figure,dataset,column,run,draw) of its folder; papers know no result. A new system's folder alone puts a row into
a table and a column into a figure.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from replication.errors import InputError
from replication.methods.registry import file_of, methods
from replication.papers import PAPERS, dataset_names, load_figures, load_tables
from replication.settings import hint
from replication.yaml_files import read_yaml

Row = tuple[int, str, str]
"""(table, dataset, method) as the paper prints them, or as a system names a row that the paper does not have."""

ROW_COLUMNS = ("paper", "table", "dataset", "method", "run")
FIGURE_COLUMNS = ("paper", "figure", "dataset", "column", "run", "draw")


@dataclass(frozen=True)
class Column:
    """A run's place in a figure.

    dataset: as the paper names it. title: above the column. draw: of a panel, the system's function ("module:name").
    """

    dataset: str
    title: str
    run: str
    draw: str


def rows_of(paper: str) -> dict[Row, str]:
    """(table, dataset, method) -> the run that measures this row, in the order of systems and of their files.

    A row that the paper does not print is one of its table's as well; it comes after the printed ones.

    Raises:
        InputError: a rows.csv names no paper, no table of it or no data set, or two systems claim the same row.
    """
    found: dict[Row, str] = {}
    owners: dict[Row, str] = {}
    tables = load_tables(paper)
    for system, where, row in _lines("rows.csv", ROW_COLUMNS):
        if row["paper"] != paper:
            continue
        if not row["table"].isdecimal() or int(row["table"]) not in tables:
            raise InputError(f"{where}: {paper} has no Table {row['table']!r}{hint(row['table'], map(str, tables))}")
        _check_dataset(where, row["dataset"], tables[int(row["table"])].dataset)
        key = (int(row["table"]), row["dataset"], row["method"])
        if key in found:
            raise InputError(
                f"{where}: {row['method']} on {row['dataset']} in Table {key[0]} of {paper} is {found[key]} of "
                f"{owners[key]} already; one run measures a row"
            )
        found[key], owners[key] = row["run"], system
    return found


def columns_of(paper: str, figure: str) -> list[Column]:
    """The runs that stand in a figure, in the order of systems and of their files.

    Raises:
        InputError: a figures.csv names no paper, no figure of it or no data set.
    """
    found, names = [], [one.name for one in load_figures(paper)]
    for _, where, row in _lines("figures.csv", FIGURE_COLUMNS):
        if row["paper"] != paper:
            continue
        if row["figure"] not in names:
            raise InputError(f"{where}: {paper} has no figure {row['figure']!r}{hint(row['figure'], names)}")
        _check_dataset(where, row["dataset"])
        if row["figure"] == figure:
            found.append(Column(row["dataset"], row["column"], row["run"], row["draw"]))
    return found


def check_runs(known: Iterable[str]) -> None:
    """Refuse rows and columns of runs that are nowhere: misspelt, they would be left out like those that were not run.

    known: the runs of the parameters; those that a profile of the row's system has are known as well.

    Raises:
        InputError: a line of rows.csv or figures.csv names another run.
    """
    known = set(known)
    for name, columns in (("rows.csv", ROW_COLUMNS), ("figures.csv", FIGURE_COLUMNS)):
        for system, where, row in _lines(name, columns):
            own = known | _runs_of_profiles(system)
            if row["run"] not in own:
                raise InputError(
                    f"{where}: {row['run']!r} is a run neither of params.yaml nor of a profile of {system}"
                    f"{hint(row['run'], sorted(own))}"
                )


def _check_dataset(where: str, dataset: str, printed: Iterable[str] = ()) -> None:
    names = list(dict.fromkeys([*printed, *dataset_names().values()]))
    if dataset not in names:
        raise InputError(f"{where}: {dataset!r} is no data set of the papers{hint(dataset, names)}")


@functools.cache
def _runs_of_profiles(system: str) -> frozenset[str]:
    path = file_of(system, "profiles.yaml")
    blocks = read_yaml(path).values() if path.is_file() else ()
    return frozenset(run for block in blocks for run in block["runs"] or ())


def _lines(name: str, columns: tuple[str, ...]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(system, file and line in words, row) of every system that has such a file."""
    for system in methods():
        path = file_of(system, name)
        if not path.is_file():
            continue
        for number, row in enumerate(_read(path, columns), start=2):
            where = f"methods/{system}/{name}, row {number}"
            if row["paper"] not in PAPERS:
                raise InputError(f"{where}: {row['paper']!r} is no paper{hint(row['paper'], PAPERS)}")
            yield system, where, row


def _read(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != columns:
            raise InputError(f"{path}: must have the columns {','.join(columns)}")
        rows = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise InputError(f"{path}: every row must have {len(columns)} values")
    return rows
