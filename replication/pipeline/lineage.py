"""Where a file came from: the stage that made it, its record, and the stages before it, back to the data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from replication.errors import InputError
from replication.pipeline.records import digest_of, record_path
from replication.pipeline.stages import Stage, load_stages, read_yaml


def lineage(path: str | Path, root: str | Path = ".") -> str:
    """The story of one output of the pipeline, in lines.

    First the file and whether it is still what its stage wrote (by dvc.lock); then the stage: command, commit, time,
    versions, parameters, and inputs that have changed since; then every stage before it, each once, indented below
    the one that uses it.

    Raises:
        InputError: the file does not exist, no stage makes it, or its stage has no record.
    """
    root = Path(root)
    relative = Path(os.path.relpath(Path(path).absolute(), root.absolute())).as_posix()
    stages = load_stages(root)
    stage = next((stage for stage in stages.values() if stage.makes(relative)), None)
    if stage is None:
        outs = sorted({out for one in stages.values() for out in one.outs if not out.startswith("data/records")})
        near = [out for out in outs if Path(out).parent == Path(relative).parent][:3] or ["reports/tables"]
        raise InputError(f"{relative} is made by no stage of dvc.yaml; outputs are such as {', '.join(near)}")
    if not (root / relative).exists():
        raise InputError(f"{relative} does not exist; `dvc repro {stage.name}` makes it, `dvc checkout` restores it")
    record = _record(stage, root)
    if record is None:
        raise InputError(
            f"{relative}: its stage {stage.name} has no record here (records are not in git): `make repro` makes them"
        )
    out = next(out for out in stage.outs if relative == out or relative.startswith(f"{out}/"))
    lines = [relative, f"  state       {_state(stage, out, root)}"]
    lines += [f"  made by     {stage.name}: {record['command']}"]
    lines += [f"  commit      {record['commit']}", f"  started     {record['started']}, {record['seconds']} s"]
    versions = ", ".join(f"{name} {version}" for name, version in record["packages"].items() if version)
    lines += [f"  with        Python {record['python']}, {versions}; {record['machine']}"]
    lines += [f"  inputs      {len(record['inputs'])} (digest {record['inputs_digest']})"]
    lines += [f"              {text}" for text in _changes(record, root)]
    for key, value in record["parameters"].items():
        lines.append(f"  parameter   {key} = {_short(value)}")
    before = _ancestry(stage, stages, root, {stage.name}, 0)
    if before:
        lines += ["", "made from", *before]
    return "\n".join(lines)


def _ancestry(stage: Stage, stages: dict[str, Stage], root: Path, told: set[str], depth: int) -> list[str]:
    """One line for each stage that made an input, the stages before it below."""
    lines = []
    for name, one in stages.items():
        if name in told or not any(_feeds(out, dep) for out in one.outs for dep in stage.deps):
            continue
        told.add(name)
        record = _record(one, root)
        text = "no record"
        if record is not None:
            changed = len(_changes(record, root))
            text = f"commit {record['commit']}, {record['started'][:16].replace('T', ' ')}, inputs "
            text += f"{record['inputs_digest']}" + (f", {changed} changed since" if changed else "")
        lines.append(f"{'  ' * (depth + 1)}{name}: {text}")
        lines += _ancestry(one, stages, root, told, depth + 1)
    return lines


def _feeds(out: str, dep: str) -> bool:
    return out == dep or out.startswith(f"{dep}/") or dep.startswith(f"{out}/")


def _record(stage: Stage, root: Path) -> dict[str, Any] | None:
    path = root / record_path(stage.name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON; `dvc repro -f -s {stage.name}` writes it anew") from error


def _state(stage: Stage, out: str, root: Path) -> str:
    locked = read_yaml(root / "dvc.lock").get("stages", {}) if (root / "dvc.lock").is_file() else {}
    recorded = {entry["path"]: entry["md5"] for entry in locked.get(stage.name, {}).get("outs", [])}
    if out not in recorded:
        return "not in dvc.lock: the stage was not run by DVC, or has not ended"
    return "as its stage wrote it" if digest_of(root / out) == recorded[out] else f"{out} was CHANGED since"


def _changes(record: dict[str, Any], root: Path) -> list[str]:
    """Inputs that are no longer what they were when the stage ran."""
    found = []
    for path, digest in record["inputs"].items():
        if not (root / path).exists():
            found.append(f"{path} is gone")
        elif digest_of(root / path) != digest:
            found.append(f"{path} has changed since")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
