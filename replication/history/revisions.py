"""Results, parameters and data hashes as they were at a git revision, or as they are in the workspace.

Metrics, `params.yaml` and `dvc.lock` come from git. Parameters are those that the results were made with, as dvc.lock
has them: `params.yaml` may have been edited since. Per-image results and trained models are not in git: those of a
revision come out of DVC's cache (or its remote, if one is configured and answers), those of the workspace from
`data/results` and `data/models`. Per-image results that dvc.lock names in vain are looked for by their numbers
(`cached_results`): a clone that made them again has them under another hash.
"""

from __future__ import annotations

import functools
import json
import logging
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from replication import paths
from replication.errors import InputError
from replication.graph.stages import Stage, expand_stages
from replication.history.cached_results import buckets, fetch_equal
from replication.history.commit import CODE, git_reason
from replication.yaml_files import parse_yaml

WORKSPACE = "workspace"
_LOCK = "dvc.lock"
_PIPELINE = "dvc.yaml"
_PARAMETERS = "params.yaml"


class MissingResults(Exception):
    """Results or models that cannot be had; the message says why, and `mend` how to get them where that is long."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class Mixed(str):
    """The values of a parameter with which different stages were run, in words: "64 (train@full), 32 (30 stages)"."""

    def __new__(cls, values: Iterable[tuple[Any, list[str]]]) -> Mixed:
        def who(stages: list[str]) -> str:
            return ", ".join(stages) if len(stages) <= 3 else f"{len(stages)} stages"

        return super().__new__(cls, ", ".join(f"{json.dumps(value)} ({who(stages)})" for value, stages in values))


class Revision:
    """A state of the checkout at `root`. Use it as a context manager: what it fetched is removed at the end.

    name: as the user gave it. commit: the full hash, None for the workspace.
    """

    def __init__(self, root: Path, name: str, commit: str | None) -> None:
        self.root = root
        self.name = name
        self.commit = commit
        self._fetched: Path | None = None
        self._absent: set[Path] = set()  # what could not be fetched, so that it is tried once

    def __enter__(self) -> Revision:
        return self

    def __exit__(self, *error: object) -> None:
        if self._fetched is not None:
            shutil.rmtree(self._fetched, ignore_errors=True)
            self._fetched = None

    def __str__(self) -> str:
        if self.commit is None or self.commit.startswith(self.name):
            return self.name if self.commit is None else self.commit[:7]
        return f"{self.name} ({self.commit[:7]})"

    @property
    def place(self) -> str:
        """The same inside a sentence."""
        return "the workspace" if self.commit is None else str(self)

    def read(self, path: str | Path) -> bytes | None:
        """A file's bytes, None if there is none. `path` is relative to the root."""
        if self.commit is None:
            file = self.root / path
            return file.read_bytes() if file.is_file() else None
        run = _git(self.root, "cat-file", "blob", f"{self.commit}:./{Path(path).as_posix()}", check=False)
        return run.stdout if run.returncode == 0 else None

    def runs(self) -> list[str]:
        """The runs that have a metrics file.

        Raises:
            InputError: there is none.
        """
        if self.commit is None:
            names = [path.stem for path in (self.root / paths.METRICS).glob("*.json")]
        else:
            listed = _git(self.root, "ls-tree", "--name-only", "-z", self.commit, f"{paths.METRICS.as_posix()}/")
            files = [Path(name) for name in listed.stdout.decode().split("\0")]
            names = [path.stem for path in files if path.suffix == ".json"]
        if not names:
            raise InputError(
                f"{self.place} has no results: {paths.METRICS.as_posix()} holds no metrics file there "
                "(`dvc repro` measures; `git log -- reports/metrics` lists the revisions that have some)"
            )
        return sorted(names)

    def metrics(self, run: str) -> dict[str, Any]:
        """The metrics file of a run: {bucket: {metric: value}, ..., "made_by": [{...}]}.

        Raises:
            InputError: it is not JSON, or not a metrics file. Values are not checked: NaN comes through.
        """
        where = f"{(paths.METRICS / run).as_posix()}.json in {self.place}"
        try:
            content = json.loads(self.read(paths.METRICS / f"{run}.json") or b"")
        except ValueError as error:
            raise InputError(f"{where} is not valid JSON ({error})") from error
        if not isinstance(content, dict) or not buckets(content):
            raise InputError(f"{where} is not a metrics file: it needs an object of metrics under each bucket")
        return content

    @functools.cached_property
    def written(self) -> dict[str, Any]:
        """`params.yaml` with dotted keys ("evaluation.batch_size"); empty if there is none."""
        return flatten(self._yaml(_PARAMETERS))

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """Parameters that the results were made with, by dotted keys.

        Where a stage depends on one, its value in `dvc.lock`; a `Mixed` where stages were run with different ones; none
        where the stage was never run. Else that of `params.yaml`: what no stage depends on, such as the device,
        changes no result.
        """
        stages = self._stages()
        recorded = self._recorded_parameters(stages)
        if not recorded:
            return self.written
        sections = {key for parameters in recorded.values() for key in parameters}
        sections |= {key for stage in (stages or {}).values() for key in stage.params}
        made = {
            key: value
            for key, value in self.written.items()
            if not any(key == section or key.startswith(f"{section}.") for section in sections)
        }
        values: dict[str, dict[str, tuple[Any, list[str]]]] = {}
        for stage, parameters in recorded.items():
            for key, value in flatten(parameters).items():
                values.setdefault(key, {}).setdefault(json.dumps(value), (value, []))[1].append(stage)
        for key, found in values.items():
            made[key] = next(iter(found.values()))[0] if len(found) == 1 else Mixed(found.values())
        return made

    def _stages(self) -> dict[str, Stage] | None:
        """The stages of dvc.yaml; None if it has none or is half-edited: then it has no say in what was run."""
        try:
            return expand_stages(self._yaml(_PIPELINE), self._yaml(_PARAMETERS)) or None
        except InputError:
            return None

    def _recorded_parameters(self, stages: Mapping[str, Stage] | None) -> dict[str, dict[str, Any]]:
        """Stage -> the parameters it was last run with, of the stages of dvc.lock that dvc.yaml still has, and of
        removed runs whose metrics file is still there. A stage that was only renamed has no say."""
        locked = self._yaml(_LOCK).get("stages") or {}
        kept = {name.partition("@")[2] for name in stages or ()}

        def counts(name: str) -> bool:
            if stages is None or name in stages:
                return True
            key = name.partition("@")[2]
            return bool(key and key not in kept and self.read(paths.METRICS / f"{key}.json"))

        return {
            name: stage["params"].get(_PARAMETERS) or {}
            for name, stage in locked.items()
            if isinstance(stage.get("params"), dict) and counts(name)
        }

    @functools.cached_property
    def outs(self) -> dict[str, str]:
        """Path -> hash of every output in `dvc.lock`; empty if there is none."""
        stages = self._yaml(_LOCK).get("stages") or {}
        found = (out for stage in stages.values() for out in stage.get("outs") or [])
        return {out["path"]: str(out.get("md5", "")) for out in found}

    @property
    def prepared(self) -> dict[str, str]:
        """Path -> hash of the outputs under `data/prepared`."""
        return self.digests_below(paths.PREPARED)

    @functools.cached_property
    def code(self) -> str:
        """The last commit that touched code or parameters, with `+changes` for a workspace that differs from it."""
        commit = _git(self.root, "log", "-1", "--format=%h", self.commit or "HEAD", "--", *CODE).stdout.decode().strip()
        if self.commit is None and _git(self.root, "status", "--porcelain", "--", *CODE).stdout:
            commit += "+changes"
        return commit or "none"

    def digests_below(self, folder: Path) -> dict[str, str]:
        """Path -> hash in `dvc.lock` of the outputs that lie in a folder, or are it."""
        inside = f"{folder.as_posix()}/"
        return {path: digest for path, digest in self.outs.items() if f"{path}/".startswith(inside)}

    def results(self, run: str) -> list[Path]:
        """Evaluation folders of a run, one a seed, in the order of the seeds.

        Raises:
            MissingResults: they are not there.
        """
        path = paths.RESULTS / run
        if self.commit is None:
            folder = self.root / path
        else:
            try:
                folder = self._fetch(path)
            except MissingResults:
                if (folder := self._equal(run)) is None:
                    raise
        found = _evaluations(folder)
        if not found:
            raise MissingResults(
                f"{path.as_posix()} of the workspace holds no results; `dvc checkout` or `dvc repro` brings them"
            )
        return found

    def models(self, name: str) -> Path:
        """A folder like data/models, in which every training has at least its file `name`.

        Raises:
            MissingResults: a part of it is not in DVC's cache, or nothing was trained.
        """
        if self.commit is None:
            return self.root / paths.MODELS
        target = self._temporary() / paths.MODELS
        try:
            for out in self.digests_below(paths.MODELS):
                for file in self._files.find(out):
                    if Path(file).name == name:
                        (target / Path(file).relative_to(paths.MODELS)).parent.mkdir(parents=True, exist_ok=True)
                        self._files.get_file(file, str(target / Path(file).relative_to(paths.MODELS)))
        except Exception as error:  # as in `_fetch`: DVC documents none
            shutil.rmtree(target, ignore_errors=True)
            raise MissingResults(f"models of {self.place} are not in DVC's cache ({error})") from error
        return target

    def _temporary(self) -> Path:
        if self._fetched is None:
            self._fetched = Path(tempfile.mkdtemp(prefix="replication-diff-"))
        return self._fetched

    def _fetch(self, path: Path) -> Path:
        """A copy of an output of this revision, in a temporary folder."""
        target = self._temporary() / path.name
        if path not in self._absent and not target.exists():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._files.get(path.as_posix(), str(target), recursive=True)
            except Exception as error:  # DVC documents no exceptions here; without results the diff still works
                shutil.rmtree(target, ignore_errors=True)
                logging.getLogger(__name__).debug("fetching %s: %r", path, error)
        if not _evaluations(target):
            self._absent.add(path)
            raise MissingResults(f"per-image results of {self.place} are not in DVC's cache", self._hint())
        return target

    def _equal(self, run: str) -> Path | None:
        """A copy of per-image results that were made here by another run with the same numbers; None without any."""
        target = self._temporary() / "equal" / run
        if target in self._absent:
            return None
        if target.exists() or fetch_equal(self.root, run, buckets(self.metrics(run)), target):
            return target
        self._absent.add(target)
        return None

    def _hint(self) -> str:
        """How to get results of a revision that are not in the cache."""
        commit, root = (self.commit or "")[:7], shlex.quote(str(self.root))
        again = (
            f"to make them again: `git worktree add ../at-{commit} {commit}`, and there `dvc cache dir --local "
            f'"$(cd {root} && dvc cache dir)"` and `make repro` (photos of your own have to be linked there); where '
            "that gives other numbers, as another processor does, commit them there and compare with that commit"
        )
        try:
            from dvc.config import Config

            remote = bool(Config(str(self.root / ".dvc"))["remote"])
        except Exception:  # as in `_fetch`: a hint is not worth a failure
            remote = False
        return f"`dvc pull` in a checkout of it brings what the remote has; {again}" if remote else again

    @functools.cached_property
    def _files(self) -> Any:
        from dvc.api import DVCFileSystem

        logging.getLogger("dvc").setLevel(logging.ERROR)
        logging.getLogger("dvc_data").setLevel(logging.ERROR)
        return DVCFileSystem(url=str(self.root), rev=self.commit)

    def _yaml(self, path: str) -> dict[str, Any]:
        text = self.read(path)
        return parse_yaml(text, f"{path} in {self.place}") if text and text.strip() else {}


def open_revision(name: str, root: str | Path = ".") -> Revision:
    """The state `name` of the checkout at `root`: a git revision, or "workspace" for the files as they are.

    Raises:
        InputError: `root` is not in a git repository, or the revision does not exist.
    """
    root = Path(root).resolve()
    inside = _git(root, "rev-parse", "--is-inside-work-tree", check=False)
    if inside.stdout.strip() != b"true":
        raise InputError(f"there are no revisions to compare: git says of {root}: {git_reason(inside.stderr)}")
    run = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)
    if run.returncode == 0:
        return Revision(root, name, run.stdout.decode().strip())
    if name == WORKSPACE:
        return Revision(root, name, None)
    shallow = _git(root, "rev-parse", "--is-shallow-repository", check=False)
    if shallow.stdout.strip() == b"true":
        raise InputError(
            f"revision {name!r} is not in this clone, which is shallow (made with --depth, as in most CI systems); "
            "`git fetch --unshallow` brings the whole history, `git fetch origin COMMIT` a single commit of it"
        )
    raise InputError(
        f"revision {name!r} does not exist here; give a commit, a tag, a branch, or {WORKSPACE!r} (see `git log`)"
    )


def made_by(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The block `made_by` of a metrics file; empty if it has none."""
    blocks = metrics.get("made_by")
    return blocks[0] if isinstance(blocks, list) and blocks and isinstance(blocks[0], dict) else {}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}, "c": [2]} -> {"a.b": 1, "c": [2]}. An empty mapping stays as a value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def in_one_layout(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[tuple[dict[str, Any], dict[str, Any]], str]:
    """Parameters of two revisions, by dotted keys, under the names of today, and a sentence on what has none.

    Revisions from before the sections `methods` and `runs` had a section for each system at the top, `experiments` and
    `baselines`, and `run` for what is `compute` now. Where one side is such a revision, its keys get their names of
    today as far as these follow from the other side; keys without a counterpart are left out, and the sentence counts
    them. Else both come back as they are, with no sentence.
    """
    flat = [dict(old), dict(new)]
    older = [any(key.startswith(("experiments.", "baselines.")) for key in side) for side in flat]
    if older[0] == older[1]:
        return (flat[0], flat[1]), ""
    before, after = flat[older.index(True)], flat[older.index(False)]
    systems = {key.split(".")[1] for key in after if key.startswith("methods.")}
    runs = {key.split(".")[2]: key.split(".")[1] for key in after if key.startswith("runs.") and key.count(".") > 1}

    def today(key: str) -> str:
        first, _, rest = key.partition(".")
        run = rest.partition(".")[0]
        if first in ("experiments", "baselines") and run in runs:
            return f"runs.{runs[run]}.{rest}"
        if first == "run":
            return f"compute.{rest}"
        return f"methods.{key}" if first in systems else key

    renamed = {today(key): value for key, value in before.items()}
    shared = renamed.keys() & after.keys()
    sentence = (
        f"written in another layout since: {len(renamed) - len(shared)} keys of the older one and "
        f"{len(after) - len(shared)} of the newer one have no counterpart, and are not compared"
    )
    sides = [{key: value for key, value in side.items() if key in shared} for side in (renamed, after)]
    return (sides[0], sides[1]) if older[0] else (sides[1], sides[0]), sentence


def _evaluations(folder: Path) -> list[Path]:
    """The folder itself if it is one evaluation, else its `seed_<k>` folders in the order of k."""
    if (folder / "per_image.parquet").is_file():
        return [folder]
    seeds = [path for path in folder.glob("seed_*") if path.name[5:].isdecimal()]
    return sorted((p for p in seeds if (p / "per_image.parquet").is_file()), key=lambda p: int(p.name[5:]))


def _git(root: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=check)
    except FileNotFoundError as error:
        raise InputError("git is not installed, so there are no revisions to compare") from error
    except subprocess.CalledProcessError as error:
        raise InputError(f"git {arguments[0]} failed: {error.stderr.decode(errors='replace').strip()}") from error
