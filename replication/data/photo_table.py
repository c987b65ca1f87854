"""The CSV that may come with a folder of photos: files, people, splits, attributes, landmarks.

Columns: `file` (also `filename`, `image`, `image_id`), and optionally `identity`, `split` (by default train, and test
or val for testing), ten landmark columns, as `left_eye_x ... mouth_right_y` or as `leyex ... rmouthy`, in pixels of the
upright photo, from its corner. Every other column is an attribute, 0/1 or -1/1 in all its rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from replication.data.store import ATTRIBUTE_PREFIX, LANDMARK_COLUMNS
from replication.errors import InputError

_FILE_COLUMNS = ("file", "filename", "image", "image_id")
SPLITS = {"train": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}
"""Name in a table's column `split` -> what it becomes, unless the user says otherwise."""
UNUSED = "unused"
"""What a split becomes whose photos are left out."""
_SHORT_LANDMARKS = dict(
    zip(
        ("leyex", "leyey", "reyex", "reyey", "nosex", "nosey", "lmouthx", "lmouthy", "rmouthx", "rmouthy"),
        LANDMARK_COLUMNS,
        strict=True,
    )
)


@dataclasses.dataclass
class PhotoTable:
    """path: of the CSV. files: names as in the CSV, with forward slashes. identities: file -> person (""
    unknown) or None. splits: file -> train or test, or None. attributes: a line a file, columns attr_<name>
    (none is fine), 0/1. points: float64 (n,5,2) pixels, or None. Lines are in the order of `files`.
    becomes: name in the column split -> [train, test or unused, number of its photos], of the names that occur; None
    without such a column. Photos of an unused split are in none of the other fields."""

    path: Path
    files: list[str]
    identities: dict[str, str] | None
    splits: dict[str, str] | None
    attributes: pd.DataFrame
    points: np.ndarray | None
    becomes: dict[str, tuple[str, int]] | None = None

    def take(self, files: list[str]) -> PhotoTable:
        """The lines of these files, in this order."""
        place = {file: k for k, file in enumerate(self.files)}
        places = [place[file] for file in files]
        points = None if self.points is None else self.points[places]
        attributes = self.attributes.iloc[places].reset_index(drop=True)
        return dataclasses.replace(self, files=list(files), attributes=attributes, points=points)


def _attribute(values: pd.Series, files: list[str], path: Path) -> np.ndarray:
    """One attribute column as int64 0/1; raises InputError for other values than 0/1 or -1/1."""
    numbers = pd.to_numeric(values.str.strip(), errors="coerce").to_numpy(dtype=np.float64)
    allowed = np.isin(numbers, (-1, 0, 1))
    if not allowed.all():
        first = int(np.argmin(allowed))
        raise InputError(
            f"{path}: column {values.name!r} is {values.iloc[first]!r} for {files[first]!r}; attributes are 0/1 or -1/1"
        )
    if (numbers == 0).any() and (numbers == -1).any():
        raise InputError(f"{path}: column {values.name!r} mixes 0 and -1; attributes are 0/1 or -1/1")
    return (numbers == 1).astype(np.int64)


def told_splits(becomes: Mapping[str, tuple[str, int]]) -> str:
    """What becomes of each name of a table's splits, in words: "train is train, val is test"."""
    return ", ".join(f"{name} is {what}" for name, (what, _) in becomes.items())


def read_photo_table(path: str | Path, splits_become: Mapping[str, str] | None = None) -> PhotoTable:
    """Read the CSV; raises InputError if it is missing, has no file column, a file twice, or odd values.

    splits_become: name in the column split, in small letters -> train, test or unused; by default `SPLITS`. Other names
    are refused, and so is a table without the column where this is given.
    """
    path, allowed = Path(path), SPLITS if splits_become is None else splits_become
    if not path.is_file():
        raise InputError(f"photo table {path} does not exist")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"photo table {path} cannot be read as CSV ({' '.join(str(error).split())})") from error
    table = table.rename(columns=str.strip).rename(columns=_SHORT_LANDMARKS)
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise InputError(f"photo table {path} has the column {repeated[0]!r} twice")
    file_column = next((c for c in _FILE_COLUMNS if c in table), None)
    if file_column is None:
        raise InputError(f"photo table {path} has no column of file names; allowed are {', '.join(_FILE_COLUMNS)}")
    files = [PurePosixPath(name.strip().replace("\\", "/")).as_posix() for name in table[file_column]]
    twice = pd.Series(files, dtype=object).duplicated()
    if twice.any():
        raise InputError(f"photo table {path} names {files[int(twice.to_numpy().argmax())]!r} more than once")

    splits = becomes = None
    if splits_become is not None and "split" not in table:
        raise InputError(f"photo table {path} has no column split, and splits says what becomes of its names")
    if "split" in table:
        names = table["split"].str.strip().str.lower()
        wrong = ~names.isin(list(allowed))
        if wrong.any():
            first = int(wrong.to_numpy().argmax())
            raise InputError(
                f"{path}: split of {files[first]!r} is {table['split'].iloc[first]!r}; allowed are "
                f"{', '.join(map(repr, allowed))} (the key splits may say what becomes of other names)"
            )
        counts = names.value_counts()
        becomes = {name: (what, int(counts[name])) for name, what in allowed.items() if name in counts}
        used = (names.map(dict(allowed)) != UNUSED).to_numpy()
        table, names = table[used].reset_index(drop=True), names[used]
        files = [file for file, one in zip(files, used, strict=True) if one]
        splits = dict(zip(files, names.map(dict(allowed)), strict=True))
    identities = None
    if "identity" in table:
        identities = dict(zip(files, table["identity"].str.strip(), strict=True))

    points = None
    present = [c for c in LANDMARK_COLUMNS if c in table]
    if present:
        missing = [c for c in LANDMARK_COLUMNS if c not in table]
        if missing:
            raise InputError(
                f"photo table {path} has {present[0]!r} but no {missing[0]!r}; all ten landmark columns are needed"
            )
        flat = table[list(LANDMARK_COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
        bad = ~np.isfinite(flat)
        if bad.any():
            line, column = np.argwhere(bad)[0]
            raise InputError(
                f"{path}: {LANDMARK_COLUMNS[column]} of {files[line]!r} is "
                f"{table[LANDMARK_COLUMNS[column]].iloc[line]!r}, not a number of pixels"
            )
        points = flat.reshape(len(files), -1, 2)

    known = {file_column, "split", "identity", *LANDMARK_COLUMNS}
    attributes = {}
    for column in table.columns:
        if column not in known:
            name = ATTRIBUTE_PREFIX + column.removeprefix(ATTRIBUTE_PREFIX)
            attributes[name] = _attribute(table[column], files, path)
    frame = pd.DataFrame(attributes, index=range(len(files)))
    return PhotoTable(path, files, identities, splits, frame, points, becomes)
