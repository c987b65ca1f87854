"""What decides the result of each kind of stage, as files: `python -m replication code` writes data/code/<stage>.json.

A stage of dvc.yaml depends on its own file there instead of on some seventy sources. The file changes when a source in
the stage's closure does, comments aside, so that an edit re-runs what depends on it and a comment re-runs nothing; and
dvc.lock, which DVC reads and writes at every stage, stays small.

A stage's notebook is in its list too, by what it executes (`graph.notebook_code`), with what it imports: the pictures
that it draws follow from that. Trainings alone leave out what their notebook merely draws with: where their checkpoints
are gone, another colour would train for days. Their pages keep the look of the day on which they were trained; the
same curves are drawn anew by the stage `plots`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from replication.atomic import atomic_folder, write_json
from replication.graph.closure import PACKAGE, files, without_comments
from replication.graph.notebook_code import GIVEN, digest, imported
from replication.graph.roots import (
    claim_roots,
    evaluation_roots,
    feature_methods,
    figure_roots,
    inspection_roots,
    part_roots,
    plot_roots,
    table_roots,
)
from replication.methods import ONLY_PART, Method, Part
from replication.methods.registry import methods

FOLDER = Path("data/code")


def path_of(group: str) -> str:
    """The file of a kind of stage, such as "masks" -> "data/code/masks.json"."""
    return (FOLDER / f"{group}.json").as_posix()


def stage_group(one: Method, part: Part) -> str:
    """The stage of a part in dvc.yaml without the run: train_SYSTEM, train_SYSTEM_PART; SYSTEM_PART per data set."""
    if part.per == "dataset":
        return f"{one.name}_{part.name}"
    return f"train_{one.name}" + ("" if part.name == ONLY_PART else f"_{part.name}")


def sources() -> dict[str, tuple[str, ...]]:
    """Kind of stage -> the files that decide its result, relative to the root of the checkout.

    Raises:
        InputError: a notebook of the pipeline is missing or cannot be read.
    """
    declared = _declared_data()
    data = ["replication.data.settings"]
    found = {
        "data": _drawn("01_data", ["replication.stages.faces", *data]),
        "masks": _drawn("02_masks", ["replication.stages.holes", *data]),
    }
    for one in methods().values():
        for part in one.parts:
            trained = () if part.per == "dataset" else (_notebook("03_train"),)
            found[stage_group(one, part)] = (*files(part_roots(one, part)), *trained)
        if one.inpaints:
            measured = _drawn("04_evaluate", evaluation_roots(one, feature_methods()))
            found[f"evaluate_{one.name}"] = (*measured, _PAPER_SETS)
    return found | {
        "tables": (*_drawn("06_tables", table_roots(["replication.stages.tables"])), *declared),
        "figures": (*_drawn("07_figures", figure_roots()), *declared),
        "claims": (*_drawn("08_claims", claim_roots("replication.stages.claims")), *declared),
        "inspect": _drawn("05_inspect", inspection_roots()),
        "plots": files(plot_roots()),
        "costs": files(["replication.stages.costs"]),
        "site": (*files(table_roots(claim_roots("replication.stages.site"))), *declared),
    }


_PAPER_SETS = "replication/papers/datasets.csv"  # decides whether numbers may stand beside the papers'


def _notebook(name: str) -> str:
    return f"notebooks/{name}.ipynb"


def _drawn(notebook: str, roots: Iterable[str]) -> tuple[str, ...]:
    """The files of a stage whose notebook shows its result: of the result, of the pictures, and the notebook."""
    path = _notebook(notebook)
    return (*files([*roots, *imported(path)]), path)


def write_code(folder: Path = FOLDER) -> dict[str, int]:
    """Write the file of every kind of stage: {path: SHA-256}; kind -> how many files decide it."""
    known: dict[str, str] = {}
    found = sources()
    with atomic_folder(folder) as made:
        for group, paths in found.items():
            write_json(made / f"{group}.json", listing(paths, known))
    return {group: len(paths) for group, paths in found.items()}


def listing(paths: Iterable[str], known: dict[str, str] | None = None) -> dict[str, str]:
    """path -> SHA-256 of the file as it is, of Python's sources without their comments, of a notebook's code.

    known: digests that are known already, filled on the way.
    """
    known, paths = {} if known is None else known, list(paths)
    for path in paths:
        if path in known:
            continue
        if path.endswith(".ipynb"):
            known[path] = digest(PACKAGE.parent / path, GIVEN.get(path, ()))
        else:
            content = (PACKAGE.parent / path).read_bytes()
            if path.endswith(".py"):
                content = without_comments(content.decode()).encode()
            known[path] = hashlib.sha256(content).hexdigest()
    return {path: known[path] for path in sorted(paths)}


def listed_sources(path: str | Path) -> dict[str, str]:
    """The content of one of these files; empty for a path that is none of them."""
    path = Path(path)
    if path.parent != FOLDER or not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def changed_sources(path: str | Path) -> list[str]:
    """The sources in one of these files that are no longer as it says; those that are older than it are not read."""
    was = listed_sources(path)
    written = Path(path).stat().st_mtime_ns if was else 0
    younger = {name for name in was if not _is_older(PACKAGE.parent / name, written)}
    now = listing(name for name in younger if (PACKAGE.parent / name).is_file())
    return sorted(name for name in younger if now.get(name) != was[name])


def _is_older(path: Path, written: int) -> bool:
    return path.is_file() and path.stat().st_mtime_ns < written


def _declared_data() -> tuple[str, ...]:
    """Data files that tables and pages read: what papers print, and which runs measure it."""
    found = [*PACKAGE.glob("papers/**/*.csv"), *PACKAGE.glob("methods/*/*.csv")]
    return tuple(sorted(path.relative_to(PACKAGE.parent).as_posix() for path in found))
