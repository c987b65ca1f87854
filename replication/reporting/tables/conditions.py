"""What a table or figure was made with, whether its rows may be compared, and with what.

Every metrics file carries `made_by` (profile, data set, image size, counts, steps, seed, feature extractor, code). Here
those records become a header: one value where all agree, the exceptions by name where not, a warning where a
disagreement makes rows incomparable, and the notice that offline numbers are not the paper's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replication.papers import dataset_names

PAPER_PROFILE = "paper"
PAPER_IMAGE_SIZE = 256
DRAWN_PROFILES = ("smoke", "demo")

# field of made_by -> words in the header
_FIELDS = {
    "profile": "Profile",
    "dataset": "Data set",
    "image_size": "Image size",
    "images_per_bucket": "Images per bucket",
    "training_images": "Training images",
    "steps": "Training steps",
    "seed": "Seed",
    "features": "Fréchet features",
    "resize_filter": "Filter of resizing",
    "code": "Code",
    "note": "Note on the profile",
}
# Two rows with different values here measure different things; the fields of the second group
# may differ between data sets (each has its own pairs), not within one. Code (a digest of all that decides a result)
# differs between systems, which share only a part of it; two runs of one system had better been made by the same.
_MUST_AGREE = ("profile", "image_size", "features")
_MUST_AGREE_IN_A_DATASET = ("images_per_bucket", "pairs", "training_images")


@dataclass(frozen=True)
class Conditions:
    """Header of a table or figure.

    items: (label, value) pairs to print. notice: the sentences on comparability with the paper, empty when
    there is nothing to warn of. differences: one sentence per field in which runs disagree.
    comparable_rows: False when a disagreement forbids ranking the rows against each other. stand_in: what
    plays the role of the paper's data sets ("drawn faces"), empty when those themselves were used.
    """

    items: tuple[tuple[str, str], ...]
    notice: str
    differences: tuple[str, ...]
    comparable_rows: bool
    stand_in: str = ""

    def line(self) -> str:
        """The items in one line, for captions; without the note, which is a sentence, and the code, which says nothing
        to the reader of a picture.
        """
        left_out = (_FIELDS["note"], _FIELDS["code"])
        words = [
            (label if label.startswith("Fr") else label.lower(), value)
            for label, value in self.items
            if label not in left_out
        ]
        return "; ".join(f"{label}: {value}" for label, value in words)


def made_by(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The `made_by` record of a metrics file.

    Added to it is "frechet": by which name, FID or FD, the file calls its Fréchet distance (the evaluation
    writes FID only for pytorch-fid's Inception, checked by hash).
    """
    record = metrics.get("made_by") or [{}]
    flat = dict(record[0] if isinstance(record, list) else record)
    keys = {key for bucket in metrics.values() if isinstance(bucket, Mapping) for key in bucket}
    flat["frechet"] = "FID" if "FID" in keys else "FD"
    return flat


def conditions_of(records: Mapping[str, Mapping[str, Any]], *, same_schedule: bool = False) -> Conditions:
    """Merge the `made_by` records of runs (name -> record as `made_by` returns it, or the whole metrics file).

    same_schedule: also demand equal training steps (an ablation table compares equally trained networks,
    Table 1 compares different systems).
    """
    records = {name: made_by(r) if "made_by" in r else r for name, r in records.items()}
    if not records:
        return Conditions((), "", (), True)
    items = tuple(
        (label, _describe(records, field))
        for field, label in _FIELDS.items()
        if any(field in record for record in records.values())
    )
    must = (*_MUST_AGREE, "steps") if same_schedule else _MUST_AGREE
    breaking = [text for field in must if (text := _difference(records, field))]
    for dataset in sorted({str(record.get("dataset", "")) for record in records.values()}):
        members = {name: r for name, r in records.items() if str(r.get("dataset", "")) == dataset}
        for field in _MUST_AGREE_IN_A_DATASET:
            if text := _difference(members, field):
                breaking.append(f"{text} (data set {dataset})" if dataset else text)
    mild = []
    for method in sorted({str(record.get("method", "")) for record in records.values()}):
        members = {name: r for name, r in records.items() if str(r.get("method", "")) == method}
        if text := _difference(members, "code"):
            mild.append(f"{text} (of {method})" if method else text)
    if text := _difference(records, "seed"):
        mild.append(text)
    kinds = dict.fromkeys(_stand_in(record) for record in records.values())
    return Conditions(
        items,
        _notice(records),
        (*breaking, *mild),
        not breaking,
        " or ".join(kind for kind in kinds if kind),
    )


def stand_in(profile: str, source: str | None = None) -> str:
    """What plays the role of the papers' data sets in a profile; empty in the profile that uses those.

    source: "drawn" or "photos", where the data set's own source is known: a profile may mix them.
    """
    if profile == PAPER_PROFILE:
        return ""
    if source is not None:
        return {"drawn": "drawn faces", "photos": "the user's photos"}[source]
    if profile in DRAWN_PROFILES:
        return "drawn faces"
    return {"photos": "the user's photos"}.get(profile, "other images")


def dataset_label(name: str, profile: str, source: str | None = None) -> str:
    """How a data set that the paper calls `name` is called in figures, in two lines if other images play its role."""
    instead = stand_in(profile, source)
    return f"{instead}\n(role of {name})" if instead else name


def _difference(records: Mapping[str, Mapping[str, Any]], field: str) -> str:
    groups = _groups(records, field)
    if len(groups) < 2:
        return ""
    name = {"pairs": "the (image, mask) pairs"}.get(field, _FIELDS.get(field, field).lower())
    parts = [f"{_value(field, value)} for {', '.join(names)}" for value, names in groups]
    return f"runs differ in {name}: {'; '.join(parts)}"


def _groups(records: Mapping[str, Mapping[str, Any]], field: str) -> list[tuple[Any, list[str]]]:
    """Distinct values with the runs that have them, the commonest first (then by name)."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for name, record in records.items():
        value = record.get(field)
        found.setdefault(repr(value), (value, []))[1].append(name)
    return sorted(found.values(), key=lambda group: (-len(group[1]), group[1]))


def _describe(records: Mapping[str, Mapping[str, Any]], field: str) -> str:
    if field == "resize_filter":  # only photos are resized
        records = {name: record for name, record in records.items() if field in record}
    groups = _groups(records, field)
    if len(groups) == 1:
        return _value(field, groups[0][0], records)
    first, *others = groups
    rest = "; ".join(f"{_value(field, value, records)} for {', '.join(names)}" for value, names in others)
    return f"{_value(field, first[0], records)}; {rest}"


def _value(field: str, value: Any, records: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(field, part)}" for key, part in value.items())
    if field == "image_size" and isinstance(value, int):
        return f"{value} × {value}"
    if field == "pairs":
        return re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", str(value))
    if field == "dataset" and records is not None:
        return _named(str(value), records)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if field != "seed" else str(value)
    return str(value)


def _named(dataset: str, records: Mapping[str, Mapping[str, Any]]) -> str:
    own = [record for record in records.values() if str(record.get("dataset")) == dataset]
    name = dataset_names().get(dataset, dataset)
    titles = dict.fromkeys(str(record["dataset_title"]) for record in own if record.get("dataset_title"))
    kinds = dict.fromkeys(kind for record in own if (kind := _stand_in(record)))
    if not kinds:
        return " or ".join(titles) or name
    return f"{' or '.join(titles or kinds)} (in the role of {name})"


def _stand_in(record: Mapping[str, Any]) -> str:
    return (
        ""
        if is_comparable(record)
        else stand_in(str(record.get("profile")), record.get("dataset_source")) or "other images"
    )


def is_comparable(record: Mapping[str, Any]) -> bool:
    """Whether a number of this `made_by` record may stand beside a paper's: the profile's own word; where it is silent,
    only the profile with the papers' data qualifies.
    """
    return bool(record.get("comparable", record.get("profile") == PAPER_PROFILE))


def trainings_of(record: Mapping[str, Any]) -> int:
    """How many trainings are behind the numbers of a `made_by` record."""
    seeds = record.get("seeds")
    return len(seeds) if isinstance(seeds, list) and seeds else 1


def images_of(record: Mapping[str, Any], bucket: str) -> int | None:
    """How many images are behind the numbers of a bucket; None where that is not recorded."""
    images = record.get("images_per_bucket")
    images = images.get(bucket) if isinstance(images, Mapping) else images
    return images if isinstance(images, int) else None


def _notice(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The not-comparable sentences: why, and what the Fréchet column is."""
    other = [record for record in records.values() if not is_comparable(record)]
    drawn = any(
        record.get("dataset_source", "drawn" if record.get("profile") in DRAWN_PROFILES else "") == "drawn"
        for record in other
    )
    reasons = []
    keys = {str(record.get("dataset")) for record in other}
    papers = [name for key, name in dataset_names().items() if key in keys]
    if drawn:
        reasons.append(f"the images are drawn faces, not the photographs of {_join(papers or ['the paper'])}")
    elif other:
        reasons.append(f"the images are not the paper's {f'{_join(papers)} sets' if papers else 'data sets'}")
    sizes = {record["image_size"] for record in records.values() if "image_size" in record}
    if sizes - {PAPER_IMAGE_SIZE}:
        reasons.append(f"they are {_numbers(sizes)} pixels wide (paper: {PAPER_IMAGE_SIZE})")
    if drawn:
        reasons.append("training is far shorter than the paper's")
    elif other:
        reasons.append("the training schedule is not the paper's")
    found = [r.get("not_comparable") or () for r in other if r.get("profile") == PAPER_PROFILE]
    if found and len(found) == len(other):  # the papers' setting, but for what was found when it was measured
        reasons = list(dict.fromkeys(reason for own in found for reason in own)) or reasons
    sentences = []
    if reasons:
        sentences.append(
            f"These numbers are NOT comparable with the paper's: {_join(reasons)}. "
            "Only directions (which variant is better) can be set against the paper."
        )
    networks = dict.fromkeys(_network(r.get("features")) for r in records.values() if r.get("frechet") == "FD")
    if networks:
        sentences.append(
            f"The Fréchet distance is FD ({', '.join(networks)}), computed in the features of that network; "
            "it is not FID."
        )
    return " ".join(sentences)


def _network(features: Any) -> str:
    """The network's name out of an extractor's name, which reads "FD (<network>)"."""
    match = re.fullmatch(r"FD \((.+)\)", str(features))
    return match[1] if match else str(features)


def _numbers(values: set[Any]) -> str:
    return " or ".join(str(value) for value in sorted(values))


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
