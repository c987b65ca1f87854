"""What can be fetched: `sources.yaml`, read into frozen dataclasses and refused where it contradicts itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from replication.config import hint
from replication.errors import InputError

SOURCES = Path(__file__).with_name("sources.yaml")
DRIVE = "https://drive.usercontent.google.com/download?id={id}&export=download&confirm=t"
HUGGINGFACE = "https://huggingface.co/{repository}/resolve/{revision}/{file}"
PLACES = {
    "http": ("address",),
    "google_drive": ("id",),
    "huggingface": ("repository", "file", "revision"),
    "manual": ("how",),
}
"""Kind of place -> its keys."""
KINDS = ("zip", "tar", "torch", "text", "json")


@dataclass(frozen=True)
class Place:
    """One place of a file. address: where a GET request finds it, None for `manual`. how: where a person finds it."""

    kind: str
    address: str | None
    how: str | None = None

    def __str__(self) -> str:
        return self.how or self.address or ""


@dataclass(frozen=True)
class Unpack:
    """Where an archive goes: its folder `root` (None: all) becomes `to` below data/raw, but for the folders `without`.

    count: files that must come out, None if unknown.
    """

    root: str | None
    to: str
    count: int | None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoteFile:
    """One file. path: below data/raw. kind: one of KINDS. size: bytes. sha256: whole or a prefix of at least 8 digits.

    What is None is unknown.
    """

    path: str
    kind: str
    size: int | None
    sha256: str | None
    md5: str | None
    places: tuple[Place, ...]
    unpack: Unpack | None = None

    @property
    def has_whole_hash(self) -> bool:
        return self.md5 is not None or (self.sha256 is not None and len(self.sha256) == 64)


@dataclass(frozen=True)
class Folder:
    """A folder that only a person can fill: `count` files `*suffix`, in it or below it; how: what to do.

    size: bytes of all files, rounded as published; None if unknown.
    """

    path: str
    suffix: str
    count: int
    size: int | None
    how: str


@dataclass(frozen=True)
class SplitTable:
    """A CSV `file,split` made here: of two lists of names, or of a folder whose last files are for testing."""

    path: str
    train_list: str | None = None
    test_list: str | None = None
    folder: str | None = None
    last_are_test: int | None = None


@dataclass(frozen=True)
class JoinedTable:
    """A CSV with a line for each image, made here of the lists that come with a data set; see `celeba_tables`.

    All below data/raw. images: folder of the photos. The split is that of `partition`, or of two lists of names.
    mapping: image -> the name that it has in `identities`, which is another data set's and may be missing.
    """

    path: str
    images: str
    attributes: str
    partition: str | None = None
    train_list: str | None = None
    test_list: str | None = None
    landmarks: str | None = None
    identities: str | None = None
    mapping: str | None = None

    def lists(self) -> list[str]:
        """The files that it is made of."""
        names = (self.mapping, self.partition, self.train_list, self.test_list)
        return [name for name in (*names, self.identities, self.landmarks, self.attributes) if name is not None]


@dataclass(frozen=True)
class LabelMaps:
    """Label maps made here of binary masks, one for each part of a face; see `celebamaskhq_labels`.

    parts: folder of the masks. to: folder that gets `<image>.png`. images: how many. side: in pixels.
    """

    parts: str
    to: str
    images: int
    side: int


@dataclass(frozen=True)
class Source:
    """A data set or a network's weights, with its terms; see the head of `sources.yaml` for each field."""

    name: str
    what: str
    title: str
    homepage: str
    licence: str | None
    terms: str
    consent: bool
    citation: str
    note: str | None
    files: tuple[RemoteFile, ...]
    folders: tuple[Folder, ...] = ()
    table: SplitTable | JoinedTable | None = None
    label_maps: LabelMaps | None = None

    def targets(self) -> list[str]:
        """What the pipeline reads of it, below data/raw: folders, tables and files that are not only archives."""
        found = [file.unpack.to if file.unpack else file.path for file in self.files if file.kind != "json"]
        found += [folder.path for folder in self.folders]
        found += [self.table.path] if self.table else []
        return found + ([self.label_maps.to] if self.label_maps else [])


class _Reader:
    """Turns one mapping of the YAML into a dataclass; every refusal names the key."""

    def __init__(self, data: Any, where: str, keys: Iterable[str], optional: Iterable[str] = ()) -> None:
        self.where = where
        if not isinstance(data, dict):
            raise InputError(f"{where}: must be a mapping, got {data!r}")
        allowed = [*keys, *optional]
        for key in data:
            if key not in allowed:
                raise InputError(f"{where}.{key}: unknown key{hint(str(key), allowed)}")
        for key in keys:
            if key not in data:
                raise InputError(f"{where}: missing key {key!r}; what is unknown is null")
        self.data = data

    def get(self, key: str, kind: type, *, none: bool = False) -> Any:
        value = self.data.get(key)
        if value is None and none:
            return None
        if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value < 1)) or value == "":
            what = {str: "a text", int: "a whole number of at least 1", bool: "true or false", list: "a list"}[kind]
            raise InputError(f"{self.where}.{key}: must be {what}{' or null' if none else ''}, got {value!r}")
        return value

    def path(self, key: str, *, none: bool = False) -> str | None:
        value = self.get(key, str, none=none)
        if value is not None and (
            PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts or "\\" in value
        ):
            raise InputError(f"{self.where}.{key}: must stay below its folder, got {value!r}")
        return value

    def hexadecimal(self, key: str, least: int, most: int) -> str | None:
        value = self.get(key, str, none=True)
        if value is not None and not re.fullmatch(rf"[0-9a-f]{{{least},{most}}}", value):
            digits = f"{most}" if least == most else f"{least} to {most}"
            raise InputError(f"{self.where}.{key}: must be {digits} digits of lower-case hexadecimal, got {value!r}")
        return value


def _place(data: Any, where: str) -> Place:
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in PLACES:
        raise InputError(f"{where}.kind: must be one of {', '.join(PLACES)}, got {kind!r}")
    reader = _Reader(data, where, ("kind", *PLACES[kind]))
    values = {key: reader.get(key, str) for key in PLACES[kind]}
    if kind == "manual":
        return Place(kind, None, values["how"])
    how = None
    if kind == "google_drive":
        identifier = quote(values["id"], safe="")
        address, how = DRIVE.format(id=identifier), f"https://drive.google.com/file/d/{identifier}/view"
    elif kind == "huggingface":
        address = HUGGINGFACE.format(**{key: quote(value) for key, value in values.items()})
    else:
        address = values["address"]
    try:
        good = urlsplit(address).scheme in ("http", "https") and bool(urlsplit(address).hostname)
    except ValueError:
        good = False
    if not good:
        raise InputError(f"{where}.address: must begin with http:// or https://, got {address!r}")
    return Place(kind, address, how)


def _file(data: Any, where: str) -> RemoteFile:
    reader = _Reader(data, where, ("path", "kind", "size", "sha256", "md5", "places"), ("unpack",))
    kind = reader.get("kind", str)
    if kind not in KINDS:
        raise InputError(f"{where}.kind: must be one of {', '.join(KINDS)}, got {kind!r}")
    places = tuple(_place(p, f"{where}.places[{i}]") for i, p in enumerate(reader.get("places", list)))
    if not places:
        raise InputError(f"{where}.places: must name at least one place")
    unpack = None
    if data.get("unpack") is not None:
        if kind not in ("zip", "tar"):
            raise InputError(f"{where}.unpack: only zip and tar are unpacked, and this is {kind}")
        inner = _Reader(data["unpack"], f"{where}.unpack", ("root", "to", "count"), ("without",))
        without = tuple(data["unpack"].get("without") or ())
        unpack = Unpack(inner.path("root", none=True), inner.path("to"), inner.get("count", int, none=True), without)
    return RemoteFile(
        reader.path("path"),
        kind,
        reader.get("size", int, none=True),
        reader.hexadecimal("sha256", 8, 64),
        reader.hexadecimal("md5", 32, 32),
        places,
        unpack,
    )


def _table(data: Any, where: str) -> SplitTable | JoinedTable:
    if isinstance(data, dict) and "attributes" in data:
        names = ("partition", "train_list", "test_list", "landmarks", "identities", "mapping")
        reader = _Reader(data, where, ("path", "images", "attributes"), names)
        needed = {key: reader.path(key) for key in ("path", "images", "attributes")}
        table = JoinedTable(**needed, **{key: reader.path(key, none=True) for key in names})
        lists = (table.train_list, table.test_list)
        if (table.partition is None) == (None in lists) or lists.count(None) == 1:
            raise InputError(f"{where}: needs either partition, or train_list and test_list")
        return table
    if isinstance(data, dict) and "folder" in data:
        reader = _Reader(data, where, ("path", "folder", "last_are_test"))
        return SplitTable(
            reader.path("path"), folder=reader.path("folder"), last_are_test=reader.get("last_are_test", int)
        )
    reader = _Reader(data, where, ("path", "train_list", "test_list"))
    return SplitTable(*(reader.path(key) for key in ("path", "train_list", "test_list")))


_OPTIONAL = ("folders", "table", "label_maps")


def _label_maps(data: Any, where: str) -> LabelMaps:
    reader = _Reader(data, where, ("parts", "to", "images", "side"))
    return LabelMaps(reader.path("parts"), reader.path("to"), reader.get("images", int), reader.get("side", int))


def _source(name: str, data: Any) -> Source:
    texts = ("title", "homepage", "terms", "citation")
    reader = _Reader(data, name, ("what", *texts, "licence", "consent", "note", "files"), _OPTIONAL)
    what = reader.get("what", str)
    if what not in ("data", "weights"):
        raise InputError(f"{name}.what: must be data or weights, got {what!r}")
    folders = []
    for i, folder in enumerate(reader.get("folders", list, none=True) or []):
        inner = _Reader(folder, f"{name}.folders[{i}]", ("path", "suffix", "count", "size", "how"))
        folders.append(
            Folder(
                inner.path("path"),
                inner.get("suffix", str),
                inner.get("count", int),
                inner.get("size", int, none=True),
                inner.get("how", str),
            )
        )
    return Source(
        name,
        what,
        **{key: reader.get(key, str) for key in texts},
        licence=reader.get("licence", str, none=True),
        consent=reader.get("consent", bool),
        note=reader.get("note", str, none=True),
        files=tuple(_file(f, f"{name}.files[{i}]") for i, f in enumerate(reader.get("files", list))),
        folders=tuple(folders),
        table=_table(data["table"], f"{name}.table") if data.get("table") is not None else None,
        label_maps=_label_maps(data["label_maps"], f"{name}.label_maps") if data.get("label_maps") else None,
    )


def read_sources(path: str | Path) -> dict[str, Source]:
    """Read a file of sources: name -> Source, in its order.

    Raises:
        InputError: it is missing, not YAML, or a value in it cannot be; the sentence names the key.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({type(error).__name__})") from error
    if not isinstance(data, dict) or not data:
        raise InputError(f"{path}: must be a mapping of sources")
    sources = {str(name): _source(str(name), value) for name, value in data.items()}
    known: dict[str, RemoteFile] = {}
    for source in sources.values():
        for file in source.files:
            twin = known.setdefault(file.path, file)
            if (twin.kind, twin.size, twin.sha256, twin.md5) != (file.kind, file.size, file.sha256, file.md5):
                raise InputError(f"{source.name}: {file.path} is described twice, with different facts")
    return sources


@lru_cache(maxsize=1)
def load_sources() -> dict[str, Source]:
    """The packaged sources."""
    return read_sources(SOURCES)


def chosen_sources(names: Iterable[str], sources: dict[str, Source]) -> list[Source]:
    """The sources of these names; raises InputError for one that does not exist."""
    found = []
    for name in names:
        if name not in sources:
            raise InputError(f"source {name!r} does not exist{hint(name, sources)}")
        found.append(sources[name])
    return found


def check_consent(consent: Iterable[str], sources: dict[str, Source]) -> None:
    """Raise InputError if the parameter `consent` names what is no source."""
    for name in consent:
        if name not in sources:
            raise InputError(f"consent: {name!r} is no source{hint(name, sources)}")


def sources_of(paths: Iterable[str | Path], raw: str | Path, sources: dict[str, Source]) -> list[str]:
    """Names of the sources that provide these files or folders, given as the parameters give them."""
    wanted = {Path(path) for path in paths}
    return [
        name for name, source in sources.items() if any(Path(raw) / target in wanted for target in source.targets())
    ]
