"""What the doctor says of faces and masks: whether they are here, how many, and how to get them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from replication.doctor.amounts import Images, schedules
from replication.doctor.findings import MISSING, NOTE, OK, Finding
from replication.errors import InputError, counted

if TYPE_CHECKING:
    from replication.config import Parameters

PAPER_IMAGES = {"celebahq": (28_000, 2_000), "ffhq": (68_000, 2_000)}
"""Faces of the papers' own sets, for estimates while they are not there."""
SOME_PHOTOS = (1_000, 100)
"""What a folder of the user's own is taken to hold while it is not there."""
_FIELDS = {
    "attributes": "attributes",
    "boxes": "boxes of eyes and mouth",
    "identity": "identities",
    "landmarks": "landmarks",
    "parsing": "parsing maps",
}
"""Field of a batch -> what a data set needs for it, in words."""


def assumed(parameters: Parameters, name: str) -> Images:
    """How many faces a data set will hold, where they are not there to be counted."""
    data = parameters.data_set(name)
    if data.source == "drawn":
        return Images(data.train, data.test)
    known = PAPER_IMAGES.get(name, SOME_PHOTOS) if parameters.comparable else SOME_PHOTOS
    limits = (data.train, data.test)
    counts = (n if most is None else min(n, most) for n, most in zip(known, limits, strict=True))
    return Images(*counts, assumed=True)


def faces(parameters: Parameters, name: str, images: dict[str, Images]) -> Iterable[Finding]:
    """One data set; puts what it will hold into `images`."""
    data, what = parameters.data_set(name), f"data.{name}"
    if data.source == "drawn":
        images[name] = Images(data.train, data.test)
        yield Finding(what, OK, f"{data.train:,} + {data.test:,} faces, drawn here")
        return
    from replication.data.folder_listing import UNREADABLE, told_unreadable
    from replication.data.photo_listing import find_photos
    from replication.stages.faces import LEAST

    folder = Path(data.folder)
    if not folder.is_dir():
        text, mend = f"{data.title}: the folder {folder} does not exist", "put or link the photos there"
        wanted = [folder]
        if data.table is not None and not Path(data.table).is_file():
            text, mend = f"{text}, nor its table {data.table}", "put or link both there"
            wanted.append(data.table)
        fetch = download_command(parameters, *wanted)
        yield Finding(what, MISSING, text, f"{fetch}{mend}, or name their place in {what}")
        return
    try:
        found = find_photos(folder)
    except InputError as error:
        yield Finding(what, MISSING, str(error), f"put the photos there, or name their folder in {what}.folder")
        return
    text = f"{counted(len(found), 'photo')} in {folder}"
    chosen, fields, splits, renamed = list(found), set(), None, {}
    if data.table is not None:
        from replication.data.photo_table import read_photo_table, told_splits
        from replication.data.photos import match_table

        try:
            table = read_photo_table(data.table, data.splits)
            chosen = match_table(found, table, folder)
        except InputError as error:
            fetch = "" if Path(data.table).is_file() else download_command(parameters, data.table)
            yield Finding(what, MISSING, str(error), f"{fetch}mend the table, or name another in {what}.table")
            return
        splits = table.splits
        renamed = {name: said for name, said in (table.becomes or {}).items() if name != said[0]}
        has = [n for n, there in (("identities", table.identities), ("landmarks", table.points)) if there is not None]
        if n := table.attributes.shape[1]:
            has.append(counted(n, "attribute"))
        fields = {field for field, word in _FIELDS.items() if word in has} | ({"attributes"} if n else set())
        text += f", {len(chosen):,} of them in {data.table}" + (f" with {', '.join(has)}" if has else "")
    unreadable = [photo for photo in chosen if found[photo] == UNREADABLE]
    if unreadable and not data.skip_corrupt:
        mend = f"mend or remove it, or set {what}.skip_corrupt to leave out what cannot be read"
        yield Finding(what, MISSING, told_unreadable(folder, unreadable, "photo"), mend)
        return
    if unreadable:
        text += f", {len(unreadable):,} of them unreadable"
        chosen = [photo for photo in chosen if found[photo] != UNREADABLE]
    if splits is not None:
        counts = {split: sum(splits[photo] == split for photo in chosen) for split in ("train", "test")}
    else:
        test = max(0, min(max(1, round(len(chosen) * data.test_fraction)), len(chosen) - 1))
        counts = {"train": len(chosen) - test, "test": test}
    for split, most in (("train", data.train), ("test", data.test)):
        counts[split] = counts[split] if most is None else min(counts[split], most)
    images[name] = Images(counts["train"], counts["test"])
    text += f": {counts['train']:,} + {counts['test']:,}"
    if renamed:
        text += f" ({told_splits(renamed)})"
    least = LEAST if name in parameters.paired_datasets() else {"train": 1, "test": 1}
    if any(counts[split] < needed for split, needed in least.items()):
        yield Finding(what, MISSING, f"{text}, too few for training and testing", "add photos, or change the split")
        return
    if data.parsing_folder is not None:
        from replication.data.photo_reading import check_parsing_maps
        from replication.data.photos import find_parsing

        try:
            maps = find_parsing(Path(data.parsing_folder), chosen)
            check_parsing_maps(maps, data.parsing_order, Path(data.parsing_folder))
        except InputError as error:
            there = Path(data.parsing_folder).is_dir()
            fetch = "" if there else download_command(parameters, data.parsing_folder)
            yield Finding(what, MISSING, str(error), f"{fetch}mend it, or set {what}.parsing_folder to null")
            return
        text += f", with parsing maps in {data.parsing_folder}"
        fields.add("parsing")
    lacking = [(run, field) for run, field in _wanted_fields(parameters, name) if field not in fields]
    for run, field in lacking:
        key = "parsing_folder" if field == "parsing" else "table"
        mend = f"name their {'folder' if field == 'parsing' else 'table'} in {what}.{key}, or set {what}.source: drawn"
        yield Finding(what, MISSING, f"{text}, but no {_FIELDS[field]} to train the run {run} on", mend)
    if not lacking:
        yield Finding(what, OK, text)


def _wanted_fields(parameters: Parameters, dataset: str) -> Iterator[tuple[str, str]]:
    """(run, field) of what the trainings on a data set read beside images; what is published is not trained."""
    for run in parameters.run_names():
        if parameters.run(run).dataset == dataset and schedules(parameters.settings_of(run)):
            fields = {field for part in parameters.method_of(run).parts if part.data for field in part.fields}
            yield from ((run, field) for field in sorted(fields))


def download_command(parameters: Parameters, *wanted: str | Path) -> str:
    """The command that fetches what these paths are meant to hold, with an "or" behind it; empty if nothing known does.

    For a data set whose terms nobody has accepted yet, the command begins with where to say so.
    """
    from replication import paths
    from replication.downloads.sources import load_sources, sources_of

    sources = load_sources()
    names = sources_of([str(path) for path in wanted], paths.RAW, sources)
    if not names:
        return ""
    terms = [name for name in names if sources[name].consent and name not in parameters.consent]
    first = f"list {', '.join(terms)} under `consent` in params.yaml if you accept the terms, then " if terms else ""
    return f"{first}python -m replication download {' '.join(names)}, or "


def consent(parameters: Parameters) -> Iterable[Finding]:
    """Nothing, unless `consent` names what is no source: `download` would refuse it."""
    from replication.downloads.sources import check_consent, load_sources

    try:
        check_consent(parameters.consent, load_sources())
    except InputError as error:
        yield Finding("consent", MISSING, str(error), "python -m replication sources lists the names")


def masks(parameters: Parameters) -> Iterable[Finding]:
    """Irregular masks: drawn, or files."""
    masks = parameters.masks
    if masks.source == "drawn":
        yield Finding("masks", OK, f"{masks.train:,} + 3 x {masks.test_per_bucket:,}, drawn here")
        return
    from replication.data.nvidia_masks import mask_files

    for key, folder in (("test_folder", masks.test_folder), ("train_folder", masks.train_folder)):
        what = f"masks.{key}"
        if folder is None:
            yield Finding(what, NOTE, "none: test masks not used for testing become the training masks")
            continue
        try:
            yield Finding(what, OK, f"{counted(len(mask_files(folder)), 'mask')} in {folder}")
        except InputError as error:
            fetch = download_command(parameters, folder)
            mend = f"{fetch}put NVIDIA's masks there, or name their folder in {what}"
            yield Finding(what, MISSING, str(error), mend)
