"""Zip and tar archives from outside, unpacked without trusting them.

The whole list of members is judged before the first byte is written: no absolute paths, no `..`, no links, devices or
encryption, no two members of one name, no more files and bytes than expected. What is unpacked goes to a temporary
folder that takes its name at the end, so the target is whole or absent.
"""

from __future__ import annotations

import contextlib
import errno
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from replication.atomic import remove_folder, replace_folder, replaced_folder, write_json
from replication.data.folder_listing import is_odd
from replication.downloads.file_checks import WrongFileError
from replication.downloads.progress import Progress
from replication.downloads.sources import Unpack
from replication.errors import InputError, counted

CARD = ".unpacked.json"
"""In each unpacked folder: from which archive (sha256) and how many files."""
MOST_FILES = 1_000_000
MOST_GROWTH = 200
"""Unpacked bytes per byte of the archive, at most; pictures do not shrink by much, label maps by up to 100 times."""
_SLACK = 16 << 20
_BLOCK = 1 << 20
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class _Member:
    """path: as in the archive, checked. open: its content as a stream."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


def _checked_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not name or "\x00" in name or "\\" in name or path.is_absolute() or ":" in name.split("/")[0]:
        raise WrongFileError(f"holds a member with the unsafe name {name!r}")
    if ".." in path.parts:
        raise WrongFileError(f"holds a member that leaves its folder, {name!r}")
    return path


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        path = _checked_path(info.orig_filename if "\x00" in info.orig_filename else info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise WrongFileError(f"holds a link or device, {info.filename!r}")
        if info.flag_bits & 1:
            raise WrongFileError(f"holds an encrypted member, {info.filename!r}")
        if not info.is_dir():
            yield _Member(path, info.file_size, lambda info=info: archive.open(info))


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        path = _checked_path(info.name)
        if not (info.isreg() or info.isdir()):
            raise WrongFileError(f"holds a link or device, {info.name!r}")
        if hasattr(tarfile, "data_filter"):
            tarfile.data_filter(info, "unpacked")  # the standard library's own judgement, on top of ours
        if info.isreg():
            yield _Member(path, info.size, lambda info=info: archive.extractfile(info))


@contextlib.contextmanager
def _members(path: Path, kind: str) -> Iterator[list[_Member]]:
    """All files of an archive, judged; WrongFileError if it is damaged or unsafe."""
    most_bytes = path.stat().st_size * MOST_GROWTH + _SLACK
    try:
        with zipfile.ZipFile(path) if kind == "zip" else tarfile.open(path) as archive:
            members: list[_Member] = []
            names: set[str] = set()
            total = 0
            for member in _zip_members(archive) if kind == "zip" else _tar_members(archive):
                name = str(member.path).casefold()
                if name in names:
                    raise WrongFileError(f"holds two members named {str(member.path)!r}")
                names.add(name)
                members.append(member)
                total += member.size
                if len(members) > MOST_FILES:
                    raise WrongFileError(f"holds more than {MOST_FILES:,} files")
                if total > most_bytes:
                    raise WrongFileError(f"would grow to more than {MOST_GROWTH} times its size")
            yield members
    except _DAMAGED as error:
        raise WrongFileError(f"is a damaged {kind} archive ({error})") from error


def _chosen(members: list[_Member], unpack: Unpack) -> list[tuple[_Member, PurePosixPath]]:
    """The files below the root, each with its path there."""
    root = PurePosixPath(unpack.root or ".")
    chosen = []
    for member in members:
        if not member.path.is_relative_to(root) or any(map(is_odd, member.path.parts)):
            continue
        inner = member.path.relative_to(root)
        if inner.parts and inner.parts[0] not in unpack.without:
            chosen.append((member, inner))
    where = f"below {unpack.root!r}" if unpack.root else "in it"
    if not chosen:
        raise WrongFileError(f"has no files {where}")
    if unpack.count is not None and len(chosen) != unpack.count:
        raise WrongFileError(f"has {counted(len(chosen), 'file')} {where}, not {unpack.count:,}")
    return chosen


def judge_archive(path: Path, kind: str, unpack: Unpack) -> None:
    """Raise WrongFileError if the list of members says that `unpack_archive` would; writes nothing."""
    with _members(path, kind) as members:
        _chosen(members, unpack)


def _write(member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    # "xb": a member never writes through what another one has left.
    with member.open() as source, target.open("xb") as out:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise WrongFileError(f"holds {str(member.path)!r} with more bytes than it says")
            out.write(block)
    if left:
        raise WrongFileError(f"holds {str(member.path)!r} with fewer bytes than it says")


def real_folder(target: Path) -> Path:
    """The folder itself where `target` is a link to one: there is the space, and only there can it be replaced."""
    return target.resolve() if target.is_symlink() and target.exists() else target


def check_replaceable(target: Path) -> None:
    """Raise InputError if `target` is a link that leads nowhere (to a disk that is not there), or a whole disk."""
    if target.is_symlink() and not target.exists():
        raise InputError(f"{target} is a link that leads nowhere; make the folder that it names, or remove the link")
    if real_folder(target).is_mount():
        raise InputError(f"{target} is a whole disk, whose name no other folder can take; make it a link to one on it")


def unfinished_folder(target: Path) -> Path:
    """Where a folder is filled before it takes its name. One process at a time fetches, so one name will do: what a
    killed process has left is known by it exactly. If `target` is a link, beside the folder that it names."""
    target = real_folder(target)
    return target.with_name(f".{target.name}.unfinished")


def clear_unfinished(target: Path) -> None:
    """Remove what a killed process has left of `target`, and nothing else."""
    remove_folder(unfinished_folder(target))
    remove_folder(replaced_folder(real_folder(target)))


@contextlib.contextmanager
def _filled(target: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `target` if all goes well and is removed if not."""
    target = real_folder(target)
    clear_unfinished(target)
    folder = unfinished_folder(target)
    folder.mkdir(parents=True)
    try:
        yield folder
        replace_folder(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack_archive(path: Path, kind: str, unpack: Unpack, target: Path, *, sha256: str) -> int:
    """Unpack a part of an archive into the folder `target`, which must not exist or is replaced at the end.

    If `target` is a link, the folder that it names is replaced, and the link stays.

    Args:
        path: the archive. kind: zip or tar (with any compression of the standard library).
        sha256: of the archive, for the folder's card.

    Returns:
        The number of files.

    Raises:
        WrongFileError: it is damaged or unsafe, or holds other files than expected; nothing is left behind.
        InputError: `target` is a link that leads nowhere, or a whole disk.
        OSError: the disk is full (ENOSPC, with the folder's name) or does not let us write.
    """
    check_replaceable(target)
    with _members(path, kind) as members:
        chosen = _chosen(members, unpack)
        shown = Progress(f"unpacking {path.name}", len(chosen), unit="files")
        try:
            with _filled(target) as folder:
                for done, (member, inner) in enumerate(chosen):
                    _write(member, folder / inner)
                    shown.show(done + 1)
                write_json(folder / CARD, {"archive": path.name, "sha256": sha256, "files": len(chosen)})
                os.sync()
        except (FileExistsError, NotADirectoryError) as error:
            raise WrongFileError(f"holds members that are both file and folder ({error.filename})") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
            raise
        finally:
            shown.end()
    return len(chosen)
