"""Which files of a folder belong to a set of photos, masks or label maps: one walk for all of them.

Hidden files and folders, and what systems leave behind, are no part of a set. Links are followed. What cannot be read
is listed all the same, so that it is missed by name and not silently.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from replication.errors import InputError

_LEFT_BEHIND = frozenset(
    {
        "__macosx",  # archives made on macOS
        "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",  # Windows
        "@eadir", "@tmp", "#recycle", "#snapshot",  # network storage
        "lost+found",  # the root of a disk
    }
)  # fmt: skip

Stamps = dict[str, tuple[int, int]]
"""Name relative to a folder, with forward slashes -> size in bytes and time of modification in nanoseconds."""

UNREADABLE = (-1, -1)
"""The stamp of a file that cannot be opened, and of a link to nothing."""


def is_odd(name: str) -> bool:
    """Whether a file or folder is hidden, or what systems leave in folders and archives; such are no part of a set."""
    return name.startswith(".") or name.casefold() in _LEFT_BEHIND


def files_below(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(name relative to the folder, entry) of the files with these ends in a folder and its subfolders, in no order.

    A linked folder is walked like another. A link to nothing is among the files if its name has one of the ends, or no
    dot: then it may have been a folder. `folder` itself may be hidden: it was named.

    Raises:
        InputError: a folder cannot be listed, or a link leads back to a folder that it lies in.
    """
    yield from _walk(folder, "", suffixes, {})


def _walk(
    here: Path, within: str, suffixes: tuple[str, ...], above: Mapping[tuple[int, int], Path]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """above: device and inode of the folders that `here` lies in, itself aside -> their paths."""
    try:
        status = here.stat()
        entries = list(os.scandir(here))
    except OSError as error:
        raise InputError(f"folder {here} cannot be read ({error.strerror})") from error
    own = (status.st_dev, status.st_ino)
    if own in above:
        raise InputError(f"folder {here} is a link back to {above[own]}, a folder that it lies in; remove the link")
    for entry in entries:
        if is_odd(entry.name):
            continue
        try:
            is_folder = entry.is_dir()
            exists = is_folder or os.path.exists(entry.path) if entry.is_symlink() else True
        except OSError:  # a link that leads to itself
            is_folder = exists = False
        if is_folder:
            yield from _walk(Path(entry.path), f"{within}{entry.name}/", suffixes, {**above, own: here})
        elif entry.name.lower().endswith(suffixes) or not (exists or "." in entry.name):
            yield f"{within}{entry.name}", entry


def stamps_of(folder: Path, suffixes: tuple[str, ...]) -> Stamps:
    """The files of `files_below` with their stamps, sorted by name; `UNREADABLE` for what cannot be opened."""
    found: Stamps = {}
    for name, entry in files_below(folder, suffixes):
        try:
            status = entry.stat()
            readable = stat.S_ISREG(status.st_mode) and os.access(entry.path, os.R_OK)
        except OSError:
            readable = False
        found[name] = (status.st_size, status.st_mtime_ns) if readable else UNREADABLE
    return dict(sorted(found.items()))


def why_unreadable(path: Path) -> str:
    """Why a file has the stamp `UNREADABLE`, in words: "a link to nothing"."""
    if path.is_symlink() and not os.path.exists(path):
        return "a link to nothing"
    return "no permission" if path.is_file() else "not a file"


def told_unreadable(folder: Path, names: list[str], noun: str) -> str:
    """A clause on files of a folder that cannot be read, at least one: the first by name, and how many there are.

    noun: what one of them is ("photo").
    """
    more = f"; the first of {len(names):,} such {noun}s" if len(names) > 1 else ""
    path = folder / names[0]
    return f"{noun} {path} cannot be read ({why_unreadable(path)}{more})"


def refuse_unreadable(folder: Path, names: list[str], noun: str, mend: str) -> None:
    """Raise InputError if there are names of files that cannot be read. mend: what the user can do, as a clause."""
    if names:
        raise InputError(f"{told_unreadable(folder, names, noun)}; {mend}")
