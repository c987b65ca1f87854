"""Preparing stages: faces, masks, and the frozen pairs of both."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from replication import paths
from replication.config import DataSet, Parameters
from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs, write_pairs
from replication.data.store import FaceStore, write_store
from replication.errors import InputError, counted
from replication.history.made_by import source_digest
from replication.stages.source_changes import remember_sources


def _workers() -> int:
    return os.cpu_count() or 1


LEAST = {"train": 1, "test": 2}
"""Images of the roles that are inpainted; a Fréchet distance needs two."""


def prepare_faces(parameters: Parameters, role: str) -> FaceStore:
    """Draw the faces of a role, or pack its folder of photos, into data/prepared/<role>.

    A packing that was killed is gone on with; what is known of the split is printed, for the notebook.

    Raises:
        InputError: what is wrong with the folder, its table or a photo; the earlier store stays.
    """
    data: DataSet = getattr(parameters.data, role)
    size = parameters.image_size
    least = LEAST if role in ("celebahq", "ffhq") else {}
    if data.test is not None and data.test < least.get("test", 0):
        raise InputError(f"data.{role}.test: at least 2 test images are needed to evaluate, got {data.test}")
    if data.source == "drawn":
        from replication.data.drawn import drawn_chunks

        chunks = drawn_chunks(
            data.distribution, size, train=data.train, test=data.test, seed=data.seed, workers=_workers()
        )
        source: dict[str, Any] = {"kind": "drawn faces", "distribution": data.distribution, "seed": data.seed}
        return write_store(paths.store(role), name=data.title, size=size, chunks=chunks, source=source)

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
    code = source_digest(("data",))

    def check_counts(count: Callable[[str], int]) -> None:
        for split, needed in least.items():
            if count(split) < needed:
                found, verb = counted(count(split), f"{split} image"), "is" if needed == 1 else "are"
                raise InputError(
                    f"data.{role}.folder: {data.folder} gives {found}, and at least {needed} {verb} needed; add "
                    "photos, or change the split"
                )

    check_counts(photos.count)
    store = pack_photos(paths.store(role), photos, name=data.title, state=paths.PACKING / role, code=code)
    check_counts(lambda split: len(store.rows(split)))  # corrupt photos may have been skipped
    remember_sources(role, store.card["sha256"], photos.stamps)
    print(split_summary(store))
    return store


def prepare_masks(parameters: Parameters) -> MaskStore:
    """Draw irregular masks, or read NVIDIA's, into data/prepared/masks."""
    masks, size = parameters.masks, parameters.image_size
    if masks.source == "drawn":
        from replication.data.irregular_masks import draw_mask_store

        return draw_mask_store(
            paths.MASKS,
            size=size,
            train=masks.train,
            test_per_bucket=masks.test_per_bucket,
            seed=masks.seed,
            workers=_workers(),
        )
    from replication.data.nvidia_masks import read_mask_store

    return read_mask_store(
        paths.MASKS,
        size=size,
        test_folder=masks.test_folder,
        train_folder=masks.train_folder,
        train=masks.train,
        test_per_bucket=masks.test_per_bucket,
        seed=masks.seed,
        workers=_workers(),
    )


def prepare_pairs(parameters: Parameters, dataset: str) -> EvaluationPairs:
    """Freeze which test image is measured with which test mask; the same for every method."""
    store = FaceStore.open(paths.store(dataset))
    most, wanted = len(store.rows("test")), parameters.evaluation.pairs_per_bucket
    return write_pairs(
        paths.pairs(dataset),
        store,
        MaskStore.open(paths.MASKS),
        seed=parameters.evaluation.seed,
        per_bucket=most if wanted is None else min(most, wanted),
    )
