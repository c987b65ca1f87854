"""From a source's name to its checked files below data/raw: fetched, or put there by hand and checked the same way.

A target is whole or absent: bytes gather in `<name>.part`, are checked there, and take the target's name at the end;
archives unpack into a temporary folder. Every step can be killed and given again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from replication.atomic import sync, write_text
from replication.data.folder_listing import UNREADABLE, files_below, refuse_unreadable, stamps_of
from replication.data.photo_listing import SUFFIXES
from replication.downloads.archives import CARD, check_replaceable, judge_archive, unpack_archive
from replication.downloads.celeba_tables import has_people, join_table, names_people
from replication.downloads.celebamaskhq_labels import label_maps_state, make_label_maps
from replication.downloads.file_checks import HashRecord, WrongFileError, check_file
from replication.downloads.progress import size_text
from replication.downloads.sources import (
    Folder,
    JoinedTable,
    RemoteFile,
    Source,
    SplitTable,
    Unpack,
    check_consent,
    chosen_sources,
    load_sources,
)
from replication.downloads.transfer import PartialFile, Patience, PlaceError, transfer
from replication.errors import InputError, counted
from replication.processors import usable_processors

LOCK = ".download.lock"
BY_HAND = "put here by hand"
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


@contextlib.contextmanager
def _locked(raw: Path) -> Iterator[None]:
    """One process at a time fetches into `raw`; the lock is the operating system's and ends with the process."""
    raw.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(raw / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise InputError(f"{raw}: another process is fetching into this folder; let it end first") from error
    finally:
        os.close(descriptor)


def _by_hand(source: Source, file: RemoteFile) -> str:
    """Where a person gets a file: what is said for it, or every address."""
    manual = [str(place) for place in file.places if place.kind == "manual"]
    return " or ".join(manual or [str(place) for place in file.places])


def _obtain(source: Source, file: RemoteFile, raw: Path, consented: bool, patience: Patience, say: Callable) -> str:
    """Have one file in its place, checked; returns its SHA-256."""
    target, record = raw / file.path, HashRecord(raw)
    part = PartialFile(target)
    if target.is_dir():
        raise InputError(f"{target} is a folder, not a file; move it away and give the command again")
    if target.exists():
        try:
            found = check_file(target, file, record)
        except WrongFileError as error:
            raise InputError(f"{target} {error}; move it away and give the command again") from error
        except OSError as error:
            raise InputError(f"{target} cannot be read ({error.strerror})") from error
        record.add(file.path, found, target.stat().st_size, BY_HAND)
        part.remove()
        return found
    if not consented:
        raise InputError(
            f"{source.name}: its terms need your consent ({source.terms.rstrip('.')}; see {source.homepage}); if you "
            f"accept them, add {source.name} to the list `consent` in params.yaml, or put the file at {target} yourself"
        )
    content = f", or its content at {raw / file.unpack.to}," if file.unpack else ""
    reasons = []
    with part.opened():
        for place in file.places:
            if place.address is None:
                continue
            host = urlsplit(place.address).hostname
            say(f"{source.name}: {target.name} from {host}" + (f", {size_text(file.size)}" if file.size else ""))
            try:
                found = _from_place(place.address, part, file, record, patience)
            except (PlaceError, WrongFileError) as error:
                what = "what it sends " if isinstance(error, WrongFileError) else ""
                reasons.append(f"{host}: {what}{error}")
                continue
            # Recorded first: killed between the two, the complete part is found and compared with the record.
            record.add(file.path, found, part.length, place.address)
            os.replace(part.path, target)
            sync(target.parent)
            part.card_path.unlink(missing_ok=True)
            return found
    raise InputError(
        f"{source.name}: {target.name} could not be fetched ({'; '.join(reasons) or 'no place serves it directly'}); "
        f"try again later, or get it by hand from {_by_hand(source, file)}, put it at {target}{content} and "
        "give the command again"
    )


def _from_place(address: str, part: PartialFile, file: RemoteFile, record: HashRecord, patience: Patience) -> str:
    """Bring the part to its end from one place and check it; its SHA-256. What fails the check is not kept."""
    joined = part.length > 0
    while True:
        transfer(
            address, part, size=file.size, has_hash=file.has_whole_hash, patience=patience, name=Path(file.path).name
        )
        sync(part.path)
        try:
            found = check_file(part.path, file, record)
            if file.unpack is not None:
                judge_archive(part.path, file.kind, file.unpack)
            return found
        except WrongFileError:
            joined = joined or part.joined
            part.clear()
            if not joined:
                raise
            joined = False  # its pieces may have been of two versions: once more in one piece


def _count(folder: Path, suffix: str = "") -> int:
    """Files in a folder and below it, hidden ones and what systems leave there aside."""
    return sum(entry.is_file() for _, entry in files_below(folder, (suffix,)))


def _unpacked(unpack: Unpack, raw: Path) -> bool:
    """Whether the folder of an archive is there and whole; raises InputError if it is there in part, or cannot be."""
    folder = raw / unpack.to
    if not folder.exists():
        check_replaceable(folder)  # now: not after its archive has been fetched
        return False
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; move it away and give the command again")
    found = _count(folder)
    try:
        expected = json.loads((folder / CARD).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        expected = unpack.count  # put there by hand
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CARD} is damaged; move {folder} away and give the command again") from error
    if found and expected is not None and found != expected:
        raise InputError(f"{folder} has {counted(found, 'file')}, not {expected:,}; complete it, or move it away")
    if not found:
        check_replaceable(folder)
    return found > 0


def _reject(file: RemoteFile, raw: Path) -> str:
    """Forget an archive that only unpacking has shown to be bad; what to do now, as a clause."""
    record = HashRecord(raw)
    fetched = record.entries().get(file.path, {}).get("from") != BY_HAND
    if not file.has_whole_hash:
        record.remove(file.path)  # else the good one would be refused for another hash than this one's
    if not fetched:
        return "move it away and give the command again"
    (raw / file.path).unlink()
    return "and it was removed: give the command again to fetch it anew"


def _check_folder(source: Source, folder: Folder, raw: Path) -> None:
    path = raw / folder.path
    found = _count(path, folder.suffix) if path.is_dir() else 0
    if found != folder.count:
        has = f"has {found:,} of {folder.count:,} files" if found else "is missing"
        raise InputError(f"{source.name}: {path} {has} *{folder.suffix}; {folder.how}; then give the command again")


def write_split(table: SplitTable, raw: str | Path) -> Path:
    """Write the CSV `file,split` of a source below `raw`, unless one is there: a user's own table stays.

    Raises:
        InputError: the lists name a file twice, or the folder has too few files.
    """
    raw = Path(raw)
    path = raw / table.path
    if path.exists():
        return path
    if table.folder is not None:
        folder = raw / table.folder
        stamps = stamps_of(folder, SUFFIXES)
        refuse_unreadable(folder, [n for n, stamp in stamps.items() if stamp == UNREADABLE], "photo", "mend it")
        files = list(stamps)
        if len(files) <= table.last_are_test:
            found = counted(len(files), "image")
            raise InputError(f"{folder} has {found}; its last {table.last_are_test:,} are for testing")
        rows = [(name, "train") for name in files[: -table.last_are_test]]
        rows += [(name, "test") for name in files[-table.last_are_test :]]
    else:
        rows = []
        for split, name in (("train", table.train_list), ("test", table.test_list)):
            rows += [(line, split) for line in (raw / name).read_text(encoding="utf-8").split()]
        if len({name for name, _ in rows}) != len(rows):
            raise InputError(f"{raw / table.train_list} and {raw / table.test_list} name a file twice")
    write_text(path, "file,split\n" + "".join(f"{name},{split}\n" for name, split in rows))
    return path


def fetch_source(
    source: Source, raw: str | Path, *, consented: bool, patience: Patience | None = None, say: Callable = print
) -> None:
    """Have all of one source in place: fetch, check, unpack, make its table and its label maps. What is there already
    is checked.

    Args:
        raw: the folder data/raw. consented: whether the user has accepted its terms.
        say: gets a line at the beginning of each piece of work.

    Raises:
        InputError: something could not be had; the sentence says which file to put where by hand.
        OSError: the disk is full (ENOSPC); what has come is kept and resumed.
    """
    raw, patience = Path(raw), patience or Patience()
    for file in source.files:
        if file.unpack is not None and _unpacked(file.unpack, raw):
            if file.unpack.count is None and not (raw / file.unpack.to / CARD).exists():
                there = counted(_count(raw / file.unpack.to), "file")
                say(f"{source.name}: {raw / file.unpack.to} has {there}; how many there should be is not known")
            continue
        found = _obtain(source, file, raw, consented or not source.consent, patience, say)
        if file.unpack is not None:
            target = raw / file.unpack.to
            try:
                unpack_archive(raw / file.path, file.kind, file.unpack, target, sha256=found)
            except WrongFileError as error:
                raise InputError(f"{raw / file.path} {error}; nothing was unpacked, {_reject(file, raw)}") from error
    for folder in source.folders:
        _check_folder(source, folder, raw)
    if isinstance(source.table, JoinedTable):
        join_table(source.table, raw)
    elif source.table is not None:
        write_split(source.table, raw)
    if source.label_maps is not None:
        if label_maps_state(source.label_maps, raw) != "here":
            images = counted(source.label_maps.images, "image")
            say(f"{source.name}: label maps of {images} into {raw / source.label_maps.to}")
        make_label_maps(source.label_maps, raw, workers=usable_processors())


def _people_come_last(source: Source) -> bool:
    """Whether its table takes people from another source's list, which may be fetched in the same call."""
    return isinstance(source.table, JoinedTable) and source.table.mapping is not None


def _missing_people(source: Source, raw: Path, sources: dict[str, Source]) -> str:
    """A sentence if the table of a source had to be made without people: where they come from."""
    table = source.table
    if not isinstance(table, JoinedTable) or table.identities is None or has_people(table, raw):
        return ""
    if names_people(raw / table.path):
        return ""
    owners = [s.name for s in sources.values() if any(file.path == table.identities for file in s.files)]
    names = " ".join([*owners, source.name])
    return f", but {table.path} names no people: that takes `python -m replication download {names}`"


def download(
    names: Iterable[str],
    raw: str | Path,
    *,
    consent: Iterable[str] = (),
    patience: Patience | None = None,
    say: Callable = print,
    sources: dict[str, Source] | None = None,
) -> None:
    """Fetch several sources into `raw`; one that fails does not keep the others from being fetched.

    Args:
        consent: names of the sources whose terms the user accepts: the parameter of that name.
        sources: those that exist; by default the packaged ones.

    Raises:
        InputError: a name is unknown, a folder cannot be written, or a source could not be had.
    """
    raw, sources = Path(raw), load_sources() if sources is None else sources
    consent = list(consent)
    check_consent(consent, sources)
    failed: dict[str, InputError] = {}
    try:
        chosen = sorted(chosen_sources(names, sources), key=_people_come_last)
        with _locked(raw):
            for source in chosen:
                try:
                    fetch_source(source, raw, consented=source.name in consent, patience=patience, say=say)
                    say(f"{source.name}: complete{_missing_people(source, raw, sources)}")
                except InputError as error:
                    failed[source.name] = error
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise
        raise InputError(f"{error.filename or raw} cannot be written ({error.strerror})") from error
    if len(failed) == 1:
        raise next(iter(failed.values()))
    if failed:
        for error in failed.values():
            say(f"missing: {error}")
        raise InputError(f"{len(failed)} of {len(chosen)} sources are not complete: {', '.join(failed)}")


def source_state(source: Source, raw: str | Path) -> str:
    """What is there of a source, by names and sizes alone: "here", "missing", or what is unfinished."""
    raw = Path(raw)
    parts = []
    for file in source.files:
        target, size = raw / file.path, None
        part = target.with_name(target.name + ".part")
        try:
            if file.unpack is not None and _unpacked(file.unpack, raw):
                parts.append("here")
                continue
        except InputError as error:
            parts.append(str(error))
            continue
        if target.is_file():
            size = target.stat().st_size
            wrong = file.size is not None and size != file.size
            packed = f"{target.name} is not unpacked yet"
            parts.append(f"{target.name} has another size" if wrong else packed if file.unpack else "here")
        elif part.is_file():
            share = f" of {size_text(file.size)}" if file.size else ""
            parts.append(f"{target.name}: {size_text(part.stat().st_size)}{share} fetched")
        else:
            parts.append("missing")
    for folder in source.folders:
        found = _count(raw / folder.path, folder.suffix) if (raw / folder.path).is_dir() else 0
        whole = "here" if found == folder.count else f"{folder.path}: {found:,} of {folder.count:,} files"
        parts.append(whole if found else "missing")
    if set(parts) == {"here"}:
        if source.table is not None and not (raw / source.table.path).is_file():
            parts.append(f"{source.table.path} is not made yet")
        if source.label_maps is not None:
            parts.append(label_maps_state(source.label_maps, raw))
    if len(set(parts)) == 1:
        return parts[0]
    return "; ".join(dict.fromkeys(p for p in parts if p not in ("here", "missing"))) or "partly here"
