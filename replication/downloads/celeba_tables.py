"""CelebA's and CelebAMask-HQ's published lists -> one CSV per data set, joined by image.

The lists say one thing each (attributes, people, landmarks, partition), name images in different ways, and are not
checked against each other by anybody. Here every image must have exactly one line in each of them. The CSV is in the
form that `data/photo_table` reads: file, identity, split, ten landmarks, attributes as 0/1.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from replication.atomic import write_text
from replication.data.photo_listing import names_hash
from replication.data.store import LANDMARK_COLUMNS
from replication.downloads.file_checks import HashRecord, file_hashes
from replication.downloads.sources import JoinedTable
from replication.errors import InputError

PARTITION = {"0": "train", "1": "train", "2": "test"}
"""CelebA's partition -> split: EBGAN trains on the validation images too (`photo_table` would test on them)."""
CELEBA_POINTS = (
    *("lefteye_x", "lefteye_y", "righteye_x", "righteye_y", "nose_x", "nose_y"),
    *("leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y"),
)
"""The header of list_landmarks_align_celeba.txt, in the order of `LANDMARK_COLUMNS`."""
MAPPING_HEADER = ["idx", "orig_idx", "orig_file"]
_RESERVED = {"file", "filename", "image", "image_id", "identity", "split", *LANDMARK_COLUMNS}
_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
_VERSION = 1  # of what is made of the lists; another one makes the tables anew


@dataclass(frozen=True)
class ImageList:
    """What one list says. where: its file or files, in words. columns: of the CSV.

    rows: image -> (file, number of the line in it from 1, the cells of the CSV joined by commas).
    """

    where: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[Path, int, str]]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, as (number from 1, fields between blanks)."""
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if fields := line.split():
                    yield number, fields
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file in UTF-8") from error


def _image_list(
    path: Path, columns: tuple[str, ...], lines: Iterable[tuple[int, list[str]]], cell: Callable[[str], str | None]
) -> ImageList:
    """Lines of an image and one value per column; `cell` turns a value into that of the CSV, None if it cannot be."""
    rows: dict[str, tuple[Path, int, str]] = {}
    for number, (image, *values) in lines:
        if len(values) != len(columns):
            raise InputError(f"{path}, line {number}: {image!r} has {len(values)} values instead of {len(columns)}")
        if image in rows:
            raise InputError(f"{path}, line {number}: {image!r} is in line {rows[image][1]} already")
        cells = [cell(value) for value in values]
        if None in cells:
            wrong = cells.index(None)
            raise InputError(f"{path}, line {number}: {columns[wrong]} of {image!r} cannot be {values[wrong]!r}")
        rows[image] = (path, number, ",".join(cells))
    if not rows:
        raise InputError(f"{path} names no images")
    return ImageList(str(path), columns, rows)


def _with_header(path: Path, lines: Iterator[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    """The two lines at the head of a list: the number of images, the names of the columns."""
    number, first = next(lines, (1, []))
    if len(first) != 1 or not first[0].isdecimal():
        raise InputError(f"{path}, line {number}: must be the number of images, got {' '.join(first)!r}")
    _, names = next(lines, (2, []))
    return int(first[0]), names


def _check_count(listed: ImageList, count: int) -> ImageList:
    if len(listed.rows) != count:
        raise InputError(f"{listed.where}, line 1: says {count:,} images, but {len(listed.rows):,} follow")
    return listed


def read_attributes(path: Path) -> ImageList:
    """list_attr_celeba.txt, CelebAMask-HQ-attribute-anno.txt: count, names, then `000001.jpg -1  1 ...`."""
    lines = _lines(path)
    count, names = _with_header(path, lines)
    odd = [name for name in names if name in _RESERVED or "," in name or '"' in name or names.count(name) > 1]
    if odd or not names:
        raise InputError(f"{path}, line 2: must be names of attributes, each once, got {' '.join(odd)!r}")
    return _check_count(_image_list(path, tuple(names), lines, {"-1": "0", "1": "1"}.get), count)


def _pixels(value: str) -> str | None:
    try:
        return value if math.isfinite(float(value)) else None
    except ValueError:
        return None


def read_landmarks(path: Path) -> ImageList:
    """list_landmarks_align_celeba.txt: count, names, then an image and ten numbers of pixels."""
    lines = _lines(path)
    count, names = _with_header(path, lines)
    if tuple(names) != CELEBA_POINTS:
        raise InputError(f"{path}, line 2: must be {' '.join(CELEBA_POINTS)}, got {' '.join(names)!r}")
    return _check_count(_image_list(path, LANDMARK_COLUMNS, lines, _pixels), count)


def read_identities(path: Path) -> ImageList:
    """identity_CelebA.txt: an image and the number of a person, without a header."""
    return _image_list(path, ("identity",), _lines(path), lambda value: value if value.isdecimal() else None)


def read_partition(path: Path) -> ImageList:
    """list_eval_partition.txt: an image and 0, 1 or 2 (training, validation, test), without a header."""
    return _image_list(path, ("split",), _lines(path), PARTITION.get)


def read_split_lists(train: Path, test: Path) -> ImageList:
    """Two lists of images: the one for training, the other for testing."""
    rows: dict[str, tuple[Path, int, str]] = {}
    for path, split in ((train, "train"), (test, "test")):
        for number, fields in _lines(path):
            image = " ".join(fields)
            if image in rows:
                other, line, _ = rows[image]
                raise InputError(f"{path}, line {number}: {image!r} is in line {line} of {other} already")
            rows[image] = (path, number, split)
    return ImageList(f"{train} and {test}", ("split",), rows)


def read_mapping(path: Path) -> ImageList:
    """CelebA-HQ-to-CelebA-mapping.txt: `idx orig_idx orig_file`; `<idx>.jpg` of CelebA-HQ -> its file in CelebA."""
    lines = _lines(path)
    number, header = next(lines, (1, []))
    if header != MAPPING_HEADER:
        raise InputError(f"{path}, line {number}: must be {' '.join(MAPPING_HEADER)!r}, got {' '.join(header)!r}")

    def pairs() -> Iterator[tuple[int, list[str]]]:
        for number, fields in lines:
            if len(fields) != 3 or not fields[0].isdecimal():
                raise InputError(f"{path}, line {number}: must be an index, an index and a file, got {fields}")
            yield number, [f"{int(fields[0])}.jpg", fields[2]]

    return _image_list(path, ("orig_file",), pairs(), str)


def renamed(listed: ImageList, mapping: ImageList) -> ImageList:
    """A list of CelebA's images as one of CelebA-HQ's; raises InputError if it lacks one of them."""
    rows = {}
    for image, (path, number, original) in mapping.rows.items():
        if original not in listed.rows:
            raise InputError(f"{listed.where} has no line for {original!r}, which {path}, line {number}, names")
        rows[image] = listed.rows[original]
    return ImageList(listed.where, listed.columns, rows)


def _first(images: Iterable[str], rows: dict[str, tuple[Path, int, str]]) -> tuple[str, str, str]:
    """Of several images the one that comes first: its name, "FILE, line N", and how many there are, in words."""
    images = list(images)
    image = min(images, key=lambda image: rows[image][1])
    path, number, _ = rows[image]
    return image, f"{path}, line {number}", f" (the first of {len(images):,} such)" if len(images) > 1 else ""


def _photos_in(folder: Path) -> set[str]:
    """Names of the photos in a folder; none if it is not there. Raises InputError if it cannot be read."""
    try:
        return {name for name in os.listdir(folder) if name.lower().endswith(_PHOTOS) and not name.startswith(".")}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror})") from error


def _sha256(path: Path) -> str:
    try:
        return file_hashes(path)["sha256"]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def joined_text(lists: list[ImageList], folder: Path, photos: set[str]) -> str:
    """The CSV of several lists, in the order of the first one.

    photos: the names of those in `folder`; without any, the lists are held against each other alone.

    Raises:
        InputError: an image is in one list, or in the folder, and not in another; the sentence names file and line.
    """
    first, *others = lists
    for other in others:
        if missing := first.rows.keys() - other.rows.keys():
            image, place, more = _first(missing, first.rows)
            raise InputError(f"{other.where} has no line for {image!r}, which {place}, names{more}")
        if extra := other.rows.keys() - first.rows.keys():
            image, place, more = _first(extra, other.rows)
            raise InputError(f"{place}: {image!r} has no line in {first.where}{more}")
    if photos:
        if missing := first.rows.keys() - photos:
            image, place, more = _first(missing, first.rows)
            raise InputError(f"{place}: {image!r} is not in {folder}{more}")
        if extra := photos - first.rows.keys():
            raise InputError(f"{folder} has {min(extra)!r}, for which {first.where} has no line")
    head = ",".join(["file", *(column for listed in lists for column in listed.columns)])
    told = [listed for listed in lists if listed.columns]
    lines = (",".join([image, *(listed.rows[image][2] for listed in told)]) for image in first.rows)
    return "\n".join([head, *lines]) + "\n"


def _read(table: JoinedTable, raw: Path) -> list[ImageList]:
    """The lists of a table that are there, in the order of its columns."""
    lists = []
    mapping = read_mapping(raw / table.mapping) if table.mapping is not None else None
    if mapping is not None:
        lists.append(ImageList(mapping.where, (), mapping.rows))  # compared with the others, and without a column
    if table.partition is not None:
        lists.append(read_partition(raw / table.partition))
    else:
        lists.append(read_split_lists(raw / table.train_list, raw / table.test_list))
    if has_people(table, raw):
        people = read_identities(raw / table.identities)
        lists.append(people if mapping is None else renamed(people, mapping))
    if table.landmarks is not None:
        lists.append(read_landmarks(raw / table.landmarks))
    return [*lists, read_attributes(raw / table.attributes)]


def has_people(table: JoinedTable, raw: Path) -> bool:
    """Whether the table can have a column `identity`: those of CelebA-HQ are in a file of another data set."""
    return table.identities is not None and (table.mapping is None or (raw / table.identities).is_file())


def names_people(path: Path) -> bool:
    """Whether there is a table with a column `identity`."""
    try:
        with path.open(encoding="utf-8") as stream:
            return "identity" in stream.readline().rstrip().split(",")
    except (OSError, UnicodeDecodeError):
        return False


def join_table(table: JoinedTable, raw: str | Path) -> Path:
    """Make the CSV of a data set below `raw`, or make it anew where its lists or the names of its photos have changed.

    A table that is not the one made here, because it was edited or put there by hand, stays as it is. So does one that
    names people where their list is gone by now: it could only become poorer.

    Raises:
        InputError: a list is missing or malformed, or does not fit the others or the photos; the sentence names file
            and line.
    """
    raw = Path(raw)
    path, record = raw / table.path, HashRecord(raw)
    digest = hashlib.sha256(str(_VERSION).encode())
    for name in table.lists():
        if (raw / name).is_file():
            digest.update(f"{name} {_sha256(raw / name)}\n".encode())
    photos = _photos_in(raw / table.images)
    if photos:  # so that photos which come later are held against a table that was made before them
        digest.update(f"{table.images} {names_hash(photos)}\n".encode())
    origin = f"made here of lists with the joint sha256 {digest.hexdigest()}"
    if path.exists():
        made = record.entries().get(table.path)
        if made is None or made["sha256"] != _sha256(path) or made.get("from") == origin:
            return path
    text = joined_text(_read(table, raw), raw / table.images, photos)
    if not has_people(table, raw) and names_people(path):
        return path
    # In this order: killed at any point, what is there is never taken for a table of the user's.
    path.unlink(missing_ok=True)
    record.remove(table.path)
    record.add(table.path, hashlib.sha256(text.encode()).hexdigest(), len(text.encode()), origin)
    write_text(path, text)
    return path
