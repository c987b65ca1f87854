"""The metrics files: those of the parameters' runs, with which every report begins, and all as text."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import paths
from replication.errors import InputError
from replication.evaluation.protocol import VERSION
from replication.json_files import read_object
from replication.reporting.measured_values import measured_values
from replication.reporting.placement import check_runs
from replication.reporting.tables.conditions import conditions_of, made_by
from replication.reporting.tables.results import load_metrics
from replication.settings import hint

if TYPE_CHECKING:
    from replication.config import Parameters


def measured(parameters: Parameters) -> dict[str, dict[str, Any]]:
    """run -> its metrics file, of the runs that the parameters measure; what earlier ones left on disk is not reported.

    Raises:
        InputError: one was measured under another version of the protocol than this code's; the sentence names it. Or
            a system gives a place in a paper to a run that is nowhere.
    """
    check_runs(parameters.run_names())
    found = load_metrics(paths.METRICS, parameters.measured_runs())
    for name, content in found.items():
        version = made_by(content).get("protocol", {}).get("version")
        if version != VERSION:
            stage = f"evaluate_{parameters.method_of(name).name}@{name}"
            said = "names no version" if version is None else f"was measured under version {version}"
            raise InputError(
                f"{paths.METRICS / name}.json {said} of the protocol, this is version {VERSION}; "
                f"run `dvc repro {stage}`"
            )
    return found


def reportable(parameters: Parameters) -> dict[str, dict[str, Any]]:
    """`measured`, for reports that git has: a clone without results must not write poorer ones over them.

    Raises:
        InputError: as `measured`; or nothing was measured of all that the parameters measure; or a run has a metrics
            file (git has it) and no results (they are in DVC's cache).
    """
    found, wanted = measured(parameters), parameters.measured_runs()
    if wanted and not found:
        raise InputError(
            f"none of the runs of params.yaml was measured here ({paths.METRICS} has no file of any): run `dvc repro`"
        )
    if absent := [name for name in found if not any(paths.results(name).parent.glob("seed_*"))]:
        raise InputError(
            f"the results of {', '.join(absent)} are not in {paths.RESULTS}, though {paths.METRICS} has their numbers: "
            "run `dvc repro`, or `dvc checkout` where DVC's cache has them"
        )
    return found


def keep_reported(parameters: Parameters, report: Path, reported: Iterable[str], now: Collection[str]) -> None:
    """Refuse to write a report without runs that it has by now, though the parameters still have them.

    reported: runs in the report that is there. now: runs that the new one would have.

    Raises:
        InputError: a run would be lost.
    """
    lost = [run for run in parameters.run_names() if run in set(reported) and run not in now]
    if lost:
        raise InputError(
            f"{report} reports {', '.join(lost)}, of which there is no result here: run `dvc repro`, take such runs "
            f"out of params.yaml, or remove {report} to write it without them"
        )


def column_of(files: Iterable[Path], column: str, *, where: str) -> Iterator[str]:
    """The values of a column of CSV files, of the rows that have one in the column `where` as well; none of a file that
    is not there, or no such table.
    """
    for file in files:
        try:
            with file.open(encoding="utf-8", newline="") as opened:
                yield from [row[column] for row in csv.DictReader(opened) if row[where]]
        except (OSError, ValueError, KeyError, csv.Error):
            continue


def subtitle(parameters: Parameters, runs: Iterable[str]) -> str:
    """One line that says what was run, for a figure that shows these runs."""
    shown = set(runs)
    return conditions_of({name: one for name, one in measured(parameters).items() if name in shown}).line()


def numbers(runs: Sequence[str] = ()) -> str:
    """The numbers of these runs as text, or of all that have a metrics file, in the parameters or not.

    Raises:
        InputError: nothing was measured, or not this run, or a file is no JSON object.
    """
    files = {path.stem: path for path in sorted(paths.METRICS.glob("*.json"))}
    if not files:
        raise InputError(f"{paths.METRICS} holds no metrics file; `make repro` measures")
    if strange := [run for run in runs if run not in files]:
        raise InputError(f"{strange[0]!r} has no metrics file in {paths.METRICS}{hint(strange[0], list(files))}")
    return measured_values({run: read_object(files[run]) for run in runs or files})
