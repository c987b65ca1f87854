"""The packed face store: every face of a data set at one size, in files that are read memory-mapped.

A folder with `images.npy` uint8 (N,S,S,3), optional `parsing.npy` uint8 (N,S,S) with the 19 labels,
`index.csv` (one line a face) and the card `store.json`; beside those of photos a `manifest.csv`. It is written
once, as a whole, and never changed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import atomic_folder
from replication.data.labels import LABELS
from replication.data.row_files import RowWriter, hash_rows, open_rows
from replication.errors import InputError

FORMAT = 1
SPLITS = ("train", "test")
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
BOXES = ("eyes", "mouth")
LANDMARK_COLUMNS = tuple(f"{point}_{axis}" for point in LANDMARKS for axis in "xy")
BOX_COLUMNS = tuple(f"{box}_{edge}" for box in BOXES for edge in ("x0", "y0", "x1", "y1"))
ATTRIBUTE_PREFIX = "attr_"


@dataclasses.dataclass
class Chunk:
    """Some faces on their way into a store.

    images: uint8 (n,S,S,3) RGB. rows: n lines with `id` (unique), `split` (train or test), optional
    `identity` ("" or -1: unknown), `attr_<name>` (0 or 1), all of `LANDMARK_COLUMNS` and all of `BOX_COLUMNS`
    or none, in pixels of the stored size from the picture's corner. parsing: uint8 (n,S,S), labels 0..18; in
    all chunks or in none. mark: what the source has to know to go on behind this chunk, JSON-able; no part of
    the store.
    """

    images: np.ndarray
    rows: pd.DataFrame
    parsing: np.ndarray | None = None
    mark: dict[str, Any] | None = None


def _checked_rows(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """The chunk's lines in the store's column order; raises InputError for whatever a store may not hold."""
    for column in ("id", "split"):
        if column not in rows:
            raise InputError(f"{where}: a chunk has no column {column!r}")
    rows = rows.reset_index(drop=True)
    ids = rows["id"].astype(str)
    attributes = [c for c in rows if c.startswith(ATTRIBUTE_PREFIX)]
    ordered = ["id", "split", "identity", *attributes]
    for columns in (LANDMARK_COLUMNS, BOX_COLUMNS):
        missing = [c for c in columns if c not in rows]
        if missing and len(missing) < len(columns):
            raise InputError(f"{where}: column {missing[0]!r} is missing beside {columns[0]!r}")
        ordered += [] if missing else columns
    unknown = [c for c in rows if c not in ordered and c != "row"]
    if unknown:
        raise InputError(f"{where}: column {unknown[0]!r} is unknown; attributes are named {ATTRIBUTE_PREFIX}<name>")
    bad = ~rows["split"].isin(SPLITS)
    if bad.any():
        raise InputError(
            f"{where}: split of {ids[bad.idxmax()]!r} is {rows['split'][bad.idxmax()]!r}, not train or test"
        )
    checked = {"id": ids, "split": rows["split"]}
    identity = rows["identity"] if "identity" in rows else pd.Series([""] * len(rows))
    checked["identity"] = identity.astype(object).where(identity.notna(), "").astype(str).replace("-1", "")
    for column in ordered[3:]:
        values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=np.float64)
        allowed = np.isin(values, (0, 1)) if column in attributes else np.isfinite(values)
        if not allowed.all():
            first = int(np.argmin(allowed))
            rule = "0 or 1" if column in attributes else "a finite number"
            raise InputError(f"{where}: {column} of {ids[first]!r} is {rows[column][first]!r}, not {rule}")
        checked[column] = values.astype(np.int64) if column in attributes else values
    return pd.DataFrame(checked)


def _check_pictures(chunk: Chunk, size: int, where: str) -> None:
    """Raise InputError unless the chunk's images and label maps have the store's size and type."""
    images, parsing = chunk.images, chunk.parsing
    if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3):
        raise InputError(f"{where}: images are {images.dtype}{images.shape}, not uint8 (n,{size},{size},3)")
    if len(images) != len(chunk.rows):
        raise InputError(f"{where}: a chunk has {len(images)} images and {len(chunk.rows)} rows")
    if parsing is None:
        return
    if parsing.dtype != np.uint8 or parsing.shape != (len(images), size, size):
        raise InputError(f"{where}: parsing is {parsing.dtype}{parsing.shape}, not uint8 (n,{size},{size})")
    worst = parsing.reshape(len(images), -1).max(axis=1, initial=0)
    if (worst >= len(LABELS)).any():
        first = int(np.argmax(worst >= len(LABELS)))
        raise InputError(
            f"{where}: parsing map of {chunk.rows['id'].iloc[first]!r} has label {worst[first]}; allowed are 0 to 18"
        )


class StoreWriter:
    """A face store on its way into a folder: chunk by chunk, then `finish`.

    folder: there already; without store.json, which `finish` writes last, nothing takes it for a store.
    size: side S of the faces in pixels. where: what errors begin with. kept: the index lines of chunks that
    the folder's files hold already, with label maps if `parsing`; the writer goes on behind them.
    """

    def __init__(
        self, folder: Path, *, size: int, where: str, kept: Sequence[pd.DataFrame] = (), parsing: bool = False
    ) -> None:
        self._folder, self._size, self._where = folder, size, where
        self._tables = list(kept)
        self._seen = {identifier for rows in kept for identifier in rows["id"]}
        count = sum(map(len, kept))
        self._images = RowWriter(folder / "images.npy", (size, size, 3), np.uint8, keep=count)
        self._parsing = None
        if kept and parsing:
            self._parsing = RowWriter(folder / "parsing.npy", (size, size), np.uint8, keep=count)

    def append(self, chunk: Chunk) -> pd.DataFrame:
        """Add the faces of a chunk, at least one; their lines of the index. Raises InputError for a bad chunk."""
        where, tables = self._where, self._tables
        _check_pictures(chunk, self._size, where)
        rows = _checked_rows(chunk.rows, where)
        for identifier in rows["id"]:
            if identifier in self._seen:
                raise InputError(f"{where}: two faces have the id {identifier!r}")
            self._seen.add(identifier)
        if tables and list(tables[0].columns) != list(rows.columns):
            other = sorted(set(tables[0].columns) ^ set(rows.columns)) or ["their order"]
            raise InputError(f"{where}: chunks differ in their columns ({other[0]})")
        if not tables and chunk.parsing is not None:
            self._parsing = RowWriter(self._folder / "parsing.npy", (self._size, self._size), np.uint8)
        if (self._parsing is None) != (chunk.parsing is None):
            raise InputError(f"{where}: some chunks have parsing maps and others have none")
        self._images.append(chunk.images)
        if self._parsing is not None and chunk.parsing is not None:
            self._parsing.append(chunk.parsing)
        tables.append(rows)
        return rows

    def flush(self) -> None:
        """Hand what was appended to the operating system."""
        self._images.flush()
        if self._parsing is not None:
            self._parsing.flush()

    def close(self) -> None:
        self._images.close()
        if self._parsing is not None:
            self._parsing.close()

    def finish(self, name: str, source: Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
        """Close, and write the index, further text `files` (name -> content) and, last, the card."""
        self.close()
        if not self._tables:
            raise InputError(f"{self._where}: there are no faces to store")
        index = pd.concat(self._tables, ignore_index=True)
        index.insert(0, "row", np.arange(len(index)))
        text = index.to_csv(index=False, lineterminator="\n")
        (self._folder / "index.csv").write_bytes(text.encode())
        hashes = {"images": self._images.sha256, "index": hashlib.sha256(text.encode()).hexdigest()}
        if self._parsing is not None:
            hashes["parsing"] = self._parsing.sha256
        card = {"format": FORMAT, "name": name, "size": self._size, **_counts(index)}
        card["fields"] = sorted(_fields(index, self._parsing is not None))
        card["attributes"] = [c.removeprefix(ATTRIBUTE_PREFIX) for c in index if c.startswith(ATTRIBUTE_PREFIX)]
        card["source"] = dict(source)
        card["sha256"] = _content_hash(hashes)
        if files:
            card["files"] = {file: hashlib.sha256(content.encode()).hexdigest() for file, content in files.items()}
            for file, content in files.items():
                (self._folder / file).write_bytes(content.encode())
        text = json.dumps(card, indent=2, allow_nan=False) + "\n"
        (self._folder / "store.json").write_text(text, encoding="utf-8")


def write_store(
    path: str | Path, *, name: str, size: int, chunks: Iterable[Chunk], source: Mapping[str, Any]
) -> FaceStore:
    """Write a face store and open it.

    path: the folder; an older store there is replaced, but only when the new one is complete.
    size: side S of the faces in pixels. chunks: any iterator; one chunk at a time is held in memory.
    source: where the faces come from, JSON-able; it is read after the last chunk, so that a source may note
    there what it met on the way. The hash in the card covers images, label maps and index.
    Raises InputError for a chunk that breaks the rules of `Chunk`, and for no faces at all.
    """
    path = Path(path)
    with atomic_folder(path) as folder:
        writer = StoreWriter(folder, size=size, where=f"face store {path}")
        try:
            for chunk in chunks:
                if len(chunk.rows):
                    writer.append(chunk)
            writer.finish(name, source)
        finally:
            writer.close()
    return FaceStore.open(path)


def _content_hash(hashes: Mapping[str, str]) -> str:
    listed = "".join(f"{key} {hashes[key]}\n" for key in sorted(hashes))
    return hashlib.sha256(listed.encode()).hexdigest()


def _counts(index: pd.DataFrame) -> dict[str, Any]:
    people = {split: set(index["identity"][index["split"] == split]) - {""} for split in SPLITS}
    return {
        "images": len(index),
        "splits": {split: int((index["split"] == split).sum()) for split in SPLITS},
        "identities": {
            **{split: len(people[split]) for split in SPLITS},
            "in_both_splits": len(people["train"] & people["test"]),
        },
    }


def _fields(index: pd.DataFrame, parsing: bool) -> set[str]:
    """The batch fields that a store can fill."""
    present = {
        "image": True,
        "parsing": parsing,
        "identity": (index["identity"] != "").any(),
        "attributes": any(c.startswith(ATTRIBUTE_PREFIX) for c in index),
        "landmarks": LANDMARK_COLUMNS[0] in index,
        "boxes": BOX_COLUMNS[0] in index,
    }
    return {field for field, there in present.items() if there}


class FaceStore:
    """A face store, opened for reading (see the module's head for the files).

    images: uint8 (N,S,S,3), memory-mapped. parsing: uint8 (N,S,S), memory-mapped, or None.
    index: one line a face; ids and identities are text, an unknown identity is "". card: `store.json`.
    """

    def __init__(
        self,
        path: Path,
        images: np.ndarray,
        parsing: np.ndarray | None,
        index: pd.DataFrame,
        card: dict[str, Any],
    ) -> None:
        self.path = path
        self.images = images
        self.parsing = parsing
        self.index = index
        self.card = card

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> FaceStore:
        """Open the store in folder `path`; `verify` reads everything once and compares the content hash.

        Raises InputError for a folder that is missing, incomplete, damaged or of another format.
        """
        path = Path(path)
        what = f"face store {path}"
        if not path.is_dir():
            raise InputError(f"{what} does not exist; run the stage that prepares it")
        try:
            card = json.loads((path / "store.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{what} is incomplete: store.json is missing; prepare it again") from None
        except ValueError as error:
            raise InputError(f"{what} is damaged: store.json cannot be read ({error})") from error
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            found = card.get("format") if isinstance(card, dict) else None
            raise InputError(f"{what} has format {found!r}, this version reads format {FORMAT}; prepare it again")
        count, size = card["images"], card["size"]
        images = open_rows(path / "images.npy", (count, size, size, 3), what)
        parsing = None
        if "parsing" in card["fields"]:
            parsing = open_rows(path / "parsing.npy", (count, size, size), what)
        if not (path / "index.csv").is_file():
            raise InputError(f"{what} is incomplete: index.csv is missing; prepare it again")
        text = dict.fromkeys(("id", "split", "identity"), str)
        index = pd.read_csv(path / "index.csv", dtype=text, keep_default_na=False)
        if len(index) != count:
            raise InputError(f"{what} is damaged: index.csv has {len(index)} lines for {count} images")
        store = cls(path, images, parsing, index, card)
        if verify and (store._hash() != card["sha256"] or store._changed_files()):
            raise InputError(f"{what} was changed after it was written: its sha256 differs; prepare it again")
        return store

    def _hash(self) -> str:
        hashes = {"images": hash_rows(self.images)}
        hashes["index"] = hashlib.sha256((self.path / "index.csv").read_bytes()).hexdigest()
        if self.parsing is not None:
            hashes["parsing"] = hash_rows(self.parsing)
        return _content_hash(hashes)

    def _changed_files(self) -> list[str]:
        """The further files of the store, as its manifest, that are missing or not as they were written."""
        paths = {name: self.path / name for name in self.card.get("files", {})}
        hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.is_file()}
        return [name for name, digest in self.card.get("files", {}).items() if hashes.get(name) != digest]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"FaceStore({self.name!r}, {len(self)} faces of {self.size} px, {self.card['splits']})"

    @property
    def name(self) -> str:
        return self.card["name"]

    @property
    def size(self) -> int:
        """Side of the faces in pixels."""
        return self.card["size"]

    @property
    def fields(self) -> frozenset[str]:
        """The batch fields this store can fill: image, parsing, identity, attributes, landmarks, boxes."""
        return frozenset(self.card["fields"])

    def require(self, fields: Iterable[str]) -> None:
        """Raise InputError, naming what is missing, unless the store has all these batch fields."""
        missing = sorted(set(fields) - self.fields)
        if missing:
            raise InputError(
                f"face store {self.path} has no {', '.join(missing)}; it has {', '.join(sorted(self.fields))}"
            )

    def rows(self, split: str) -> np.ndarray:
        """int64 row numbers of one split, ascending. Raises InputError for another name or an empty split."""
        if split not in SPLITS:
            raise InputError(f"split {split!r}: allowed are train and test")
        rows = np.flatnonzero((self.index["split"] == split).to_numpy())
        if not len(rows):
            raise InputError(f"face store {self.path} has no {split} images")
        return rows

    @cached_property
    def ids(self) -> np.ndarray:
        """(N,) the faces' ids, as text."""
        return self.index["id"].to_numpy(dtype=object)

    @property
    def attribute_names(self) -> list[str]:
        return self.card["attributes"]

    @cached_property
    def attributes(self) -> np.ndarray:
        """float32 (N,A), 0 or 1, in the order of `attribute_names`."""
        self.require(["attributes"])
        return self.index[[ATTRIBUTE_PREFIX + a for a in self.attribute_names]].to_numpy(dtype=np.float32)

    @cached_property
    def identities(self) -> np.ndarray:
        """int64 (N,): people numbered 0.. in the sorted order of their names; -1 where unknown."""
        names = self.index["identity"].to_numpy(dtype=object)
        number = {name: k for k, name in enumerate(sorted(set(names) - {""}))}
        return np.array([number.get(name, -1) for name in names], dtype=np.int64)

    def people(self, split: str) -> list[np.ndarray]:
        """The rows of each known person's images in a split, ascending; people in the order of their numbers.

        Raises InputError where no image of the store has an identity.
        """
        self.require(["identity"])
        rows = self.rows(split)
        of_rows = self.identities[rows]
        order = np.argsort(of_rows, kind="stable")
        order = order[of_rows[order] >= 0]
        starts = np.flatnonzero(np.diff(of_rows[order])) + 1
        return np.split(rows[order], starts) if len(order) else []

    @cached_property
    def landmarks(self) -> np.ndarray:
        """float32 (N,5,2): x, y of the points `LANDMARKS`, in pixels from the picture's corner."""
        self.require(["landmarks"])
        return self.index[list(LANDMARK_COLUMNS)].to_numpy(dtype=np.float32).reshape(-1, len(LANDMARKS), 2)

    @cached_property
    def boxes(self) -> np.ndarray:
        """float32 (N,2,4): x0, y0, x1, y1 of the boxes `BOXES`: edges, in pixels from the corner."""
        self.require(["boxes"])
        return self.index[list(BOX_COLUMNS)].to_numpy(dtype=np.float32).reshape(-1, len(BOXES), 4)
