"""Picture figures of a paper: samples of one run a data set, and runs side by side on the same pairs.

The pictures are the composites that were evaluated, on the stored pairs. Which pairs are shown depends on
their hole ratio alone, never on the result: see `choose_pairs`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from replication import paths
from replication.drawing.pictures import Tile, masked_input, picture_grid, psnr_words
from replication.errors import InputError
from replication.papers import PlannedFigure
from replication.reporting.placement import Column

PAIRS_PER_ROW = 2  # of a samples figure
CHOICE = "Rows: evenly over the hole ratio of the stored sample pairs, each face at most once; not by result."


@dataclass(frozen=True)
class Samples:
    """The stored samples of one run, K = k pairs of every bucket.

    pairs: bucket,image_row,image_id,mask_row,ratio (K rows); images, completed: uint8 (K,S,S,3);
    masks: uint8 (K,S,S), 1 = hole.
    """

    run: str
    dataset: str
    pairs: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray
    completed: np.ndarray


def load_samples(run: str, dataset: str, protocol: str, *, root: Path = Path()) -> Samples | None:
    """Samples of a run's first training with their images, holes and pairs, in the checkout at `root`.

    None when the run was not measured. Raises InputError when the files do not fit each other.
    """
    from replication.data.masks import MaskStore
    from replication.data.store import FaceStore

    path = root / paths.results(run) / "samples.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            composites = {bucket: stored[bucket] for bucket in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an archive of arrays ({error}).") from error
    table = root / paths.pairs(protocol, dataset)
    pairs = pd.read_csv(table, dtype={"image_id": str, "bucket": str}, keep_default_na=False)
    chosen = [pairs[pairs.bucket == bucket].head(len(images)) for bucket, images in composites.items()]
    for part, (bucket, images) in zip(chosen, composites.items(), strict=True):
        if len(part) != len(images):
            raise InputError(f"{path} has {len(images)} samples of bucket {bucket}, but there are {len(part)} pairs.")
    pairs = pd.concat(chosen, ignore_index=True)
    faces = FaceStore.open(root / paths.store(dataset))
    own_holes = table.with_name(f"{dataset}_holes.npy")  # where the protocol's holes are no irregular masks
    if own_holes.is_file():
        holes = np.load(own_holes, mmap_mode="r")
    else:
        holes = MaskStore.open(root / paths.masks(dataset)).test
    masks, images = holes[pairs.mask_row.to_numpy()], faces.images[pairs.image_row.to_numpy()]
    completed = np.concatenate(list(composites.values()))
    if completed.shape != images.shape:
        raise InputError(f"{path} holds images of shape {completed.shape}, the face store {images.shape}.")
    return Samples(run, dataset, pairs, np.asarray(images), np.asarray(masks), completed)


def choose_pairs(pairs: pd.DataFrame, count: int, buckets: Sequence[str] | None = None) -> list[int]:
    """Row numbers of `count` pairs, evenly over the hole ratio, each face at most once where faces suffice.

    The pairs (of the given buckets) are sorted by ratio; the picks are those nearest to evenly spaced ranks.
    """
    allowed = pairs if buckets is None else pairs[pairs.bucket.isin(list(buckets))]
    order = allowed.sort_values(["ratio", "image_row", "mask_row"], kind="stable").index.to_list()
    count = min(count, len(order))
    taken: list[int] = []
    for target in np.linspace(0, len(order) - 1, count):
        free = [rank for rank in range(len(order)) if rank not in taken]
        used = {pairs.image_row[order[rank]] for rank in taken}
        # A face that is shown already counts as far away, so it comes back only when all are shown.
        cost = [(pairs.image_row[order[r]] in used, abs(r - target), r) for r in free]
        taken.append(min(cost)[2])
    return [order[rank] for rank in sorted(taken)]


def samples_figure(
    samples: Mapping[str, Samples],
    *,
    title: str,
    names: Mapping[str, str],
    subtitle: str = "",
    rows: int = 3,
    buckets: Sequence[str] = (),
) -> Figure:
    """Holes completed by one run a data set, with mask and ground truth.

    samples: data set as the paper names it -> samples. names: how it is called in the figure. buckets: of the pairs to
    choose from, where there are any of them.
    """
    heads = ("masked input", "mask", "completed", "ground truth")
    grid, labels = [], []
    for dataset, own in samples.items():
        wanted = list(buckets) if own.pairs.bucket.isin(list(buckets)).any() else None
        chosen = choose_pairs(own.pairs, rows * PAIRS_PER_ROW, wanted)
        for start in range(0, len(chosen), PAIRS_PER_ROW):
            row = []
            for k in chosen[start : start + PAIRS_PER_ROW]:
                row += [_input(own, k), _mask(own, k), _completion(own, k), Tile(own.images[k])]
            row += [Tile(np.full_like(own.images[0], 255))] * (len(heads) * PAIRS_PER_ROW - len(row))
            grid.append(row)
            labels.append(names.get(dataset, dataset))
    return picture_grid(
        grid,
        columns=[*heads] * PAIRS_PER_ROW,
        row_labels=labels,
        title=title,
        subtitle=subtitle,
        footnote=CHOICE,
    )


def comparison_figure(
    methods: Mapping[str, Mapping[str, Samples | None]],
    *,
    title: str,
    names: Mapping[str, str],
    subtitle: str = "",
    rows: int = 4,
    buckets: Sequence[str] = (),
) -> Figure:
    """Methods side by side on the same pairs: input, mask, one column per method, ground truth.

    methods: data set as the paper names it -> column title -> samples, None where the run was not measured (its column
    says so); several data sets stand beside each other. names: how they are called in the figure. buckets: of the pairs
    to choose from; none for all. Raises InputError when the runs of a data set were not sampled on the same pairs, or
    none was measured.
    """
    blocks: list[list[list[Tile]]] = []
    heads: list[str] = []
    groups: list[tuple[str, int]] = []
    for dataset, columns in methods.items():
        there = [own for own in columns.values() if own is not None]
        if not there:
            continue
        first = min(there, key=lambda own: len(own.pairs))
        places = {own.run: _places(first, own) for own in there}
        block = []
        for k in choose_pairs(first.pairs, rows, buckets or None):
            row = [_input(first, k), _mask(first, k)]
            for own in columns.values():
                row.append(Tile(None) if own is None else _completion(own, places[own.run][k]))
            block.append([*row, Tile(first.images[k])])
        blocks.append(block)
        own_heads = ["masked input", "mask", *columns, "ground truth"]
        heads += own_heads
        groups.append((names.get(dataset, dataset).replace("\n", " "), len(own_heads)))
    if not blocks:
        raise InputError(f"{title}: none of its runs has samples.")
    depth = min(map(len, blocks))
    grid = [[tile for block in blocks for tile in block[i]] for i in range(depth)]
    return picture_grid(grid, columns=heads, groups=groups, title=title, subtitle=subtitle, footnote=CHOICE)


@dataclass(frozen=True)
class Captioned:
    """A figure with what a page prints around it; `name` is its file name and anchor."""

    name: str
    figure: Figure
    title: str
    caption: str
    alt: str


def picture_figure(
    planned: PlannedFigure,
    columns: Sequence[Column],
    samples: Callable[[str], Samples | None],
    *,
    names: Mapping[str, str],
    subtitle: str = "",
) -> Captioned | None:
    """A figure of kind "samples" or "comparison", or None where none of its runs has samples.

    columns: the runs that stand in it. samples: run -> its stored samples, or None. names: data set as the paper names
    it -> how it is called in the figure. subtitle: one line that says what was run, such as `Conditions.line()`.

    Raises:
        InputError: a samples figure has two runs on one data set, or runs were not sampled on the same pairs.
    """
    found = {column: samples(column.run) for column in columns}
    if not any(found.values()):
        return None
    common = {"title": planned.title, "names": names, "subtitle": subtitle, "rows": planned.rows}
    if planned.kind == "samples":
        datasets = [column.dataset for column in columns]
        if double := [name for name in datasets if datasets.count(name) > 1]:
            raise InputError(f"{planned.title}: has room for one run on {double[0]}, and several name it")
        own = {column.dataset: one for column, one in found.items() if one is not None}
        figure = samples_figure(own, buckets=planned.buckets, **common)
    else:
        methods: dict[str, dict[str, Samples | None]] = {}
        for column, one in found.items():
            methods.setdefault(column.dataset, {})[column.title] = one
        figure = comparison_figure(methods, buckets=planned.buckets, **common)
    return Captioned(planned.name, figure, planned.title, f"{planned.caption} {CHOICE}", planned.alt)


def _input(own: Samples, k: int) -> Tile:
    return Tile(masked_input(own.images[k], own.masks[k]), f"hole {100 * own.pairs.ratio[k]:.0f}%")


def _mask(own: Samples, k: int) -> Tile:
    return Tile(np.repeat(own.masks[k][..., None] * np.uint8(255), 3, axis=2))


def _completion(own: Samples, k: int) -> Tile:
    return Tile(own.completed[k], psnr_words(own.completed[k], own.images[k]))


def _places(first: Samples, own: Samples) -> dict[int, int]:
    """Row of `first` -> row of `own` with the same pair."""
    key = ["bucket", "image_row", "mask_row"]
    where = {tuple(pair): k for k, pair in enumerate(own.pairs[key].itertuples(index=False))}
    places = {k: where.get(tuple(pair)) for k, pair in enumerate(first.pairs[key].itertuples(index=False))}
    if None in places.values():
        raise InputError(f"runs {first.run} and {own.run} were not sampled on the same pairs of {own.dataset}.")
    return places
