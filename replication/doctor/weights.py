"""What the doctor says of published weight files: those that the settings of runs name, and those of LPIPS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import published_weights as known
from replication.doctor.data_sets import download_command
from replication.doctor.findings import MISSING, NOTE, OK, Finding
from replication.errors import InputError
from replication.settings import plain

if TYPE_CHECKING:
    from replication.config import Parameters

KEY = "weights"
"""The key under which every system names a published file, wherever in its settings."""


def weights(parameters: Parameters) -> Iterable[Finding]:
    """Whether every published file is here, and the right one by its hash."""
    wanted = [(key, path, _known_as(path)) for key, path in dict.fromkeys(_named(parameters))]
    if parameters.evaluation.lpips_weights is not None:
        wanted.append(("evaluation.lpips_weights", parameters.evaluation.lpips_weights, (known.ALEXNET, known.VGG16)))
        if util.find_spec("lpips") is None:
            text = "LPIPS is asked for, and its package is missing"
            yield Finding("lpips", MISSING, text, "python -m pip install lpips, or evaluation.lpips_weights: null")
    if not wanted:
        yield Finding("weights", OK, "none needed: all networks are trained here")
    for key, path, files in wanted:
        yield _looked_at(parameters, key, path, files)


def _looked_at(parameters: Parameters, key: str, path: str, files: tuple[known.PublishedFile, ...]) -> Finding:
    name, owner = " or ".join(f.file for f in files), " or ".join(f.network for f in files)
    whose = f"{owner} ({name})" if files else "the published weights"
    if not Path(path).is_file():
        mend = f"{download_command(parameters, path)}put {whose} there, or name its place in {key}"
        return Finding(key, MISSING, f"{path} does not exist", mend)
    hashes = tuple(file.sha256 for file in files if file.sha256 is not None)
    try:
        found = known.check_hash(path, name=name or Path(path).name, sha256=hashes or None)
    except InputError as error:
        return Finding(key, MISSING, str(error), f"remove it, and put {whose} in its place")
    if not hashes:
        text = f"{path}, sha256 {found[:8]}..., which nothing is known to compare with"
        return Finding(key, NOTE, text)
    return Finding(key, OK, f"{path}, sha256 {found[:8]}...")


def _known_as(path: str) -> tuple[known.PublishedFile, ...]:
    """The published file of this name; none where the name is not known."""
    files = [value for value in vars(known).values() if isinstance(value, known.PublishedFile)]
    return tuple(file for file in files if file.file == Path(path).name)


def _named(parameters: Parameters) -> Iterator[tuple[str, str]]:
    """(where it stands, path) of every file that the settings of a run name."""
    for run in parameters.run_names():
        method = parameters.method_of(run).name
        for key, path in _keys(plain(parameters.settings_of(run))):
            changed = (key, path) in set(_keys(parameters.run(run).change))
            yield f"runs.{method}.{run}.change.{key}" if changed else f"methods.{method}.{key}", path


def _keys(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{above}{key}.")
        elif key == KEY and isinstance(value, str):
            yield f"{above}{key}", value
