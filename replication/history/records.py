"""What a stage was made of: its inputs, digested before it runs, and whether they stayed as they were.

DVC hashes the dependencies of a stage after its command has ended: an edit during the run is recorded as though it
had been used. `recorded` digests them first, hands the digest to whatever the stage writes, compares at the end, and
fails the stage when something changed. Digests are those of DVC (MD5 of a file; of a folder's listing), so that a
record can be held against dvc.lock.

Times and commits stand in records alone, and a record is no output of its stage: two equal runs then leave equal
outputs and an equal dvc.lock.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from replication import paths
from replication.atomic import write_json
from replication.errors import InputError, RunError
from replication.graph import notebook_code
from replication.graph.code import changed_sources, listed_sources
from replication.graph.stages import Stage, parameter
from replication.history.commit import COMMIT_VARIABLE, code_commit
from replication.history.made_by import INPUTS_VARIABLE
from replication.yaml_files import read_yaml

IGNORED = {"__pycache__", ".ipynb_checkpoints"}  # as .dvcignore has it
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-image", "papermill", "dvc", "pytorch-fid")


class ChangedInputsError(RunError):
    """A file or parameter that a stage depends on was changed while it ran; its results mix two states."""


def record_path(stage: str) -> Path:
    """Where the record of a stage lies: data/records/train_mine/wide.json for train_mine@wide."""
    return paths.RECORDS / f"{stage.replace('@', '/')}.json"


@contextlib.contextmanager
def recorded(stage: Stage | None) -> Iterator[None]:
    """Run the body of a stage between two looks at its inputs, and write its record; None records nothing.

    Raises:
        InputError: an input does not exist, or sources are others than those by which DVC knows the stage.
        ChangedInputsError: an input was changed meanwhile; the sentence names it. The results are left where they
            are, without a record, and DVC does not take them.
    """
    if stage is None:
        yield
        return
    if stale := [source for dep in stage.deps for source in changed_sources(dep)]:
        raise InputError(
            f"{stage.name}: {', '.join(stale)} changed since data/code was written; `dvc repro`, or `python -m "
            "replication code` and this stage again"
        )
    record_path(stage.name).unlink(missing_ok=True)  # of an earlier run: its results go now
    before, began, started = Inputs.read(stage), time.perf_counter(), datetime.datetime.now(datetime.UTC)
    commit = code_commit()  # now: a commit made during the run is not what ran
    if commit.startswith("unknown"):
        print(f"{stage.name}: the record names no commit ({commit.removeprefix('unknown: ')})", file=sys.stderr)
    handed = {INPUTS_VARIABLE: before.digest()[:16], COMMIT_VARIABLE: commit}
    earlier = {name: os.environ.get(name) for name in handed}
    os.environ.update(handed)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    missing = [out for out in stage.outs if not Path(out).exists()]
    if missing:
        raise InputError(f"{stage.name}: ended without making {missing[0]}, which dvc.yaml names as its output")
    if changed := before.changed():
        raise ChangedInputsError(
            f"{stage.name}: {', '.join(changed)} changed while the stage ran, so its results are of no single state; "
            "run it again"
        )
    record = {
        "stage": stage.name,
        "command": stage.cmd,
        "commit": commit,
        "inputs_digest": before.digest()[:16],
        "inputs": before.files,
        "parameters": before.parameters,
        "outputs": {out: _digest(Path(out), {}, {}) for out in stage.outs},
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 1),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
    }
    write_json(record_path(stage.name), record)


class Inputs:
    """The inputs of a stage at one moment: MD5 of every dependency and the values of its parameters."""

    def __init__(self, stage: Stage, files: dict[str, str], parameters: dict[str, Any], seen: dict[str, tuple]) -> None:
        self.stage, self.files, self.parameters, self._seen = stage, files, parameters, seen

    @classmethod
    def read(cls, stage: Stage, seen: dict[str, tuple] | None = None) -> Inputs:
        """Digest them now; files whose size and time are as in `seen` are not read again."""
        known, now = seen or {}, {}
        files = {dep: _digest(Path(dep), known, now) for dep in stage.deps}
        for dep in stage.deps:  # the sources behind a listing of them are inputs as well
            for source in listed_sources(dep):
                if Path(source).is_file():
                    _source_digest(source, known, now)
        raw = read_yaml(Path("params.yaml")) if stage.params else {}
        return cls(stage, files, {key: parameter(key, raw) for key in stage.params}, now)

    def digest(self) -> str:
        """One SHA-256 over command, parameters, and all files that are no sources.

        The sources are in the `code` of a result, without their comments (`graph.closure.code_digest`): a better
        comment must not change a result.
        """
        files = {path: digest for path, (*_, digest) in self._seen.items() if not _is_source(path)}
        content = [self.stage.cmd, files, self.parameters]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def changed(self) -> list[str]:
        """The dependencies, files in them, and parameters that are no longer what they were."""
        try:
            now = Inputs.read(self.stage, self._seen)
        except InputError as error:
            return [str(error)]
        files = [path for path, was in self._seen.items() if now._seen.get(path, (None,))[-1] != was[-1]]
        new = [path for path in now._seen if path not in self._seen]
        values = [f"the parameter {key}" for key, value in self.parameters.items() if now.parameters[key] != value]
        return [*files, *new, *values]


def _is_source(path: str) -> bool:
    """Whether a file, relative to the root, is code: this package's modules, listings of them, and notebooks."""
    if path.startswith(("notebooks/", "data/code/")):
        return True
    return path.startswith("replication/") and path.endswith(".py")


@functools.cache
def digest_of(path: Path) -> str:
    """DVC's hash of a file or folder as it is now; computed once a process."""
    return _digest(path, {}, {})


def _digest(path: Path, known: dict[str, tuple], now: dict[str, tuple]) -> str:
    """DVC's hash of a file, or of a folder: the MD5 of its listing, with `.dir` behind it."""
    if path.is_file():
        return _file_digest(path, known, now)
    if not path.is_dir():
        raise InputError(f"{path} does not exist, but the stage depends on it")
    listing = []
    for folder, names, files in os.walk(path):
        names[:] = sorted(set(names) - IGNORED)
        for name in files:
            if not name.endswith(".pyc"):
                file = Path(folder) / name
                listing.append({"md5": _file_digest(file, known, now), "relpath": file.relative_to(path).as_posix()})
    listing.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(listing).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _file_digest(path: Path, known: dict[str, tuple], now: dict[str, tuple]) -> str:
    status, key = path.stat(), path.as_posix()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
    if key in known and known[key][:3] == stamp:
        now[key] = known[key]
        return known[key][3]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    now[key] = (*stamp, digest)
    return digest


def _source_digest(source: str, known: dict[str, tuple], now: dict[str, tuple]) -> None:
    """Digest a listed source; of a notebook what it executes, since an editor saves it whenever it likes."""
    if not source.endswith(".ipynb"):
        _file_digest(Path(source), known, now)
        return
    status = Path(source).stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
    same = source in known and known[source][:3] == stamp
    now[source] = known[source] if same else (*stamp, notebook_code.digest(source, notebook_code.GIVEN.get(source, ())))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
