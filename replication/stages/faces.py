"""The stage that prepares the faces of one data set: drawn, or packed from a folder of photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from replication import paths
from replication.data.store import FaceStore, write_store
from replication.errors import InputError, counted
from replication.graph.closure import code_digest
from replication.processors import usable_processors
from replication.stages.source_changes import remember_sources

if TYPE_CHECKING:
    from replication.config import Parameters


LEAST = {"train": 1, "test": 2}
"""Images of data sets that are inpainted; a Fréchet distance needs two."""


def prepare_faces(parameters: Parameters, dataset: str) -> FaceStore:
    """Draw the faces of a data set, or pack its folder of photos, into data/prepared/<dataset> at the set's own size.

    A packing that was killed is gone on with; what is known of the split is printed, for the notebook.

    Raises:
        InputError: no such data set; what is wrong with the folder, its table or a photo. The earlier store stays.
    """
    data, size = parameters.data_set(dataset), parameters.image_size_of(dataset)
    least = LEAST if dataset in parameters.paired_datasets() else {}
    if data.test is not None and data.test < least.get("test", 0):
        raise InputError(f"data.{dataset}.test: at least 2 test images are needed to evaluate, got {data.test}")
    if data.source == "drawn":
        from replication.data.drawn import drawn_chunks

        chunks = drawn_chunks(
            data.distribution, size, train=data.train, test=data.test, seed=data.seed, workers=usable_processors()
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
        resize=data.resize,
        splits_become=data.splits,
        test_fraction=data.test_fraction,
        duplicates=data.duplicates,
        limit_train=data.train,
        limit_test=data.test,
        skip_corrupt=data.skip_corrupt,
        allow_upscaling=data.allow_upscaling,
        workers=usable_processors(),
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
