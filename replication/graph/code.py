"""What decides the result of each kind of stage, as files: `python -m replication code` writes data/code/<stage>.json.

A stage of dvc.yaml depends on its own file there instead of on some seventy sources. The file changes when a source in
the stage's closure does, comments aside, so that an edit re-runs what depends on it and a comment re-runs nothing; and
dvc.lock, which DVC reads and writes at every stage, stays small.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from replication.atomic import atomic_folder, write_json
from replication.graph.closure import PACKAGE, files, without_comments
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
    """Kind of stage -> the files that decide its result, relative to the root of the checkout."""
    declared = _declared_data()
    found = {
        "data": files(["replication.stages.faces", "replication.data.settings"]),
        "masks": files(["replication.stages.holes", "replication.data.settings"]),
    }
    for one in methods().values():
        found |= {stage_group(one, part): files(part_roots(one, part)) for part in one.parts}
        if one.inpaints:
            found[f"evaluate_{one.name}"] = files(evaluation_roots(one, feature_methods()))
    return found | {
        "tables": (*files(table_roots(["replication.stages.tables"])), *declared),
        "figures": (*files(figure_roots()), *declared),
        "claims": (*files(claim_roots("replication.stages.claims")), *declared),
        "inspect": files(inspection_roots()),
        "plots": files(plot_roots()),
        "costs": files(["replication.stages.costs"]),
        "site": (*files(table_roots(claim_roots("replication.stages.site"))), *declared),
    }


def write_code(folder: Path = FOLDER) -> dict[str, int]:
    """Write the file of every kind of stage: {path: SHA-256}; kind -> how many files decide it."""
    known: dict[str, str] = {}
    found = sources()
    with atomic_folder(folder) as made:
        for group, paths in found.items():
            write_json(made / f"{group}.json", listing(paths, known))
    return {group: len(paths) for group, paths in found.items()}


def listing(paths: Iterable[str], known: dict[str, str] | None = None) -> dict[str, str]:
    """path -> SHA-256 of the file as it is, of Python's sources without their comments.

    known: digests that are known already, filled on the way.
    """
    known, paths = {} if known is None else known, list(paths)
    for path in paths:
        if path not in known:
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
