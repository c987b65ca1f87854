"""Any folder of face photos -> chunks of a face store.

Photos are turned upright (EXIF), cut to their central square, or to the face by its landmarks, and resized with
antialiasing. A CSV may name identities, attributes, landmarks and the split; a second folder may hold parsing maps.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from replication.data.alignment import ALIGNMENTS, FILTERS, told_alignment
from replication.data.folder_listing import UNREADABLE, Stamps, is_odd, refuse_unreadable, why_unreadable
from replication.data.parallel import ordered_map
from replication.data.photo_listing import file_hash, file_hashes, input_stamps, names_hash
from replication.data.photo_reading import (
    PhotoFace,
    PhotoTask,
    ReadingOptions,
    check_parsing_maps,
    read_photos,
)
from replication.data.photo_table import PhotoTable, read_photo_table, told_splits
from replication.data.store import LANDMARK_COLUMNS, SPLITS, Chunk
from replication.errors import InputError

DUPLICATES = ("refuse", "drop", "allow")
_CHUNK = 128
_CHUNK_BYTES = 2**23  # of pixels: what waits between processes stays small at any size


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
    align: a name of `alignment.ALIGNMENTS`; all but "none" need landmarks in the table.
    resize: a name of `alignment.FILTERS`, the filter that makes photos smaller.
    splits_become: see `photo_table.read_photo_table`; needs a table.
    test_fraction: share of test photos if the table has no split; whole people if it has identities, else
    photos by the hash of their file, so that copies stay together.
    duplicates: what to do with equal files in both splits: "refuse" them, "drop" the training copy, "allow" them.
    limit_train, limit_test: use at most so many photos; a smaller choice is part of a larger one.
    skip_corrupt: leave out photos that cannot be opened or decoded, and list them in the card, instead of stopping.
    allow_upscaling: accept photos smaller than `size`; the card counts them. workers: processes.
    state_key: sha256 of whatever decides the chunks: photos, maps and table as they are now, and the settings.
    What only decides whether a photo is accepted (skip_corrupt, allow_upscaling) is not in it: see `accepts`.
    stamps: `photo_listing.input_stamps` from before anything was read.
    source: for the card; complete when `chunks()` has ended. manifest: then one line for every stored face:
    file, sha256 (of its bytes), split, identity, perceptual_hash (16 hexadecimal digits), parsing_sha256.
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
        align: str = "none",
        resize: str = "lanczos",
        splits_become: Mapping[str, str] | None = None,
        test_fraction: float = 0.1,
        duplicates: str = "refuse",
        limit_train: int | None = None,
        limit_test: int | None = None,
        skip_corrupt: bool = False,
        allow_upscaling: bool = False,
        workers: int = 0,
    ) -> None:
        self.folder = Path(folder)
        self.size, self._workers = size, workers
        if not 0 < test_fraction < 1:
            raise InputError(f"test_fraction={test_fraction}: it lies between 0 and 1")
        chosen = (("align", align, ALIGNMENTS), ("resize", resize, FILTERS), ("duplicates", duplicates, DUPLICATES))
        for name, value, allowed in chosen:
            if value not in allowed:
                raise InputError(f"{name}={value!r}: allowed are {', '.join(allowed)}")
        for name, limit in (("limit_train", limit_train), ("limit_test", limit_test)):
            if limit is not None and limit < 1:
                raise InputError(f"{name}={limit}: at least one photo is needed")
        paths = [None if given is None else Path(given) for given in (table, parsing_folder)]
        self.stamps = input_stamps(self.folder, *paths)
        found = self.stamps["photos"]
        listed = None if table is None else read_photo_table(table, splits_become)
        if align != "none" and (listed is None or listed.points is None):
            raise InputError(f"align={align!r}: needs a table with the ten landmark columns, as left_eye_x")
        names = list(found) if listed is None else match_table(found, listed, self.folder)
        self._unreadable = [name for name in names if found[name] == UNREADABLE]
        if not skip_corrupt:
            refuse_unreadable(self.folder, self._unreadable, "photo", "remove it or use skip_corrupt")
        names = [name for name in names if found[name] != UNREADABLE]
        splits, rule = self._splits(names, listed, test_fraction)
        names, splits, dropped = self._disjoint(names, splits, found, duplicates)
        chosen = _choose(names, splits, {"train": limit_train, "test": limit_test})
        self._names = [names[k] for k in chosen]
        self._splits_of = [splits[k] for k in chosen]
        self._listed = None if listed is None else listed.take(self._names)
        self._parsing = None if parsing_folder is None else find_parsing(Path(parsing_folder), self._names)
        if self._parsing is not None:
            check_parsing_maps(self._parsing, parsing_order, Path(parsing_folder))
        self._order = parsing_order
        self._options = ReadingOptions(size, align, allow_upscaling, resize)
        self._skip_corrupt, self.duplicates = skip_corrupt, duplicates
        self._stamps = {name: found[name] for name in self._names}
        self.manifest = pd.DataFrame()
        self.source: dict[str, Any] = {
            "kind": "folder of photos",
            "photos_found": len(found),
            "photos_found_sha256": names_hash(found),
            "photos_chosen": len(self._names),
            "split": {"rule": rule},
            "resize": told_alignment(align, resize),
            "alignment": align,
        }
        if listed is not None and listed.becomes is not None:
            self.source["split"]["of_the_table"] = {
                name: {"becomes": what, "photos": count} for name, (what, count) in listed.becomes.items()
            }
        if table is not None:
            self.source["table_sha256"] = file_hash(Path(table))
        if dropped:
            self.source["training_copies_dropped"] = dropped
        if self._parsing is not None:
            self.source["parsing_order_read"] = parsing_order
        self.state_key = self._state_key()

    def __len__(self) -> int:
        """Photos to read."""
        return len(self._names)

    def count(self, split: str) -> int:
        """Photos to read for one split."""
        return self._splits_of.count(split)

    def _splits(self, names: list[str], listed: PhotoTable | None, test_fraction: float) -> tuple[list[str], str]:
        if listed is not None and listed.splits is not None:
            return [listed.splits[name] for name in names], f"as in the table ({told_splits(listed.becomes)})"
        known = {} if listed is None or listed.identities is None else listed.identities
        strangers = [name for name in names if not known.get(name)]
        hashes = file_hashes([self.folder / name for name in strangers], self._workers)
        keys = {name: f"photo {digest}" for name, digest in zip(strangers, hashes, strict=True)}
        keys |= {name: f"person {known[name]}" for name in names if known.get(name)}
        what = "file" if listed is None or listed.identities is None else "identity"
        rule = f"by the hash of the {what}, test fraction {test_fraction}"
        return _split_by_hash([keys[name] for name in names], test_fraction), rule

    def _disjoint(
        self, names: list[str], splits: list[str], found: Stamps, duplicates: str
    ) -> tuple[list[str], list[str], list[str]]:
        """Names and splits without equal files in both splits, and which training copies were dropped."""
        if duplicates == "allow":
            return names, splits, []
        pairs = self._copies_across(names, splits, found)
        if pairs and duplicates == "refuse":
            train, test = pairs[0]
            more = f", one of {len(pairs):,} such pairs" if len(pairs) > 1 else ""
            raise InputError(
                f"photos {train!r} (train) and {test!r} (test) in {self.folder} are the same file{more}; remove one of "
                "each, or set duplicates to drop (leaves out the training copy) or allow"
            )
        dropped = {train for train, _ in pairs}
        kept = [k for k, name in enumerate(names) if name not in dropped]
        return [names[k] for k in kept], [splits[k] for k in kept], sorted(dropped)

    def _copies_across(self, names: list[str], splits: list[str], found: Stamps) -> list[tuple[str, str]]:
        """(training file, test file) of every training photo that has an equal test photo.

        Equal files have equal sizes, so only files that share their size with one of the other split are read.
        """
        sizes = {split: {found[n][0] for n, own in zip(names, splits, strict=True) if own == split} for split in SPLITS}
        common = sizes["train"] & sizes["test"]
        places = [k for k, name in enumerate(names) if found[name][0] in common]
        hashes = file_hashes([self.folder / names[k] for k in places], self._workers)
        of_test = {h: names[k] for k, h in zip(places, hashes, strict=True) if splits[k] == "test"}
        hashed = zip(places, hashes, strict=True)
        return [(names[k], of_test[h]) for k, h in hashed if splits[k] == "train" and h in of_test]

    def _state_key(self) -> str:
        settings = dataclasses.replace(self._options, allow_upscaling=False)
        facts = [dataclasses.asdict(settings), self._order, self.duplicates, self.source, self._splits_of]
        maps = [] if self._parsing is None else [(p.stat().st_size, p.stat().st_mtime_ns) for p in self._parsing]
        return hashlib.sha256(json.dumps([facts, self._stamps, maps], sort_keys=True).encode()).hexdigest()

    def accepts(self, mark: dict[str, Any]) -> bool:
        """Whether a chunk with this mark may be used as it is under the present settings."""
        refused = (mark["corrupt"] and not self._skip_corrupt) or (
            mark["upscaled"] and not self._options.allow_upscaling
        )
        return not refused

    def chunks(self, done: Sequence[dict[str, Any]] = ()) -> Iterator[Chunk]:
        """Yield the faces in the order of their names; fills in `source` and `manifest` at the end.

        done: the marks of chunks that were yielded before, with the same `state_key`; they are not read again.
        """
        marks = list(done)
        step = max(8, min(_CHUNK, _CHUNK_BYTES // (3 * self.size**2)))
        starts = range(marks[-1]["next"] if marks else 0, len(self._names), step)
        work = partial(read_photos, options=self._options)
        results = ordered_map(work, (self._tasks(start, step) for start in starts), self._workers)
        corrupt: dict[str, str] = {}  # since the last mark
        for start, faces in zip(starts, results, strict=True):
            names = self._names[start : start + step]
            for name, face in zip(names, faces, strict=True):
                if isinstance(face, str):
                    if not self._skip_corrupt:
                        raise InputError(
                            f"photo {self.folder / name} cannot be read ({face}); remove it or use skip_corrupt"
                        )
                    corrupt[name] = face
            kept = [k for k, face in enumerate(faces) if not isinstance(face, str)]
            good = [faces[k] for k in kept]
            if good:
                chunk = self._chunk(start, kept, good)
                chunk.mark = {
                    "next": start + len(faces),
                    "corrupt": corrupt,
                    "upscaled": sum(face.upscaled for face in good),
                    "resized_elsewhere": sum(face.resized_elsewhere for face in good),
                    "places": [start + k for k in kept],
                    "sha256": [face.sha256 for face in good],
                    "looks": [f"{face.look:016x}" for face in good],
                    "maps": [face.parsing_sha256 for face in good],
                    "without_skin": [names[k] for k in kept if faces[k].without_skin],
                }
                marks.append(chunk.mark)
                corrupt = {}
                yield chunk
        self._summarise(marks, corrupt)

    def _summarise(self, marks: list[dict[str, Any]], corrupt: dict[str, str]) -> None:
        """Fill in `source` and `manifest` by what was met while reading."""
        skipped = {name for mark in marks for name in mark["corrupt"]} | set(corrupt) | set(self._unreadable)
        self.source["photos_skipped_as_corrupt"] = sorted(skipped)
        self.source["photos_upscaled"] = sum(mark["upscaled"] for mark in marks)
        elsewhere, faces = sum(mark["resized_elsewhere"] for mark in marks), sum(len(mark["places"]) for mark in marks)
        self.source["photos_resized_elsewhere"] = elsewhere
        self.source["resize_filter"] = told_filter(self._options.resize, faces, elsewhere)
        if self._parsing is not None:
            self.source["maps_without_skin"] = [name for mark in marks for name in mark["without_skin"]]
        places = [place for mark in marks for place in mark["places"]]
        manifest = {
            "file": [self._names[k] for k in places],
            "sha256": [digest for mark in marks for digest in mark["sha256"]],
            "split": [self._splits_of[k] for k in places],
        }
        if self._listed is not None and self._listed.identities is not None:
            manifest["identity"] = [self._listed.identities[name] for name in manifest["file"]]
        manifest["perceptual_hash"] = [look for mark in marks for look in mark["looks"]]
        if self._parsing is not None:
            manifest["parsing_sha256"] = [digest for mark in marks for digest in mark["maps"]]
        self.manifest = pd.DataFrame(manifest)
        for split in SPLITS:
            files = self.manifest["file"][self.manifest["split"] == split]
            self.source["split"][split] = {"images": len(files), "sha256_of_sorted_names": names_hash(files)}

    def _tasks(self, start: int, step: int) -> list[PhotoTask]:
        tasks = []
        for k in range(start, min(start + step, len(self._names))):
            points = None
            if self._listed is not None and self._listed.points is not None:
                points = self._listed.points[k]
            parsing = None if self._parsing is None else self._parsing[k]
            tasks.append(PhotoTask(self.folder / self._names[k], parsing, self._order, points))
        return tasks

    def _chunk(self, start: int, kept: list[int], faces: list[PhotoFace]) -> Chunk:
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


def told_filter(resize: str, faces: int, elsewhere: int) -> str:
    """Which filter made the faces small, as far as it is known; a Fréchet distance depends on it.

    elsewhere: how many of the faces had the store's size before, or less.
    """
    if elsewhere == faces:
        return "resized elsewhere, filter unknown"
    own = f"{FILTERS[resize]} (Pillow, antialiased)"
    return own if not elsewhere else f"{own}; {elsewhere:,} of {faces:,} photos resized elsewhere, filter unknown"


def match_table(found: Stamps, listed: PhotoTable, folder: Path) -> list[str]:
    """The photos that the table names, in sorted order; raises InputError if one is not in the folder."""
    missing = [name for name in listed.files if name not in found]
    if missing:
        more = f" (the first of {len(missing):,} such photos)" if len(missing) > 1 else ""
        hidden = any(map(is_odd, PurePosixPath(missing[0]).parts)) and (folder / missing[0]).is_file()
        why = ", where hidden files and folders are left out" if hidden else ""
        raise InputError(f"{listed.path} names {missing[0]!r}, which is not in {folder}{why}{more}")
    named = set(listed.files)
    return [name for name in found if name in named]


def find_parsing(folder: Path, names: list[str]) -> list[Path]:
    """The label map of every photo, `<name>.png`; raises InputError if the folder or a map does not exist."""
    if not folder.is_dir():
        raise InputError(f"the folder of parsing maps {folder} does not exist")
    paths = [folder / Path(name).with_suffix(".png") for name in names]
    for name, path in zip(names, paths, strict=True):
        if not path.is_file():
            what = f"is {why_unreadable(path)}" if path.is_symlink() else "does not exist"
            raise InputError(f"photo {name!r} has no parsing map: {path} {what}")
    return paths


def _choose(names: list[str], splits: list[str], limits: dict[str, int | None]) -> list[int]:
    """Places, ascending, of the photos to use: of each split, up to its limit, those of lowest name hash."""
    chosen: list[int] = []
    for split, limit in limits.items():
        places = [k for k, own in enumerate(splits) if own == split]
        if limit is not None and len(places) > limit:
            places = sorted(places, key=lambda k: _unit_hash(f"limit {names[k]}"))[:limit]
        chosen += places
    return sorted(chosen)
