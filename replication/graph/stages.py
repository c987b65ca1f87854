"""The stages of dvc.yaml as the active parameters make them, without DVC.

DVC expands `foreach` and `${...}` from params.yaml; so does this, for the part of that language that dvc.yaml uses
(a test compares the two). It takes milliseconds where opening DVC's repository takes a second, and works where DVC
is not installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replication.errors import InputError
from replication.yaml_files import read_yaml

_REFERENCE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Stage:
    """name: as DVC calls it ("train@full"). deps, outs: paths relative to the root. params: dotted keys."""

    name: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]

    def makes(self, path: str) -> bool:
        """Whether a path is an out of this stage or lies in one."""
        return any(path == out or path.startswith(f"{out}/") for out in self.outs)


def load_stages(root: str | Path = ".") -> dict[str, Stage]:
    """All stages by name, in the order of dvc.yaml.

    Raises:
        InputError: dvc.yaml or params.yaml is missing, not YAML, or refers to a value that does not exist.
    """
    return expand_stages(read_yaml(Path(root) / "dvc.yaml"), read_yaml(Path(root) / "params.yaml"))


def expand_stages(pipeline: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Stage]:
    """The same from the contents of the two files.

    Raises:
        InputError: a stage is malformed, or refers to a value that does not exist.
    """
    try:
        return _expanded(pipeline, parameters)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"dvc.yaml has a malformed stage ({error!r}); `dvc stage list` says which") from error


def _expanded(pipeline: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for name, body in (pipeline.get("stages") or {}).items():
        if "foreach" not in body:
            stages[name] = _stage(name, body, parameters)
            continue
        items = body["foreach"]
        if isinstance(items, str):
            items = _value(items.removeprefix("${").removesuffix("}"), parameters)
        pairs = items.items() if isinstance(items, Mapping) else [(None, item) for item in items]
        for key, item in pairs:
            full = f"{name}@{item if key is None else key}"
            stages[full] = _stage(full, body["do"], {**parameters, "key": key, "item": item})
    return stages


def stage_of_output(path: str | Path, root: str | Path = ".") -> Stage | None:
    """The stage that makes a file, or None: a notebook may be run to anywhere."""
    if not (Path(root) / "dvc.yaml").is_file():
        return None
    relative = Path(os.path.relpath(Path(path).absolute(), Path(root).absolute())).as_posix()
    return next((stage for stage in load_stages(root).values() if stage.makes(relative)), None)


def _stage(name: str, body: Mapping[str, Any], scope: Mapping[str, Any]) -> Stage:
    def resolved(key: str) -> tuple[str, ...]:
        entries = [next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in body.get(key, ())]
        return tuple(_text(entry, scope) for entry in entries)

    command = body["cmd"] if isinstance(body["cmd"], str) else " && ".join(body["cmd"])
    return Stage(name, _text(command, scope), resolved("deps"), resolved("params"), resolved("outs"))


def _text(template: str, scope: Mapping[str, Any]) -> str:
    return _REFERENCE.sub(lambda match: str(_value(match[1].strip(), scope)), template)


def _value(reference: str, scope: Mapping[str, Any]) -> Any:
    value: Any = scope
    for part in reference.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise InputError(f"dvc.yaml refers to {reference!r}, which params.yaml does not have")
        value = value[part]
    return value


def parameter(reference: str, parameters: Mapping[str, Any]) -> Any:
    """A value of params.yaml by its dotted key; InputError if there is none."""
    return _value(reference, parameters)
