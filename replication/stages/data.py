"""Preparing stages: faces, masks, and the frozen pairs of both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replication import paths
from replication.atomic import atomic_folder
from replication.config import DataSet, Parameters
from replication.data.masks import MaskStore
from replication.data.pair_rules import PairRule
from replication.data.pairs import EvaluationPairs, pairable, write_pairs
from replication.data.store import FaceStore, write_store
from replication.errors import InputError, counted
from replication.graph.closure import code_digest
from replication.methods.opening import open_faces
from replication.settings import hint
from replication.stages.source_changes import remember_sources


def _workers() -> int:
    return os.cpu_count() or 1


LEAST = {"train": 1, "test": 2}
"""Images of data sets that are inpainted; a Fréchet distance needs two."""


def prepare_faces(parameters: Parameters, dataset: str) -> FaceStore:
    """Draw the faces of a data set, or pack its folder of photos, into data/prepared/<dataset> at the set's own size.

    A packing that was killed is gone on with; what is known of the split is printed, for the notebook.

    Raises:
        InputError: no such data set; a protocol needs a field that the set cannot have; what is wrong with the folder,
            its table or a photo. The earlier store stays.
    """
    data, size = parameters.data_set(dataset), parameters.image_size_of(dataset)
    least = LEAST if dataset in parameters.paired_datasets() else {}
    if data.test is not None and data.test < least.get("test", 0):
        raise InputError(f"data.{dataset}.test: at least 2 test images are needed to evaluate, got {data.test}")
    for name, protocol in parameters.protocols.items():
        if dataset in protocol.datasets:
            check_protocol(parameters, name, dataset)
    if data.source == "drawn":
        from replication.data.drawn import drawn_chunks

        chunks = drawn_chunks(
            data.distribution, size, train=data.train, test=data.test, seed=data.seed, workers=_workers()
        )
        source: dict[str, Any] = {"kind": "drawn faces", "distribution": data.distribution, "seed": data.seed}
        return write_store(paths.store(dataset), name=data.title, size=size, chunks=chunks, source=source)

    from replication.data.disjoint_splits import split_summary
    from replication.data.packing import pack_photos
    from replication.data.photos import PhotoFolder

    photos = PhotoFolder(
        data.folder,
        size=size,
        table=data.table,
        parsing_folder=data.parsing_folder,
        parsing_order=data.parsing_order,
        align=data.align,
        test_fraction=data.test_fraction,
        duplicates=data.duplicates,
        limit_train=data.train,
        limit_test=data.test,
        skip_corrupt=data.skip_corrupt,
        allow_upscaling=data.allow_upscaling,
        workers=_workers(),
    )

    def check_counts(count: Callable[[str], int]) -> None:
        for split, needed in least.items():
            if count(split) < needed:
                found, verb = counted(count(split), f"{split} image"), "is" if needed == 1 else "are"
                raise InputError(
                    f"data.{dataset}.folder: {data.folder} gives {found}, and at least {needed} {verb} needed; add "
                    "photos, or change the split"
                )

    check_counts(photos.count)
    code = code_digest(("replication.data.packing",))
    store = pack_photos(paths.store(dataset), photos, name=data.title, state=paths.PACKING / dataset, code=code)
    check_counts(lambda split: len(store.rows(split)))  # corrupt photos may have been skipped
    remember_sources(dataset, store.card["sha256"], photos.stamps)
    print(split_summary(store))
    return store


def prepare_masks(parameters: Parameters) -> dict[str, MaskStore]:
    """Draw irregular masks, or read NVIDIA's, into data/prepared/masks/<dataset> at each paired data set's size.

    Sets of one size have the same masks, to the byte: they are made once, and the others' files are links to them
    (copies where the file system has no links; nothing writes into the files of a store).
    """
    made: dict[int, Path] = {}
    for dataset in parameters.paired_datasets():
        size, folder = parameters.image_size_of(dataset), paths.masks(dataset)
        if size not in made:
            made[size] = _make_masks(parameters, folder, size).path
            continue
        with atomic_folder(folder) as same:
            for file in sorted(made[size].iterdir()):
                try:
                    os.link(file, same / file.name)
                except OSError:
                    shutil.copy2(file, same / file.name)
    return {dataset: MaskStore.open(paths.masks(dataset)) for dataset in parameters.paired_datasets()}


def _make_masks(parameters: Parameters, folder: Path, size: int) -> MaskStore:
    masks = parameters.masks
    if masks.source == "drawn":
        from replication.data.irregular_masks import draw_mask_store

        return draw_mask_store(
            folder,
            size=size,
            train=masks.train,
            test_per_bucket=masks.test_per_bucket,
            seed=masks.seed,
            workers=_workers(),
        )
    from replication.data.nvidia_masks import read_mask_store

    return read_mask_store(
        folder,
        size=size,
        test_folder=masks.test_folder,
        train_folder=masks.train_folder,
        train=masks.train,
        test_per_bucket=masks.test_per_bucket,
        seed=masks.seed,
        workers=_workers(),
    )


def prepare_pairs(parameters: Parameters, protocol: str, dataset: str) -> EvaluationPairs:
    """Freeze which test image of a data set is measured under which hole, and with which exemplar, in a protocol.

    The pairs go to data/prepared/pairs/<protocol>; they are the same for every method.

    Raises:
        InputError: no such protocol, or it does not name the data set; the set lacks a field that the protocol needs.
    """
    rule = check_protocol(parameters, protocol, dataset)
    store, seed = open_faces(parameters, dataset), parameters.evaluation.seed
    rule.require(store.fields, dataset)
    most, wanted = pairable(store, rule, seed=seed), parameters.evaluation.pairs_per_bucket
    return write_pairs(
        paths.pairs(protocol, dataset),
        store,
        MaskStore.open(paths.masks(dataset)) if rule.holes == "irregular" else None,
        seed=seed,
        per_bucket=most if wanted is None else min(most, wanted),
        rule=rule,
    )


def check_protocol(parameters: Parameters, protocol: str, dataset: str) -> PairRule:
    """A protocol's rule, as far as the parameters alone can tell that the data set has what it needs.

    Raises:
        InputError: no such protocol, it does not name the data set, or the set cannot have a field that it needs.
    """
    if protocol not in parameters.protocols:
        raise InputError(f"protocol {protocol!r} does not exist{hint(protocol, parameters.protocols)}")
    own = parameters.protocols[protocol]
    if dataset not in own.datasets:
        allowed = hint(dataset, own.datasets)
        raise InputError(f"protocols.{protocol}.datasets: {dataset!r} is not among them{allowed}")
    rule = PairRule(protocol, own.holes, own.regions, own.exemplar)
    rule.require(possible_fields(parameters.data_set(dataset)), dataset)
    return rule


def possible_fields(data: DataSet) -> frozenset[str]:
    """The batch fields that a data set may turn out to have; what a table of photos names is known when it is read."""
    if data.source == "drawn":
        return frozenset({"image", "parsing", "identity", "attributes", "landmarks", "boxes"})
    fields = {"image"}
    if data.table is not None:
        fields |= {"identity", "attributes", "landmarks"}
    if data.parsing_folder is not None:
        fields |= {"parsing"}
    return frozenset(fields)
