"""Which sources there are, which a profile needs, and getting them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from replication import paths
from replication.config import Parameters
from replication.data.folder_listing import files_below
from replication.downloads.download import download, source_state
from replication.downloads.progress import size_text
from replication.downloads.sources import (
    Folder,
    JoinedTable,
    LabelMaps,
    Source,
    chosen_sources,
    load_sources,
    sources_of,
)
from replication.errors import InputError
from replication.settings import plain

DISK_BLOCK = 4096
"""Bytes that the smallest file takes of the usual file systems."""


def _texts(value: Any) -> Iterator[str]:
    """Every text anywhere in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def needed_sources(parameters: Parameters) -> list[str]:
    """Names of the sources that provide files and folders which the parameters name, in the catalogue's order.

    Those of data sets, masks and the evaluation, and of the settings of all runs: a system without runs needs nothing.
    """
    p = plain(parameters)
    settings = [plain(parameters.settings_of(name)) for name in parameters.run_names()]
    return sources_of(_texts([p["data"], p["masks"], p["evaluation"], *settings]), paths.RAW, load_sources())


def fetch(parameters: Parameters | None, names: Iterable[str] = (), *, profile: bool = False) -> None:
    """Download sources by name, or all that the parameters need.

    Args:
        parameters: for `consent` and `profile`; None if there is no params.yaml.

    Raises:
        InputError: nothing is named, a name is unknown, or a source could not be had.
    """
    names = list(names)
    if profile:
        if parameters is None:
            raise InputError("params.yaml does not exist; make it with `python -m replication profile NAME`")
        names = [*names, *(name for name in needed_sources(parameters) if name not in names)]
        if not names:
            print(f"profile {parameters.profile} needs nothing to be fetched")
            return
    if not names:
        raise InputError(f"download: name one or more of {', '.join(load_sources())}, or give --profile")
    consent = parameters.consent if parameters is not None else ()
    download(names, paths.RAW, consent=consent, say=lambda line: print(line, flush=True))


def _size(source: Source) -> str:
    sizes = [part.size for part in (*source.files, *source.folders)]
    if None in sizes or not sizes:
        return f"over {size_text(sum(s for s in sizes if s))}" if any(sizes) else "unknown"
    return ("about " if source.folders else "") + size_text(sum(sizes))


def list_sources() -> str:
    """A line for each source: name, state here, size, whether its terms need consent, what it is."""
    rows = [("name", "here", "size", "consent", "what")]
    for source in load_sources().values():
        state = source_state(source, paths.RAW)
        rows.append((source.name, state, _size(source), "needed" if source.consent else "-", source.title))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return "\n".join("  ".join([*(row[k].ljust(widths[k]) for k in range(4)), row[4]]) for row in rows)


def _amount(folder: Folder) -> str:
    return f"{folder.count:,} *{folder.suffix}" + (f", {size_text(folder.size)}" if folder.size else "")


def _left_of(folder: Folder) -> int:
    """Bytes that a folder filled by hand still lacks; nothing if it is a link to another place, whose disk it takes."""
    place = paths.RAW / folder.path
    if place.is_symlink():
        return 0
    found = sum(entry.is_file() for _, entry in files_below(place, (folder.suffix,))) if place.is_dir() else 0
    return (folder.size or 0) * max(0, folder.count - found) // folder.count


def _filled(folder: Path) -> bool:
    """Whether a folder is there and holds something; an empty one, or a link to one, is filled by fetching."""
    return folder.is_dir() and any(folder.iterdir())


def _label_maps_size(maps: LabelMaps) -> int:
    """Bytes on the disk of all maps, at a quarter bit a pixel: maps of 256x256 take 2 kB, and their edges grow with the
    side."""
    return maps.images * max(DISK_BLOCK, maps.side**2 // 32)


def left_to_fetch(parameters: Parameters) -> tuple[int, list[str]]:
    """Bytes that fetching, unpacking and painting what the parameters need will still add to data/raw, as far as is
    published.

    What is unpacked of an archive is taken to be as large as the archive, since photos do not shrink, and at least a
    block of the disk for each file. An archive that two sources unpack is fetched once and unpacked twice.

    Returns:
        The bytes, and the names of the sources that lack a size and are not here.
    """
    total, unknown, seen = 0, [], set()
    for source in chosen_sources(needed_sources(parameters), load_sources()):
        if source_state(source, paths.RAW) == "here":
            continue
        if any(part.size is None for part in (*source.files, *source.folders)):
            unknown.append(source.name)
        total += sum(_left_of(folder) for folder in source.folders)
        if source.label_maps is not None and not _filled(paths.RAW / source.label_maps.to):
            total += _label_maps_size(source.label_maps)
        for file in source.files:
            target, size = paths.RAW / file.path, file.size or 0
            if file.unpack is not None:
                if _filled(paths.RAW / file.unpack.to):
                    continue
                total += max(size, (file.unpack.count or 0) * DISK_BLOCK) if size else 0
            if file.path not in seen and not target.is_file():
                seen.add(file.path)
                part = target.with_name(target.name + ".part")
                total += max(0, size - (part.stat().st_size if part.is_file() else 0))
    return total, unknown


def describe_source(name: str) -> str:
    """All that is known of one source; raises InputError if it does not exist."""
    (source,) = chosen_sources([name], load_sources())
    lines = [
        f"{source.name}: {source.title}",
        f"  homepage  {source.homepage}",
        f"  licence   {source.licence or 'unknown'}",
        f"  terms     {source.terms}",
        f"  consent   {'needed: list it under `consent` in params.yaml' if source.consent else 'not needed'}",
        f"  cite      {source.citation}",
        f"  here      {source_state(source, paths.RAW)}",
    ]
    if source.note:
        lines.append(f"  note      {source.note}")
    for file in source.files:
        digests = [f"{kind} {value}" for kind, value in (("sha256", file.sha256), ("md5", file.md5)) if value]
        size = f"{file.size:,} bytes" if file.size else "size unknown"
        lines.append(f"  file      {Path(paths.RAW) / file.path} ({size}, {', '.join(digests) or 'no published hash'})")
        lines += [f"              {place.kind}: {place}" for place in file.places]
        if file.unpack:
            count = f"{file.unpack.count:,} files" if file.unpack.count else "number of files unknown"
            lines.append(f"              unpacked to {paths.RAW / file.unpack.to} ({count})")
    for folder in source.folders:
        lines.append(f"  by hand   {paths.RAW / folder.path} ({_amount(folder)}): {folder.how}")
    if source.table:
        what = "made here: file, split"
        if isinstance(source.table, JoinedTable):
            parts = ("identity" if source.table.identities else None, "split")
            parts = (*parts, "landmarks" if source.table.landmarks else None, "attributes")
            what = f"made here: {', '.join(['file', *filter(None, parts)])}; joined by image of"
        lines.append(f"  table     {paths.RAW / source.table.path} ({what})")
        if isinstance(source.table, JoinedTable):
            lines += [f"              {paths.RAW / name}" for name in source.table.lists()]
    if source.label_maps:
        maps = source.label_maps
        what = f"{maps.images:,} PNG of {maps.side}x{maps.side} with 19 labels, made here of {paths.RAW / maps.parts}"
        lines.append(f"  labels    {paths.RAW / maps.to} ({what})")
    return "\n".join(lines)
