"""Which folders of photos are no longer what was packed from them.

DVC watches what dvc.yaml names, and a profile of drawn faces has no folder that could be named there. So packing
remembers the names, sizes and times of its files in `.state/sources`, outside of every output: a file that was only
touched or copied anew changes nothing. `make repro` asks before it calls `dvc repro`, and forces the stages at fault.
"""

from __future__ import annotations

import json
from pathlib import Path

from replication import paths
from replication.atomic import write_json
from replication.config import Parameters
from replication.data.photo_listing import Stamps, changes_since, input_stamps
from replication.errors import InputError


def _remembered_path(dataset: str) -> Path:
    return paths.SOURCES / f"{dataset}.json"


def remember_sources(dataset: str, store_sha256: str, stamps: dict[str, Stamps]) -> None:
    """Keep what the files of a data set looked like when its store was packed."""
    write_json(_remembered_path(dataset), {"store": store_sha256, "stamps": stamps})


def _remembered(dataset: str, store_sha256: str) -> dict[str, Stamps] | None:
    """The stamps of the store's files; None if they are those of another store, or not known here."""
    try:
        kept = json.loads(_remembered_path(dataset).read_text(encoding="utf-8"))
        if kept["store"] != store_sha256:
            return None
        return {kind: {name: tuple(stamp) for name, stamp in stamps.items()} for kind, stamps in kept["stamps"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # files are read instead


def changed_sources(parameters: Parameters) -> dict[str, str]:
    """Stage (data@<data set>) -> a sentence on what was changed, for every set whose photos were.

    A set without a store is left to DVC, and a folder that is not there leaves the store as it is: results can be
    looked at without the photos.
    """
    changed = {}
    for dataset, data in parameters.data.items():
        store = paths.store(dataset)
        if data.source != "photos" or not (store / "store.json").is_file():
            continue
        if not (store / "manifest.csv").is_file():
            # DVC would bring an earlier packing back from its cache, whatever has become of the photos since.
            if Path(data.folder).is_dir():
                changed[f"data@{dataset}"] = f"{data.folder}: takes the place of drawn faces for {dataset}"
            continue
        try:
            digest = json.loads((store / "store.json").read_text(encoding="utf-8"))["sha256"]
        except (OSError, ValueError, KeyError):
            continue
        inputs = {
            "folder": Path(data.folder),
            "table": Path(data.table) if data.table else None,
            "parsing_folder": Path(data.parsing_folder) if data.parsing_folder else None,
        }
        try:
            now = input_stamps(**inputs)
        except InputError:
            continue
        before = _remembered(dataset, digest)
        if now == before:
            continue
        if changes := changes_since(store, now, before, **inputs):
            changed[f"data@{dataset}"] = f"{data.folder}: {', '.join(changes)} since it was packed for {dataset}"
        else:
            remember_sources(dataset, digest, now)
    return changed
