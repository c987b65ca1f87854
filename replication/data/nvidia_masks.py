"""The irregular masks of Liu et al. 2018, as NVIDIA published them -> a mask store.

Test set: 12,000 PNGs of 512x512, 0 and 255, white = hole; half of them keep a border of 50 px free. Training
set: 55,116 raw occlusion maps of the opposite polarity, black = hole, to be used after a threshold at 0.6, a
random dilation of 9 to 49 px and a random translation, rotation and crop (publication page; it gives no more
numbers than these). The polarity is always stated by the caller and checked against the masks, never guessed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from replication.data.folder_listing import UNREADABLE, refuse_unreadable, stamps_of
from replication.data.grey_files import read_grey
from replication.data.masks import (
    BUCKETS,
    MaskStore,
    border_margin,
    bucket_of,
    hole_ratios,
    mask_hash,
    reach_border,
    write_mask_store,
)
from replication.data.parallel import ordered_map
from replication.data.random_streams import stream
from replication.errors import InputError, counted

NVIDIA = "NVIDIA irregular masks (Liu et al. 2018)"
"""Kind of source in the card of a store that this module writes."""

log = logging.getLogger(__name__)
_BATCH = 128
_CHECKED = 300  # masks looked at to check the polarity
_TRIES = 40
OCCLUSION_THRESHOLD = 0.6  # above it, an occlusion map is white; publication page


def mask_files(folder: str | Path) -> list[Path]:
    """All PNGs of a folder and its subfolders, sorted. Raises InputError if there are none, or one cannot be read."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"mask folder {folder} does not exist")
    stamps = stamps_of(folder, (".png",))
    if not stamps:
        raise InputError(f"mask folder {folder} holds no PNG files")
    refuse_unreadable(folder, [name for name, stamp in stamps.items() if stamp == UNREADABLE], "mask", "remove it")
    return sorted(folder / name for name in stamps)


def _grey(path: Path) -> np.ndarray:
    """A mask file as uint8 (H,H) in 0..255."""
    grey = read_grey(path, "mask")
    if grey.shape[0] != grey.shape[1]:
        raise InputError(f"mask {path} is {grey.shape[1]}x{grey.shape[0]}; masks are square")
    return grey


def read_mask(path: Path, *, size: int, hole_is: str) -> np.ndarray:
    """A black-and-white mask file, resized by nearest neighbour: uint8 {0,1} (size,size), 1 = hole.

    hole_is: "white" or "black". Raises InputError for a file with grey values, one smaller than `size`, and
    one that is all hole.
    """
    grey = _grey(path)
    if grey.shape[0] < size:
        raise InputError(f"mask {path} is {grey.shape[0]} pixels wide, smaller than the target of {size}")
    # Checked before resizing: interpolated or JPEG-born greys are a sign of the wrong files.
    if ((grey != 0) & (grey != 255)).any():
        raise InputError(f"mask {path} holds grey values; masks are black and white (0 and 255)")
    white = np.asarray(Image.fromarray(grey).resize((size, size), Image.Resampling.NEAREST)) >= 128
    mask = white if _white_is_hole(hole_is) else ~white
    if mask.all():
        raise InputError(f"mask {path} is all hole: nothing would be known of the image")
    return mask.astype(np.uint8)


def _white_is_hole(hole_is: str) -> bool:
    if hole_is not in ("white", "black"):
        raise InputError(f"hole_is={hole_is!r}: allowed are 'white' and 'black'")
    return hole_is == "white"


def check_polarity(files: list[Path], *, hole_is: str, threshold: float = 0.5) -> dict[str, float]:
    """Compare the stated polarity with what the masks look like, at up to 300 of them.

    Two signs: holes of irregular masks cover at most 60%, and a border that many masks have in one colour is
    known, not hole. Raises InputError if either points to the other polarity; returns the shares that were
    measured.
    """
    chosen = [files[k] for k in np.unique(np.linspace(0, len(files) - 1, _CHECKED).round().astype(int))]
    large = inverse_large = hole_border = known_border = 0
    for path in chosen:
        white = _grey(path) > threshold * 255
        hole = white if _white_is_hole(hole_is) else ~white
        m = border_margin(hole.shape[0])
        border = np.concatenate([hole[:m].ravel(), hole[-m:].ravel(), hole[:, :m].ravel(), hole[:, -m:].ravel()])
        large += hole.mean() > 0.6
        inverse_large += hole.mean() < 0.4
        hole_border += border.all()
        known_border += not border.any()
    other = "black" if hole_is == "white" else "white"
    count = len(chosen)
    if (large > 0.5 * count and inverse_large < large) or (hole_border > 0.1 * count and known_border < hole_border):
        raise InputError(
            f"hole_is={hole_is!r} does not fit the masks in {files[0].parent}: {large} of {count} would have "
            f"more than 60% hole and {hole_border} a border of nothing but hole; use hole_is={other!r}"
        )
    return {"checked": count, "ratio_above_60%": large / count, "border_free": known_border / count}


def _read_batch(files: list[Path], size: int, hole_is: str) -> np.ndarray:
    return np.stack([read_mask(path, size=size, hole_is=hole_is) for path in files])


def read_masks(files: list[Path], *, size: int, hole_is: str, workers: int = 0) -> Iterator[np.ndarray]:
    """Yield the masks of files in batches uint8 {0,1} (n,size,size), in order; see `read_mask`."""
    batches = [files[k : k + _BATCH] for k in range(0, len(files), _BATCH)]
    yield from ordered_map(partial(_read_batch, size=size, hole_is=hole_is), batches, workers)


def augment_occlusion(hole: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """Dilate, shift, rotate and crop a raw occlusion map, as its publication page asks for.

    hole: bool (H,H). Dilation by a square of 9 to 49 px at 512 px, in proportion at other sizes, as on the
    page. Ours, where the page gives no numbers: rotation by any angle, a crop of 60 to 100% of the side,
    translated within what that leaves. Returns uint8 {0,1} (size,size).
    """
    side = hole.shape[0]
    width = max(1, round(int(rng.integers(9, 50)) * side / 512))
    dilated = hole.astype(np.uint8)
    for axis in (0, 1):  # a square is separable
        dilated = ndimage.maximum_filter1d(dilated, width, axis=axis, mode="constant")
    angle = rng.uniform(0, 360)
    crop = side * rng.uniform(0.6, 1.0)
    left, top = rng.uniform(0, side - crop, 2)
    turned = Image.fromarray(dilated * 255).rotate(angle, Image.Resampling.NEAREST)
    box = (left, top, left + crop, top + crop)
    return (np.asarray(turned.resize((size, size), Image.Resampling.NEAREST, box=box)) >= 128).astype(np.uint8)


def _augmented(numbers: list[int], files: list[Path], size: int, seed: int, hole_is: str) -> np.ndarray:
    masks = []
    for number in numbers:
        rng = stream(seed, "occlusion map", number)
        for _ in range(_TRIES):
            white = _grey(files[int(rng.integers(len(files)))]) > OCCLUSION_THRESHOLD * 255
            mask = augment_occlusion(white if _white_is_hole(hole_is) else ~white, rng, size)
            if bucket_of(mask.mean()) is not None:
                masks.append(mask)
                break
        else:
            raise InputError(
                f"the occlusion maps in {files[0].parent} give no holes of 1 to 60% in {_TRIES} tries; "
                "they are not raw occlusion maps"
            )
    return np.stack(masks)


def augmented_masks(
    files: list[Path], count: int, *, size: int, seed: int, hole_is: str, workers: int = 0
) -> Iterator[np.ndarray]:
    """Yield `count` training masks made of raw occlusion maps, in batches uint8 {0,1} (n,size,size).

    Mask k depends on (seed, k) and the list of files alone: a random map, augmented; another one as long as
    the ratio lies outside (0.01, 0.60].
    """
    numbers = [list(range(k, min(k + _BATCH, count))) for k in range(0, count, _BATCH)]
    work = partial(_augmented, files=files, size=size, seed=seed, hole_is=hole_is)
    yield from ordered_map(work, numbers, workers)


class _Sieve:
    """Leaves out masks whose ratio is in no bucket and masks that were there before; counts both.

    seen: hashes of the masks that were there before; grows.
    """

    def __init__(self, seen: set[bytes]) -> None:
        self._seen = seen
        self.read = self.outside = self.repeated = 0
        self.smallest, self.largest = 1.0, 0.0

    def usable(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The masks of the batches that can be used, never an empty batch."""
        for masks in batches:
            keep = np.zeros(len(masks), dtype=bool)
            for k, ratio in enumerate(hole_ratios(masks).tolist()):
                name = mask_hash(masks[k])
                self.read += 1
                self.smallest, self.largest = min(self.smallest, ratio), max(self.largest, ratio)
                if bucket_of(ratio) is None:
                    self.outside += 1
                elif name in self._seen:
                    self.repeated += 1
                else:
                    keep[k] = True
                    self._seen.add(name)
            if keep.any():
                yield masks[keep]

    def __str__(self) -> str:
        """ "200 masks read, 180 left out (170 with a hole outside 1 to 60 %, 10 repeated)"; all if nothing was."""
        left_out = self.outside + self.repeated
        parts = [(self.outside, "with a hole outside 1 to 60 %"), (self.repeated, "repeated")]
        why = ", ".join(f"{count:,} {what}" for count, what in parts if count)
        return f"{counted(self.read, 'mask')} read, " + (f"{left_out:,} left out ({why})" if left_out else "all usable")


def _refuse_unusable(masks: np.ndarray, sieve: _Sieve, folder: str | Path, every_bucket: bool) -> None:
    """Raise InputError if none of the test masks can be used, or none of a bucket is there that is measured."""
    if not len(masks):
        raise InputError(
            f"mask folder {folder}: none of {counted(sieve.read, 'mask')} has a hole of 1 to 60 % of its pixels; the "
            f"smallest covers {sieve.smallest:.2%}, the largest {sieve.largest:.2%}"
        )
    buckets = [bucket_of(ratio) for ratio in hole_ratios(masks).tolist()]
    counts = {bucket: buckets.count(bucket) for bucket in BUCKETS}
    if every_bucket and not all(counts.values()):
        found = ", ".join(f"{count:,} of {bucket}" for bucket, count in counts.items())
        raise InputError(
            f"mask folder {folder}: each range of the hole's share is measured, and not every one has a mask ({found}; "
            f"{sieve}); add masks, or draw them by masks.source: drawn"
        )


def _choose_test(masks: np.ndarray, per_bucket: int, seed: int) -> np.ndarray:
    """bool (n,): `per_bucket` masks of each bucket for testing, half border-free if there are enough."""
    chosen = np.zeros(len(masks), dtype=bool)
    buckets = np.array([bucket_of(ratio) for ratio in hole_ratios(masks)])
    reaching = reach_border(masks)
    for number, bucket in enumerate(BUCKETS):
        rng = stream(seed, "test masks", number)
        free, other = (rng.permutation(np.flatnonzero((buckets == bucket) & (reaching == kind))) for kind in (0, 1))
        from_free = min(len(free), max(per_bucket // 2, per_bucket - len(other)))
        chosen[free[:from_free]] = True
        chosen[other[: per_bucket - from_free]] = True
    return chosen


def _counted(
    batches: Iterable[np.ndarray], sieve: _Sieve, card: dict[str, Any], folder: str | Path
) -> Iterator[np.ndarray]:
    """The training masks that can be used; afterwards the card says how many were left out."""
    yield from sieve.usable(batches)
    log.info("made of %s: %s", folder, sieve)
    card |= {"train_left_out_by_ratio": sieve.outside, "train_left_out_as_repeated": sieve.repeated}


def _in_batches(masks: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BATCH):
        yield masks[rows[start : start + _BATCH]]


def read_mask_store(
    path: str | Path,
    *,
    size: int,
    test_folder: str | Path,
    seed: int,
    train_folder: str | Path | None = None,
    train: int | None = None,
    test_per_bucket: int | None = None,
    hole_is: str = "white",
    train_hole_is: str = "black",
    every_bucket: bool = True,
    workers: int = 0,
) -> MaskStore:
    """Read NVIDIA's masks into a mask store; ratios and buckets are those after resizing.

    test_folder: the black-and-white test masks. train_folder: the raw training maps. hole_is, train_hole_is:
    their polarities, by default as published.
    test_per_bucket: choose so many test masks of each bucket, or all if there are fewer; half border-free.
    train: number of training masks to make, by default one per raw map. Without `train_folder` the test masks
    that were not chosen for testing become the training masks, at most `train` of them, and the card says so.
    every_bucket: whether irregular holes are measured, so that each bucket needs a test mask.
    Raises InputError for a folder without masks, a polarity that does not fit, files that are not masks, masks of which
    none can be used or (if `every_bucket`) none of a bucket, and if nothing is left to train on.
    """
    files = mask_files(test_folder)
    card: dict[str, Any] = {
        "kind": NVIDIA,
        "seed": seed,
        "test_files": len(files),
        "test_polarity": {"stated": f"hole is {hole_is}", **check_polarity(files, hole_is=hole_is)},
    }
    seen: set[bytes] = set()
    # Chosen by bucket, so all have to be known first: 12,000 of them are 0.8 GB at 256 px.
    usable = np.empty((len(files), size, size), dtype=np.uint8)
    count = 0
    sieve = _Sieve(seen)
    for masks in sieve.usable(read_masks(files, size=size, hole_is=hole_is, workers=workers)):
        usable[count : count + len(masks)] = masks
        count += len(masks)
    usable = usable[:count]
    _refuse_unusable(usable, sieve, test_folder, every_bucket)
    log.info("%s: %s", test_folder, sieve)
    card |= {"test_left_out_by_ratio": sieve.outside, "test_left_out_as_repeated": sieve.repeated}
    if test_per_bucket is None and train_folder is None:
        raise InputError("without train_folder, test_per_bucket has to say how many masks are kept for testing")
    chosen = np.ones(count, dtype=bool) if test_per_bucket is None else _choose_test(usable, test_per_bucket, seed)
    if train_folder is not None:
        raw = mask_files(train_folder)
        card["train_files"] = len(raw)
        card["training"] = "raw occlusion maps: threshold 0.6, dilation 9 to 49 px, rotation, crop, translation"
        polarity = check_polarity(raw, hole_is=train_hole_is, threshold=OCCLUSION_THRESHOLD)
        card["train_polarity"] = {"stated": f"hole is {train_hole_is}", **polarity}
        made = augmented_masks(raw, train or len(raw), size=size, seed=seed, hole_is=train_hole_is, workers=workers)
        training = _counted(made, _Sieve(seen), card, train_folder)
    else:
        card["training"] = "no training maps given: test masks that are not used for testing, disjoint by content"
        rest = np.flatnonzero(~chosen)
        if not len(rest):
            raise InputError(
                f"test_per_bucket={test_per_bucket} leaves none of the {count:,} usable masks in {test_folder} for "
                f"training ({sieve}); choose fewer or give train_folder"
            )
        if train is not None and train < len(rest):
            rest = np.sort(stream(seed, "training masks kept").permutation(rest)[:train])
        training = _in_batches(usable, rest)
    test = _in_batches(usable, np.flatnonzero(chosen))
    return write_mask_store(path, size=size, train=training, test=test, source=card)
