"""Where a file came from: the stage that made it, its record, and the stages before it, back to the data.

A stage has the record of its last run here only. Where that is not the run whose output was used, because only a part
of the pipeline was run since, or because DVC took the output out of its cache, the story says so instead of telling
another run as the file's past.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from pathlib import Path
from typing import Any

from replication.errors import InputError
from replication.graph.stages import Stage, load_stages, parameter
from replication.history.records import digest_of, record_path
from replication.yaml_files import read_yaml

_AS_WRITTEN = "as its stage wrote it"


def lineage(path: str | Path, root: str | Path = ".") -> str:
    """The story of one output of the pipeline, in lines of at most 120 columns.

    First the file and whether it is still what its stage wrote (by dvc.lock); then the stage: command, commit, time,
    versions, parameters, and inputs that have changed since; then every stage before it, each once, indented below
    the one that uses it, and marked where it was run anew since.

    Raises:
        InputError: the file does not exist, no stage makes it, or its stage has no record.
    """
    root = Path(root)
    relative = Path(os.path.relpath(Path(path).absolute(), root.absolute())).as_posix()
    stages = load_stages(root)
    stage = next((stage for stage in stages.values() if stage.makes(relative)), None)
    if stage is None:
        outs = sorted({out for one in stages.values() for out in one.outs})
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
    state = _state(stage, out, root)
    lines = [relative, f"  state       {state}"]
    if state == _AS_WRITTEN and record["outputs"].get(out, digest_of(root / out)) != digest_of(root / out):
        lines.append("  NOT THE RUN told below, which made another one: this one came out of DVC's cache")
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
    return "\n".join(_fitted(line) for line in lines)


def _fitted(line: str) -> str:
    """A line of the story in at most 120 columns; what is over stands below, behind the title or the indent."""
    titled = re.match(r"  [a-z ]{10}  (?=\S)", line)
    indent = len(titled[0]) if titled else len(line) - len(line.lstrip()) + 4
    # A path or a command's word is never broken: it is there to be copied.
    whole = textwrap.wrap(line, 120, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(whole)


def _ancestry(stage: Stage, stages: dict[str, Stage], root: Path, told: set[str], depth: int) -> list[str]:
    """One line for each stage that made an input, the stages before it below."""
    lines = []
    user = _record(stage, root)
    for name, one in stages.items():
        fed = [dep for dep in stage.deps if any(_feeds(out, dep) for out in one.outs)]
        if not fed:
            continue
        record = _record(one, root)
        others = _others(user, record, [dep for dep in fed if any(_is_in(dep, out) for out in one.outs)], root)
        another = f"NOT THE RUN that {stage.name} used: {', '.join(others)} is another one now"
        if name in told:
            if others:
                lines.append(f"{'  ' * (depth + 1)}{name}: see above, {another}")
            continue
        told.add(name)
        text = "no record"
        if record is not None:
            text = f"commit {record['commit'].partition(':')[0]}, {record['started'][:16].replace('T', ' ')}, inputs "
            text += record["inputs_digest"]
            if changes := _changes(record, root):
                more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
                text += f"; {', '.join(changes[:3])}{more}"
        lines.append(f"{'  ' * (depth + 1)}{name}: {text}")
        if others:
            lines.append(f"{'  ' * (depth + 3)}{another}")
        lines += _ancestry(one, stages, root, told, depth + 1)
    return lines


def _others(user: dict[str, Any] | None, maker: dict[str, Any] | None, fed: list[str], root: Path) -> list[str]:
    """Of the inputs `fed`, those that their maker's last run made otherwise than the user had them.

    fed: outs of the maker, or parts of them; of a folder with the outs of several stages nobody knows who changed it.
    The maker's record is asked where it names the path, else the disk; what is gone is told by `_changes`.
    """
    if user is None:
        return []
    others = []
    for dep in fed:
        now = maker["outputs"].get(dep) if maker is not None else None
        if now is None and (root / dep).exists():
            now = digest_of(root / dep)
        if now is not None and now != user["inputs"].get(dep, now):
            others.append(dep)
    return others


def _is_in(path: str, out: str) -> bool:
    return path == out or path.startswith(f"{out}/")


def _feeds(out: str, dep: str) -> bool:
    return _is_in(dep, out) or _is_in(out, dep)


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
    return _AS_WRITTEN if digest_of(root / out) == recorded[out] else f"{out} was CHANGED since"


def _changes(record: dict[str, Any], root: Path) -> list[str]:
    """Inputs and parameters that are no longer what they were when the stage ran."""
    found = []
    for path, digest in record["inputs"].items():
        if not (root / path).exists():
            found.append(f"{path} is gone")
        elif digest_of(root / path) != digest:
            found.append(f"{path} has changed since")
    now = read_yaml(root / "params.yaml") if record["parameters"] else {}
    for key, value in record["parameters"].items():
        try:
            if json.loads(json.dumps(parameter(key, now))) != value:
                found.append(f"the parameter {key} has changed since")
        except InputError:
            found.append(f"the parameter {key} is gone")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
