"""The stage that prepares holes: irregular masks, and the frozen pairs of every protocol."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from replication import paths
from replication.atomic import atomic_folder
from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs, pairable, write_pairs
from replication.data.store import FaceStore
from replication.processors import usable_processors
from replication.stages.protocols import check_protocol

if TYPE_CHECKING:
    from replication.config import Parameters


def prepare_masks(parameters: Parameters) -> dict[str, MaskStore]:
    """Draw irregular masks, or read NVIDIA's, into data/masks/<dataset> at each paired data set's size.

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
            workers=usable_processors(),
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
        workers=usable_processors(),
        every_bucket=any(protocol.holes == "irregular" for protocol in parameters.protocols.values()),
    )


def prepare_pairs(parameters: Parameters, protocol: str, dataset: str) -> EvaluationPairs:
    """Freeze which test image of a data set is measured under which hole, and with which exemplar, in a protocol.

    The pairs go to data/pairs/<protocol>; they are the same for every method.

    Raises:
        InputError: no such protocol, or it does not name the data set; the set lacks a field that the protocol needs.
    """
    rule = check_protocol(parameters, protocol, dataset)
    store, seed = FaceStore.open(paths.store(dataset)), parameters.evaluation.seed
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
