"""The metrics files of the runs of the parameters, which every report begins with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from replication import paths
from replication.errors import InputError
from replication.evaluation.protocol import VERSION
from replication.reporting.tables.conditions import conditions_of, made_by
from replication.reporting.tables.results import load_metrics

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


def subtitle(parameters: Parameters, runs: Iterable[str]) -> str:
    """One line that says what was run, for a figure that shows these runs."""
    shown = set(runs)
    return conditions_of({name: one for name, one in measured(parameters).items() if name in shown}).line()
