"""Any folder of face photos -> chunks of a face store.

Photos are turned upright (EXIF), cut to their central square and resized with antialiasing. A CSV may name
identities, attributes, landmarks and the split; a second folder may hold parsing maps.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from replication.data.labels import FROM_G_MASK, G_MASK, LABELS
from replication.data.parallel import ordered_map
from replication.data.photo_table import PhotoTable, read_photo_table
from replication.data.store import LANDMARK_COLUMNS, Chunk
from replication.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PARSING_ORDERS = {"bisenet": LABELS, "g_mask": G_MASK}
_CHUNK = 128
_CHECKED_MAPS = 50
_UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


@dataclasses.dataclass(frozen=True)
class _Task:
    """What a worker has to know of one photo. points: (k,2) pixels of the upright photo, or None."""

    photo: Path
    parsing: Path | None
    order: str
    points: np.ndarray | None


@dataclasses.dataclass
class _Face:
    image: np.ndarray
    parsing: np.ndarray | None
    points: np.ndarray | None
    upscaled: bool


class _CorruptError(Exception):
    """A photo that cannot be decoded; kept apart from InputError so that it can be skipped."""


def _central_square(width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the largest central square."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def _open_parsing(path: Path) -> Image.Image:
    """A label map as stored; raises InputError for another kind of picture or a label above 18."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except _UNREADABLE as error:
        raise InputError(f"parsing map {path} cannot be read ({error})") from error
    if picture.mode not in ("P", "L"):
        raise InputError(f"parsing map {path} has mode {picture.mode}; it has to be a palette or grey PNG of labels")
    worst = int(np.asarray(picture).max())
    if worst >= len(LABELS):
        raise InputError(f"parsing map {path} has label {worst}; allowed are 0 to {len(LABELS) - 1}")
    return picture


def _check_order(paths: list[Path], order: str) -> None:
    """Raise InputError if the maps look like the other order of labels: by the area that hair would have.

    What is hair in one order is lower lip or neck in the other; a wrong order would spoil everything
    silently.
    """
    if order not in PARSING_ORDERS:
        raise InputError(f"parsing_order={order!r}: allowed are {', '.join(PARSING_ORDERS)}")
    other = next(name for name in PARSING_ORDERS if name != order)
    chosen = np.unique(np.linspace(0, len(paths) - 1, _CHECKED_MAPS).round().astype(int))
    areas = np.zeros(len(LABELS))
    for k in chosen:
        labels = np.asarray(_open_parsing(paths[k]))
        areas += np.bincount(labels.ravel(), minlength=len(LABELS)) / labels.size / len(chosen)
    hair, other_hair = (areas[PARSING_ORDERS[name].index("hair")] for name in (order, other))
    if other_hair > 0.1 and other_hair > 2 * hair:
        raise InputError(
            f"parsing_order={order!r} does not fit the maps in {paths[0].parent}: hair would cover "
            f"{hair:.0%} of them, in the order {other!r} {other_hair:.0%}"
        )


def _read_parsing(path: Path, photo_size: tuple[int, int], size: int, order: str) -> np.ndarray:
    """The label map of a photo, cut and resized like it (nearest neighbour): uint8 (size,size)."""
    picture = _open_parsing(path)
    (width, height), (photo_width, photo_height) = picture.size, photo_size
    if abs(width * photo_height - height * photo_width) > max(width, height, photo_width, photo_height):
        raise InputError(
            f"parsing map {path} is {width}x{height}, its photo {photo_width}x{photo_height}: not the same shape"
        )
    left, top, side = _central_square(width, height)
    box = (left, top, left + side, top + side)
    labels = np.asarray(picture.resize((size, size), Image.Resampling.NEAREST, box=box), dtype=np.uint8)
    return FROM_G_MASK[labels] if order == "g_mask" else labels


def _read_face(task: _Task, size: int, allow_upscaling: bool) -> _Face:
    """Decode, turn upright, cut and resize one photo. Raises _CorruptError or InputError."""
    try:
        with Image.open(task.photo) as picture:
            if picture.mode.startswith(("I", "F")):
                raise InputError(f"photo {task.photo} has mode {picture.mode}; photos of 8 bits a channel are needed")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except InputError:
        raise
    except _UNREADABLE as error:
        raise _CorruptError(str(error)) from error
    left, top, side = _central_square(*upright.size)
    if side < size and not allow_upscaling:
        raise InputError(
            f"photo {task.photo} is {upright.width}x{upright.height}, smaller than the target of {size} "
            "pixels; choose a smaller image size or allow_upscaling"
        )
    box = (left, top, left + side, top + side)
    # PIL's filters widen with the reduction, so this is antialiased at any scale.
    image = np.asarray(upright.resize((size, size), Image.Resampling.LANCZOS, box=box))
    parsing = None if task.parsing is None else _read_parsing(task.parsing, upright.size, size, task.order)
    points = None
    if task.points is not None:
        points = (task.points - (left, top)) * (size / side)
    return _Face(image, parsing, points, side < size)


def _read_chunk(tasks: list[_Task], size: int, allow_upscaling: bool) -> list[_Face | str]:
    """One face per task; for a photo that cannot be decoded, the reason."""
    faces: list[_Face | str] = []
    for task in tasks:
        try:
            faces.append(_read_face(task, size, allow_upscaling))
        except _CorruptError as error:
            faces.append(str(error))
    return faces


def _unit_hash(text: str) -> float:
    """A number in [0,1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _split_by_hash(keys: list[str], test_fraction: float) -> list[str]:
    """train or test per key; equal keys stay together, and each split gets a key if there are two."""
    places = {key: _unit_hash(f"split {key}") for key in sorted(set(keys))}
    test = {key for key, place in places.items() if place < test_fraction}
    if len(places) > 1 and not test:
        test = {min(places, key=lambda key: places[key])}
    if len(places) > 1 and len(test) == len(places):
        test.remove(max(places, key=lambda key: places[key]))
    return ["test" if key in test else "train" for key in keys]


class PhotoFolder:
    """The photos of a folder, chosen and split; `chunks()` reads them.

    folder: searched with its subfolders for JPEG, PNG and WebP files. size: side of the stored faces.
    table: a CSV (see `photo_table`); then only the photos that it names are used.
    parsing_folder: label maps `<stem>.png`, of the upright photo, at any resolution.
    parsing_order: which label each number is: "bisenet" as in `labels.LABELS`, or "g_mask" as in
    CelebAMask-HQ's script; checked by the area of hair, stored as the former.
    test_fraction: share of test photos if the table has no split; whole people if it has identities, else
    photos by the hash of their file, so that copies stay together.
    limit_train, limit_test: use at most so many photos; a smaller choice is part of a larger one.
    skip_corrupt: leave out photos that cannot be decoded, and list them in the card, instead of stopping.
    allow_upscaling: accept photos smaller than `size`; the card counts them. workers: processes.
    source: for the card; complete when `chunks()` has ended.
    Raises InputError, here or while reading, naming the file at fault.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        size: int,
        table: str | Path | None = None,
        parsing_folder: str | Path | None = None,
        parsing_order: str = "bisenet",
        test_fraction: float = 0.1,
        limit_train: int | None = None,
        limit_test: int | None = None,
        skip_corrupt: bool = False,
        allow_upscaling: bool = False,
        workers: int = 0,
    ) -> None:
        self.folder = Path(folder)
        if not 0 < test_fraction < 1:
            raise InputError(f"test_fraction={test_fraction}: it lies between 0 and 1")
        for name, limit in (("limit_train", limit_train), ("limit_test", limit_test)):
            if limit is not None and limit < 1:
                raise InputError(f"{name}={limit}: at least one photo is needed")
        found = _find_photos(self.folder)
        listed = None if table is None else read_photo_table(table)
        names = found if listed is None else _match(found, listed, self.folder)
        splits, rule = self._splits(names, listed, test_fraction)
        chosen = _choose(names, splits, {"train": limit_train, "test": limit_test})
        self._names = [names[k] for k in chosen]
        self._splits_of = [splits[k] for k in chosen]
        self._listed = None if listed is None else listed.take(self._names)
        self._parsing = None if parsing_folder is None else _find_parsing(Path(parsing_folder), self._names)
        if self._parsing is not None:
            _check_order(self._parsing, parsing_order)
        self._order = parsing_order
        self._size, self._workers = size, workers
        self._skip_corrupt, self._allow_upscaling = skip_corrupt, allow_upscaling
        self.source: dict[str, Any] = {
            "kind": "folder of photos",
            "photos_found": len(found),
            "photos_chosen": len(self._names),
            "split": rule,
            "resize": "central square, Lanczos with antialiasing; label maps nearest neighbour",
        }
        if self._parsing is not None:
            self.source["parsing_order_read"] = parsing_order

    def _splits(self, names: list[str], listed: PhotoTable | None, test_fraction: float) -> tuple[list[str], str]:
        if listed is not None and listed.splits is not None:
            return [listed.splits[name] for name in names], "as in the table"
        if listed is not None and listed.identities is not None:
            keys = [
                f"person {listed.identities[name]}"
                if listed.identities[name]
                else f"photo {_file_hash(self.folder / name)}"
                for name in names
            ]
            return _split_by_hash(keys, test_fraction), f"by the hash of the identity, test fraction {test_fraction}"
        keys = [f"photo {_file_hash(self.folder / name)}" for name in names]
        return _split_by_hash(keys, test_fraction), f"by the hash of the file, test fraction {test_fraction}"

    def chunks(self) -> Iterator[Chunk]:
        """Yield the faces in the order of their names, 128 at a time; fills in `source`."""
        corrupt: dict[str, str] = {}
        upscaled = 0
        starts = range(0, len(self._names), _CHUNK)
        work = partial(_read_chunk, size=self._size, allow_upscaling=self._allow_upscaling)
        results = ordered_map(work, [self._tasks(start) for start in starts], self._workers)
        for start, faces in zip(starts, results, strict=True):
            names = self._names[start : start + _CHUNK]
            for name, face in zip(names, faces, strict=True):
                if isinstance(face, str):
                    if not self._skip_corrupt:
                        raise InputError(
                            f"photo {self.folder / name} cannot be read ({face}); remove it or use skip_corrupt"
                        )
                    corrupt[name] = face
            kept = [k for k, face in enumerate(faces) if not isinstance(face, str)]
            good = [faces[k] for k in kept]
            upscaled += sum(face.upscaled for face in good)
            if good:
                yield self._chunk(start, kept, good)
        self.source["photos_skipped_as_corrupt"] = sorted(corrupt)
        self.source["photos_upscaled"] = upscaled

    def _tasks(self, start: int) -> list[_Task]:
        tasks = []
        for k in range(start, min(start + _CHUNK, len(self._names))):
            points = None
            if self._listed is not None and self._listed.points is not None:
                points = self._listed.points[k]
            parsing = None if self._parsing is None else self._parsing[k]
            tasks.append(_Task(self.folder / self._names[k], parsing, self._order, points))
        return tasks

    def _chunk(self, start: int, kept: list[int], faces: list[_Face]) -> Chunk:
        places = [start + k for k in kept]
        columns: dict[str, Any] = {
            "id": [self._names[k] for k in places],
            "split": [self._splits_of[k] for k in places],
        }
        rows = pd.DataFrame(columns)
        if self._listed is not None:
            if self._listed.identities is not None:
                rows["identity"] = [self._listed.identities[self._names[k]] for k in places]
            attributes = self._listed.attributes.iloc[places].reset_index(drop=True)
            rows = pd.concat([rows, attributes], axis=1)
            if self._listed.points is not None:
                points = np.stack([face.points for face in faces]).reshape(len(faces), -1).round(3)
                rows = pd.concat([rows, pd.DataFrame(points, columns=list(LANDMARK_COLUMNS))], axis=1)
        parsing = None if self._parsing is None else np.stack([face.parsing for face in faces])
        return Chunk(images=np.stack([face.image for face in faces]), rows=rows, parsing=parsing)


def _find_photos(folder: Path) -> list[str]:
    """Paths, relative to the folder and in sorted order, of all photos in it."""
    if not folder.is_dir():
        raise InputError(f"photo folder {folder} does not exist")
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not found:
        raise InputError(f"photo folder {folder} holds no images ({', '.join(SUFFIXES)})")
    return found


def _match(found: list[str], listed: PhotoTable, folder: Path) -> list[str]:
    """The photos that the table names, in sorted order; raises InputError if one is not in the folder."""
    there = set(found)
    missing = [name for name in listed.files if name not in there]
    if missing:
        raise InputError(f"{listed.path} names {missing[0]!r}, one of {len(missing)} photos that are not in {folder}")
    named = set(listed.files)
    return [name for name in found if name in named]


def _find_parsing(folder: Path, names: list[str]) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"folder of parsing maps {folder} does not exist")
    paths = [folder / Path(name).with_suffix(".png") for name in names]
    for name, path in zip(names, paths, strict=True):
        if not path.is_file():
            raise InputError(f"photo {name!r} has no parsing map: {path} does not exist")
    return paths


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _choose(names: list[str], splits: list[str], limits: dict[str, int | None]) -> list[int]:
    """Places, ascending, of the photos to use: of each split, up to its limit, those of lowest name hash."""
    chosen: list[int] = []
    for split, limit in limits.items():
        places = [k for k, own in enumerate(splits) if own == split]
        if limit is not None and len(places) > limit:
            places = sorted(places, key=lambda k: _unit_hash(f"limit {names[k]}"))[:limit]
        chosen += places
    return sorted(chosen)
