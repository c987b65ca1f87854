"""Packing a folder of photos into a face store, so that a killed run is gone on with.

The store grows in a state folder, outside of what DVC deletes before a stage. `chunks.jsonl` there has one line for
every whole chunk, with the hash of its pixels; a later run with equal photos and settings goes on behind the last
chunk that is as its line says. A finished store is bit for bit the one that an undisturbed run writes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import atomic_folder
from replication.data.disjoint_splits import prove_disjoint
from replication.data.photos import PhotoFolder
from replication.data.row_files import HEADER_BYTES
from replication.data.store import Chunk, FaceStore, StoreWriter
from replication.errors import InputError

_JOURNAL = "chunks.jsonl"
_LOG_EVERY_S = 10.0
log = logging.getLogger(__name__)


def pack_photos(path: str | Path, photos: PhotoFolder, *, name: str, state: str | Path, code: str = "") -> FaceStore:
    """Write a store of photos with its manifest, or finish one that an earlier run began; open it.

    path: the folder; an older store there is replaced, but only when the new one is complete. state: folder
    for the unfinished store; emptied at the end. code: names the program; another one begins anew.
    Raises InputError for whatever `PhotoFolder.chunks` or `write_store` refuse, for equal files in both
    splits, and if another process packs in `state`.
    """
    path, state = Path(path), Path(state)
    growing = state / "store"
    with _locked(state):
        key = hashlib.sha256(f"{code} {photos.state_key}".encode()).hexdigest()
        done = _whole_chunks(state, key, photos)
        if not done:
            _begin(state, key)
        else:
            log.info("going on behind %d photos that an earlier run packed", done[-1]["mark"]["next"])
        writer = StoreWriter(
            growing,
            size=photos.size,
            where=f"face store {path}",
            kept=[pd.DataFrame(line["rows"]) for line in done],
            parsing=bool(done) and done[0]["parsing"],
        )
        marks = [line["mark"] for line in done]
        try:
            with (state / _JOURNAL).open("a", encoding="utf-8") as journal:
                for chunk in _with_progress(photos.chunks(marks), len(photos), marks):
                    rows = writer.append(chunk)
                    writer.flush()  # before its line: a line without its pixels would be believed
                    journal.write(json.dumps(_line(chunk, rows)) + "\n")
                    journal.flush()
            _finish(writer, growing, photos, name, f"face store {path}")
        finally:
            writer.close()
        _move(growing, path)
        (state / _JOURNAL).unlink()
    return FaceStore.open(path)


def _line(chunk: Chunk, rows: pd.DataFrame) -> dict[str, Any]:
    """What the journal keeps of a chunk: enough to have it without reading its photos again."""
    pixels = [chunk.images] if chunk.parsing is None else [chunk.images, chunk.parsing]
    return {
        "faces": len(rows),
        "parsing": chunk.parsing is not None,
        "sha256": _pixel_hash([np.ascontiguousarray(array).tobytes() for array in pixels]),
        "rows": rows.to_dict(orient="list"),
        "mark": chunk.mark,
    }


def _pixel_hash(blocks: list[bytes]) -> str:
    return hashlib.sha256(b"".join(blocks)).hexdigest()


def _begin(state: Path, key: str) -> None:
    """Empty the state folder and start a journal."""
    shutil.rmtree(state / "store", ignore_errors=True)
    (state / "store").mkdir()
    (state / _JOURNAL).write_text(json.dumps({"key": key}) + "\n", encoding="utf-8")


def _whole_chunks(state: Path, key: str, photos: PhotoFolder) -> list[dict[str, Any]]:
    """The journal's lines, up to the first chunk that is torn, changed, or not accepted now; cuts the journal there.

    Empty if there is no journal or it is of other photos, settings or another program.
    """
    try:
        lines = (state / _JOURNAL).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    head = _parsed(lines[0]) if lines else None
    if head is None or head.get("key") != key:
        return []
    done: list[dict[str, Any]] = []
    length = len(lines[0])
    with contextlib.ExitStack() as stack:
        files: dict[str, Any] = {}
        for text in lines[1:]:
            line = _parsed(text)
            if line is None or not photos.accepts(line["mark"]):
                break
            pixels = photos.size**2 * line["faces"]
            wanted = {"images.npy": 3 * pixels} | ({"parsing.npy": pixels} if line["parsing"] else {})
            for name in wanted:
                if name not in files and (state / "store" / name).is_file():
                    files[name] = stack.enter_context((state / "store" / name).open("rb"))
                    files[name].seek(HEADER_BYTES)
            if any(name not in files for name in wanted):
                break
            if _pixel_hash([files[name].read(size) for name, size in wanted.items()]) != line["sha256"]:
                break
            done.append(line)
            length += len(text)
    os.truncate(state / _JOURNAL, length)
    return done


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line of the journal; None for one that was not written to its end."""
    if not line.endswith(b"\n"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _finish(writer: StoreWriter, folder: Path, photos: PhotoFolder, name: str, where: str) -> None:
    """Add the proof that the splits are disjoint, the manifest and the card."""
    if not len(photos.manifest):
        raise InputError(f"{where}: there are no faces to store")
    writer.flush()
    shape = (len(photos.manifest), photos.size, photos.size, 3)
    images = np.memmap(folder / "images.npy", dtype=np.uint8, mode="r", offset=HEADER_BYTES, shape=shape)
    manifest, disjoint = prove_disjoint(photos.manifest, images, photos.duplicates, where)
    photos.source["disjoint"] = disjoint
    writer.finish(name, photos.source, {"manifest.csv": manifest.to_csv(index=False, lineterminator="\n")})


def _move(folder: Path, path: Path) -> None:
    """Put the finished folder in the place of `path`, also on another file system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    if path.exists():
        shutil.rmtree(path)
    try:
        os.replace(folder, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_folder(path) as temporary:
            shutil.copytree(folder, temporary, dirs_exist_ok=True)
        shutil.rmtree(folder)


def _with_progress(chunks: Iterator[Chunk], total: int, marks: list[dict[str, Any]]) -> Iterator[Chunk]:
    """Pass chunks on, and log now and then how far it is, how fast, and how long it will still take."""
    before = marks[-1]["next"] if marks else 0
    began = last = time.monotonic()
    for chunk in chunks:
        yield chunk
        now, at = time.monotonic(), chunk.mark["next"]
        if now - last >= _LOG_EVERY_S or (at == total and last > began):
            rate = (at - before) / (now - began)
            log.info("packed %d of %d photos, %.0f a second, %.0f s left", at, total, rate, (total - at) / rate)
            last = now


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes from packing there; the lock ends with the process."""
    import fcntl  # not on Windows, where this suite runs under WSL

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process is packing photos in {folder}; wait for it") from None
        yield
