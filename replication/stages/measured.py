"""The metrics files: those of the parameters' runs, with which every report begins, and all as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from replication import paths
from replication.errors import InputError
from replication.evaluation.protocol import VERSION
from replication.json_files import read_object
from replication.reporting.measured_values import measured_values
from replication.reporting.tables.conditions import conditions_of, made_by
from replication.reporting.tables.results import load_metrics
from replication.settings import hint

if TYPE_CHECKING:
    from replication.config import Parameters


def measured(parameters: Parameters) -> dict[str, dict[str, Any]]:
    """run -> its metrics file, of the runs that the parameters measure; what earlier ones left on disk is not reported.

    Raises:
        InputError: one was measured under another version of the protocol than this code's; the sentence names it.
    """
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


def subtitle(parameters: Parameters) -> str:
    """One line that says what was run, for every figure."""
    return conditions_of(measured(parameters)).line()
