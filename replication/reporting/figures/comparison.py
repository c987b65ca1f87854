"""Picture figures of ShowFace: samples (Figure 1), methods (5), module and loss ablation (6, 7), memory sizes
(Table 4).

The pictures are the composites that were evaluated, on the stored pairs. Which pairs are shown depends on
their hole ratio alone, never on the result: see `choose_pairs`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from replication.drawing.pictures import Tile, masked_input, picture_grid, psnr
from replication.errors import InputError
from replication.reporting.tables.conditions import DATASET_NAMES, dataset_label

LARGE_HOLES = ("40-60%",)
CHOICE = "Rows: evenly over the hole ratio of the stored sample pairs, each face at most once; not by result."


@dataclass(frozen=True)
class Samples:
    """The stored samples of one experiment, K = k pairs of every bucket.

    pairs: bucket,image_row,image_id,mask_row,ratio (K rows); images, completed: uint8 (K,S,S,3);
    masks: uint8 (K,S,S), 1 = hole.
    """

    experiment: str
    dataset: str
    pairs: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray
    completed: np.ndarray


def load_samples(experiment: str, dataset: str, *, results: str | Path, prepared: str | Path) -> Samples | None:
    """Samples of `results/<experiment>/seed_0/samples.npz` with their images, masks and pairs from `prepared`.

    None when the experiment was not run. Raises InputError when the files do not fit each other.
    """
    from replication.data.masks import MaskStore
    from replication.data.store import FaceStore

    path = Path(results) / experiment / "seed_0" / "samples.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            composites = {bucket: stored[bucket] for bucket in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an archive of arrays ({error}).") from error
    pairs = pd.read_csv(Path(prepared) / "pairs" / f"{dataset}.csv")
    chosen = [pairs[pairs.bucket == bucket].head(len(images)) for bucket, images in composites.items()]
    for part, (bucket, images) in zip(chosen, composites.items(), strict=True):
        if len(part) != len(images):
            raise InputError(f"{path} has {len(images)} samples of bucket {bucket}, but there are {len(part)} pairs.")
    pairs = pd.concat(chosen, ignore_index=True)
    faces = FaceStore.open(Path(prepared) / dataset)
    masks = MaskStore.open(Path(prepared) / "masks").test[pairs.mask_row.to_numpy()]
    images = faces.images[pairs.image_row.to_numpy()]
    completed = np.concatenate(list(composites.values()))
    if completed.shape != images.shape:
        raise InputError(f"{path} holds images of shape {completed.shape}, the face store {images.shape}.")
    return Samples(experiment, dataset, pairs, np.asarray(images), np.asarray(masks), completed)


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


def figure1(
    samples: Mapping[str, Samples],
    *,
    names: Mapping[str, str] = DATASET_NAMES,
    subtitle: str = "",
    rows: int = 3,
    pairs_per_row: int = 2,
) -> Figure:
    """Figure 1: large holes completed, with mask and ground truth (data set -> samples of the full network)."""
    heads = ("masked input", "mask", "completed", "ground truth")
    grid, labels = [], []
    for dataset, own in samples.items():
        chosen = _with_large_holes(own, rows * pairs_per_row)
        for start in range(0, len(chosen), pairs_per_row):
            row = []
            for k in chosen[start : start + pairs_per_row]:
                row += [_input(own, k), _mask(own, k), _completion(own, k), Tile(own.images[k])]
            row += [Tile(np.full_like(own.images[0], 255))] * (len(heads) * pairs_per_row - len(row))
            grid.append(row)
            labels.append(names.get(dataset, dataset))
    return picture_grid(
        grid,
        columns=[*heads] * pairs_per_row,
        row_labels=labels,
        title="Figure 1. Completions of large holes",
        subtitle=subtitle,
        footnote=CHOICE,
    )


def comparison_figure(
    methods: Mapping[str, Mapping[str, Samples | None]],
    *,
    title: str,
    names: Mapping[str, str] = DATASET_NAMES,
    subtitle: str = "",
    rows: int = 4,
    buckets: Sequence[str] | None = None,
) -> Figure:
    """Methods side by side on the same pairs: input, mask, one column per method, ground truth.

    methods: dataset -> column title -> samples, None where the experiment was not run (its column says so);
    several data sets stand beside each other. names: how data sets are called. Raises InputError when the
    methods of a data set were not sampled on the same pairs, or none was run.
    """
    blocks: list[list[list[Tile]]] = []
    heads: list[str] = []
    groups: list[tuple[str, int]] = []
    for dataset, columns in methods.items():
        run = [own for own in columns.values() if own is not None]
        if not run:
            continue
        first = min(run, key=lambda own: len(own.pairs))
        places = {own.experiment: _places(first, own) for own in run}
        block = []
        for k in choose_pairs(first.pairs, rows, buckets):
            row = [_input(first, k), _mask(first, k)]
            for own in columns.values():
                row.append(Tile(None) if own is None else _completion(own, places[own.experiment][k]))
            block.append([*row, Tile(first.images[k])])
        blocks.append(block)
        own_heads = ["masked input", "mask", *columns, "ground truth"]
        heads += own_heads
        groups.append((names.get(dataset, dataset).replace("\n", " "), len(own_heads)))
    if not blocks:
        raise InputError(f"{title}: none of its experiments has samples.")
    depth = min(map(len, blocks))
    grid = [[tile for block in blocks for tile in block[i]] for i in range(depth)]
    return picture_grid(grid, columns=heads, groups=groups, title=title, subtitle=subtitle, footnote=CHOICE)


# Experiments of each comparison figure: data set -> (column title, experiment)
FIGURE5 = {
    "celebahq": (("PConv", "pconv"), ("Ours", "full")),
    "ffhq": (("PConv", "pconv_ffhq"), ("Ours", "full_ffhq")),
}
FIGURE6 = {"celebahq": (("w/o MREM\n+ w/o DMM", "no_mrem_no_dmm"), ("w/o MREM", "no_mrem"), ("Full", "full"))}
FIGURE7 = {
    "celebahq": (
        (r"w/o $\mathcal{L}_{sem}$", "no_semantic"), (r"w/o $\mathcal{L}_{intra}$", "no_intra"),
        (r"w/o $\mathcal{L}_{inter}$", "no_inter"), ("Full", "full"),
    )
}  # fmt: skip
MEMORY_FIGURE = {
    "celebahq": (
        ("m = 32", "slots_32"), ("m = 64", "slots_64"), ("m = 128 (Full)", "full"), ("m = 256", "slots_256"),
        ("m = 512", "slots_512"), ("one shared memory", "shared_memory"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Captioned:
    """A figure with what a page prints around it; `name` is its file name and anchor."""

    name: str
    figure: Figure
    title: str
    caption: str
    alt: str


def showface_figures(
    *,
    results: str | Path,
    prepared: str | Path,
    profile: str,
    sources: Mapping[str, str] | None = None,
    subtitle: str = "",
) -> list[Captioned]:
    """Figures 1, 5, 6, 7 and the memory figure, from every experiment that has samples; others are left out.

    profile, sources (data set -> "drawn" or "photos"): decide what the data sets are called (drawn faces do not
    appear under a photo set's name).
    subtitle: one line that says what was run (for example `Provenance.line()`), printed in every figure.
    """
    cache: dict[tuple[str, str], Samples | None] = {}

    def samples(experiment: str, dataset: str) -> Samples | None:
        key = (experiment, dataset)
        if key not in cache:
            cache[key] = load_samples(experiment, dataset, results=results, prepared=prepared)
        return cache[key]

    names = {dataset: dataset_label(dataset, profile, (sources or {}).get(dataset)) for dataset in DATASET_NAMES}
    made = []
    full = {"celebahq": samples("full", "celebahq"), "ffhq": samples("full_ffhq", "ffhq")}
    full = {dataset: own for dataset, own in full.items() if own is not None}
    if full:
        made.append(
            Captioned(
                "figure1",
                figure1(full, names=names, subtitle=subtitle),
                "Figure 1. Completions of large holes",
                "Masked inputs (holes in light grey), masks, what the full network puts there and the real face, on "
                f"test pairs of the largest hole bucket. PSNR of each completion below it. {CHOICE}",
                "Grid of faces with large irregular holes, each beside its completion and the real face.",
            )
        )
    for name, title, plan, large, what in (
        ("figure5", "Figure 5. Methods side by side", FIGURE5, False, "the methods of Table 1"),
        ("figure6", "Figure 6. Module ablation", FIGURE6, True, "the networks of Table 2"),
        ("figure7", "Figure 7. Loss ablation", FIGURE7, True, "the networks of Table 3"),
        ("memory_sizes", "Memory sizes (Table 4)", MEMORY_FIGURE, True, "the networks of Table 4"),
    ):
        methods = {d: {c: samples(e, d) for c, e in columns} for d, columns in plan.items()}
        if not any(own for columns in methods.values() for own in columns.values()):
            continue
        figure = comparison_figure(
            methods,
            title=title,
            names=names,
            subtitle=subtitle,
            buckets=("20-40%", "40-60%") if large else None,
            rows=4 if large else 3,
        )
        caption = f"The same test pairs completed by {what}. Hole ratio below each input, PSNR below each "
        f"completion. {CHOICE}"
        made.append(Captioned(name, figure, title, caption, f"Grid of faces completed by {what}, with ground truth."))
    return made


def _with_large_holes(own: Samples, count: int) -> list[int]:
    has_large = own.pairs.bucket.isin(LARGE_HOLES).any()
    return choose_pairs(own.pairs, count, LARGE_HOLES if has_large else None)


def _input(own: Samples, k: int) -> Tile:
    return Tile(masked_input(own.images[k], own.masks[k]), f"hole {100 * own.pairs.ratio[k]:.0f}%")


def _mask(own: Samples, k: int) -> Tile:
    return Tile(np.repeat(own.masks[k][..., None] * np.uint8(255), 3, axis=2))


def _completion(own: Samples, k: int) -> Tile:
    return Tile(own.completed[k], f"{psnr(own.completed[k], own.images[k]):.1f} dB")


def _places(first: Samples, own: Samples) -> dict[int, int]:
    """Row of `first` -> row of `own` with the same pair."""
    key = ["bucket", "image_row", "mask_row"]
    where = {tuple(pair): k for k, pair in enumerate(own.pairs[key].itertuples(index=False))}
    places = {k: where.get(tuple(pair)) for k, pair in enumerate(first.pairs[key].itertuples(index=False))}
    if None in places.values():
        raise InputError(
            f"experiments {first.experiment} and {own.experiment} were not sampled on the same pairs of {own.dataset}."
        )
    return places
