"""The tables of a paper, measured beside printed, from result files alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replication import paths
from replication.atomic import atomic_folder
from replication.errors import InputError
from replication.papers import papers_with_tables
from replication.reporting.tables.formats import to_html, write_table
from replication.reporting.tables.results import ResultTable, paper_tables
from replication.settings import hint
from replication.stages.measured import column_of, keep_reported, reportable
from replication.stages.samples import Samples

if TYPE_CHECKING:
    from replication.config import Parameters


def tables_of(parameters: Parameters, paper: str) -> list[ResultTable]:
    """The tables of a paper, in its order, with the uncertainty of their changes.

    Raises:
        InputError: the paper has no tables that are measured here, or results cannot be used.
    """
    if paper not in papers_with_tables():
        raise InputError(f"paper {paper!r} has no tables to be measured{hint(paper, papers_with_tables())}")
    return paper_tables(paper, reportable(parameters), Samples().change)


def write_tables(parameters: Parameters, paper: str) -> list[Path]:
    """reports/tables/<paper>/table<N>.csv, .md, .html and .tex of every table; their paths. Errors as `tables_of`."""
    tables = tables_of(parameters, paper)
    target = paths.TABLES / paper
    now = {run for table in tables for run in table.records}
    keep_reported(parameters, target, set(column_of(target.glob("*.csv"), "run", where="measured")), now)
    with atomic_folder(target) as folder:
        names = [path.name for table in tables for path in write_table(table, folder)]
    return [target / name for name in names]


def table_fragments(parameters: Parameters, paper: str) -> list[str]:
    """The tables of a paper as HTML fragments, for a notebook."""
    return [to_html(table) for table in tables_of(parameters, paper)]
