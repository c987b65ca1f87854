"""Which files a store of photos is made of, and whether they are what they were when it was packed.

Folders are compared like git compares a working tree: by size and time of modification as they were seen last, and by
content only where those differ.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from replication.data.folder_listing import UNREADABLE, Stamps, stamps_of
from replication.errors import InputError, counted
from replication.processors import usable_processors

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(paths: Iterable[Path], workers: int = 0) -> list[str]:
    """`file_hash` of many files, in their order; threads do, as hashing and reading leave Python free."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(pool.map(file_hash, paths, chunksize=16))


def names_hash(names: Iterable[str]) -> str:
    """sha256 of a list: the sorted names, each on a line of its own."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(names)).encode()).hexdigest()


def input_stamps(folder: Path, table: Path | None, parsing_folder: Path | None) -> dict[str, Stamps]:
    """The files that decide a store: keys photos, maps, table. Raises InputError if one of the three is missing."""
    stamps = {"photos": find_photos(folder), "maps": {}, "table": {}}
    if parsing_folder is not None:
        if not parsing_folder.is_dir():
            raise InputError(f"folder of parsing maps {parsing_folder} does not exist")
        maps = stamps_of(parsing_folder, (".png",))
        # One that cannot be read is told of the photo that lacks it, see `photos.find_parsing`.
        stamps["maps"] = {name: stamp for name, stamp in maps.items() if stamp != UNREADABLE}
    if table is not None:
        if not table.is_file():
            raise InputError(f"photo table {table} does not exist")
        stamps["table"] = {table.name: (table.stat().st_size, table.stat().st_mtime_ns)}
    return stamps


def find_photos(folder: Path) -> Stamps:
    """All photos of a folder and its subfolders, sorted by name; those that cannot be read are `UNREADABLE`.

    Raises InputError if there are none.
    """
    if not folder.is_dir():
        raise InputError(f"photo folder {folder} does not exist")
    found = stamps_of(folder, SUFFIXES)
    if not found:
        raise InputError(f"photo folder {folder} holds no images ({', '.join(SUFFIXES)})")
    return found


def changes_since(
    store: Path,
    now: Mapping[str, Stamps],
    before: Mapping[str, Stamps] | None,
    *,
    folder: Path,
    table: Path | None,
    parsing_folder: Path | None,
) -> list[str]:
    """What differs from the photos that a store was packed from, each in a few words; empty if nothing does.

    now, before: `input_stamps` now and when the store was packed, if that is known. Files whose stamps differ
    (all, if nothing is known) are read and held against the store's manifest.
    """
    source = json.loads((store / "store.json").read_text(encoding="utf-8"))["source"]
    with (store / "manifest.csv").open(encoding="utf-8", newline="") as file:
        manifest = list(csv.DictReader(file))
    changes: list[str] = []

    def note(names: Iterable[str], noun: str, what: str) -> None:
        """`what` is said of several: "were changed"."""
        if names := sorted(names):
            said = what if len(names) > 1 else what.replace("were", "was").replace("are ", "is ")
            changes.append(f"{counted(len(names), noun)} {said} ({names[0]}{', ...' if len(names) > 1 else ''})")

    if table is not None and file_hash(table) != source.get("table_sha256"):
        changes.append(f"the table {table} was changed")
    packed = {line["file"] for line in manifest}
    used = packed | set(source["photos_skipped_as_corrupt"])
    photos, stamps = now["photos"], (before or {}).get("photos")
    if table is None and names_hash(photos) != source["photos_found_sha256"]:
        if stamps is None:
            changes.append(f"{counted(len(photos), 'photo')} instead of {source['photos_found']:,}, or others")
        else:
            note(set(photos) - set(stamps), "photo", "were added")
            used |= set(stamps)
    unreadable = {name for name, stamp in photos.items() if stamp == UNREADABLE}
    note((used - set(photos)) | (packed & unreadable), "photo", "are gone")
    if table is None and stamps is not None:  # a photo that was not chosen has no hash, but may be chosen now
        others = set(photos) & set(stamps) - packed
        note({name for name in others if photos[name] != stamps[name]}, "unused photo", "were changed")
    hashes = {line["file"]: line["sha256"] for line in manifest}
    note(_changed_files(folder, hashes, photos, stamps), "photo", "were changed")
    if parsing_folder is not None:
        maps = {PurePosixPath(line["file"]).with_suffix(".png").as_posix(): line for line in manifest}
        hashes = {name: line.get("parsing_sha256", "") for name, line in maps.items()}
        note(set(hashes) - set(now["maps"]), "parsing map", "are gone")
        changed = _changed_files(parsing_folder, hashes, now["maps"], (before or {}).get("maps"))
        note(changed, "parsing map", "were changed")
    return changes


def _changed_files(folder: Path, hashes: Mapping[str, str], now: Stamps, before: Stamps | None) -> list[str]:
    """The files among `hashes` (name -> sha256 when packed) that are there with another content."""
    there = [name for name in hashes if now.get(name, UNREADABLE) != UNREADABLE]
    suspects = [name for name in there if before is None or before.get(name) != now[name]]
    found = file_hashes([folder / name for name in suspects], usable_processors())
    return [name for name, digest in zip(suspects, found, strict=True) if digest != hashes[name]]
