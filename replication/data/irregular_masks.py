"""Irregular hole masks, drawn: strokes, outlines, specks and blobs, filled up to a chosen hole ratio.

They imitate the look of the masks of Liu et al. 2018 (Image Inpainting for Irregular Holes Using Partial
Convolutions), which were made from occlusions between video frames: thick lines with turns, closed outlines
of objects and scattered specks, dilated; half of the test masks keep a border free. Numbers measured with
drawn masks are not comparable with numbers measured with NVIDIA's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from replication.data.masks import (
    BUCKETS,
    MaskStore,
    border_margin,
    bucket_of,
    mask_hash,
    reach_border,
    write_mask_store,
)
from replication.data.parallel import ordered_map
from replication.data.random_streams import stream
from replication.errors import InputError

SMALLEST_SIZE = 16
_TEST_INDEX = 2**32  # test masks are numbered from here, so that no number of training masks reaches them
_BATCH = 256
_MOST_STAMPS = 2000
Stamp = Callable[[ImageDraw.ImageDraw], None]


def _segment(x0: float, y0: float, x1: float, y1: float, width: float, canvas: ImageDraw.ImageDraw) -> None:
    """One piece of a stroke with a disc at its end, so that turns are round."""
    canvas.line((x0, y0, x1, y1), fill=255, width=max(1, round(width)))
    r = width / 2
    if r >= 1:
        canvas.ellipse((x1 - r, y1 - r, x1 + r, y1 + r), fill=255)


def _square(x: float, y: float, width: float, height: float, canvas: ImageDraw.ImageDraw) -> None:
    canvas.rectangle((x, y, x + max(0.0, width - 1), y + max(0.0, height - 1)), fill=255)


def _polygon(points: list[tuple[float, float]], canvas: ImageDraw.ImageDraw) -> None:
    canvas.polygon(points, fill=255)


def _wobbly_circle(rng: np.random.Generator, side: int, radius: float, count: int) -> list[tuple[float, float]]:
    """A closed outline: a circle whose radius follows three random harmonics, squeezed along one axis."""
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    strengths, phases = rng.uniform(0.05, 0.22, 3), rng.uniform(0, 2 * math.pi, 3)
    waves = sum(strengths[k] * np.cos((k + 2) * angles + phases[k]) for k in range(3))
    radii = radius * np.clip(1 + waves, 0.25, None)
    squeeze, tilt = rng.uniform(0.45, 1.0), rng.uniform(0, math.pi)
    x, y = radii * np.cos(angles), squeeze * radii * np.sin(angles)
    centre = rng.uniform(0.05 * side, 0.95 * side, 2)
    turned_x = centre[0] + x * math.cos(tilt) - y * math.sin(tilt)
    turned_y = centre[1] + x * math.sin(tilt) + y * math.cos(tilt)
    return list(zip(turned_x.tolist(), turned_y.tolist(), strict=True))


def _stroke(rng: np.random.Generator, side: int, pen: float, start: tuple[float, float]) -> Iterator[Stamp]:
    """A line of 3 to 9 segments that turns gently, with a sharp turn now and then."""
    x, y = start
    if start[0] in (0, side) or start[1] in (0, side):  # from the border into the picture
        angle = math.atan2(side / 2 - y, side / 2 - x) + rng.uniform(-0.9, 0.9)
    else:
        angle = rng.uniform(0, 2 * math.pi)
    width = pen * rng.uniform(0.7, 1.5)
    for _ in range(int(rng.integers(3, 10))):
        length = side * rng.uniform(0.05, 0.22)
        end = (x + length * math.cos(angle), y + length * math.sin(angle))
        yield partial(_segment, x, y, *end, width)
        x, y = end
        angle += rng.normal(0, 0.55) if rng.random() < 0.75 else rng.uniform(-2.4, 2.4)
        if not (-0.1 * side < x < 1.1 * side and -0.1 * side < y < 1.1 * side):
            return


def _straight(rng: np.random.Generator, side: int, pen: float) -> Iterator[Stamp]:
    """A straight bar, usually across much of the picture."""
    x, y = rng.uniform(0, side, 2)
    angle, length = rng.uniform(0, math.pi), side * rng.uniform(0.3, 1.0)
    dx, dy = 0.5 * length * math.cos(angle), 0.5 * length * math.sin(angle)
    width = pen * rng.uniform(0.4, 0.9)
    for part in np.linspace(-1, 1, 5)[:-1].tolist():
        yield partial(_segment, x + part * dx, y + part * dy, x + (part + 0.5) * dx, y + (part + 0.5) * dy, width)


def _outline(rng: np.random.Generator, side: int, pen: float) -> Iterator[Stamp]:
    """The closed outline of a blob, at times with gaps."""
    points = _wobbly_circle(rng, side, side * rng.uniform(0.08, 0.3), 16)
    width, gap = pen * rng.uniform(0.6, 1.2), rng.uniform(0, 0.25)
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if rng.random() >= gap:
            yield partial(_segment, x0, y0, x1, y1, width)


def _specks(rng: np.random.Generator, side: int, pen: float) -> Iterator[Stamp]:
    """Scattered rectangles, as a square dilation leaves of single pixels."""
    centre, spread = rng.uniform(0, side, 2), side * rng.uniform(0.06, 0.25)
    edge = max(1.0, pen * rng.uniform(0.5, 1.0))
    count = int(rng.integers(4, 16))
    xs, ys = rng.normal(centre[:, None], spread, (2, count)).tolist()
    for x, y, stretch in zip(xs, ys, rng.uniform(1, 2.2, count).tolist(), strict=True):
        yield partial(_square, x, y, edge, edge * stretch)


def _blob(rng: np.random.Generator, side: int, pen: float) -> Iterator[Stamp]:
    """A filled blob."""
    yield partial(_polygon, _wobbly_circle(rng, side, pen * rng.uniform(0.8, 1.8), 14))


def _shapes(rng: np.random.Generator, side: int, ratio: float, reach_edge: bool) -> Iterator[Stamp]:
    """Stamps without end; the first stroke starts on the edge if `reach_edge`."""
    # NVIDIA's large holes are wide ones, from stronger dilation, and not a web of many thin ones.
    pen = side * math.exp(rng.uniform(math.log(0.022 + 0.11 * ratio), math.log(0.065 + 0.2 * ratio)))
    # Each mask has its own mixture, so that masks differ in character and not only in detail.
    mixture = rng.dirichlet((2.0, 0.5, 1.5, 1.0, 0.5))
    if reach_edge:
        along, edge = rng.uniform(0, side), int(rng.integers(4))
        start = [(along, 0), (along, side), (0, along), (side, along)][edge]
        yield from _stroke(rng, side, pen, start)
    while True:
        kind = int(rng.choice(5, p=mixture))
        if kind == 0:
            yield from _stroke(rng, side, pen, tuple(rng.uniform(0.02 * side, 0.98 * side, 2).tolist()))
        else:
            yield from (_straight, _outline, _specks, _blob)[kind - 1](rng, side, pen)


def _try_mask(rng: np.random.Generator, size: int, bucket: str, touches_border: bool) -> np.ndarray | None:
    """Stamp shapes until a ratio drawn evenly from the bucket is reached; None if that did not work out."""
    low, high = BUCKETS[bucket]
    total = size * size
    margin = 0 if touches_border else border_margin(size)
    side = size - 2 * margin  # shapes are cut at the border that stays free, as NVIDIA's are
    # At tiny sizes the inside is hardly larger than the largest hole; shapes never fill all of it.
    ratio = rng.uniform(low, min(high, 0.95 * side * side / total))
    picture = Image.new("L", (side, side))
    canvas = ImageDraw.Draw(picture)
    filled = refused = 0
    for stamp in itertools.islice(_shapes(rng, side, ratio, touches_border), _MOST_STAMPS):
        before = picture.copy()
        stamp(canvas)
        count = picture.histogram()[255]
        if count > high * total:
            picture.paste(before)
            refused += 1
        else:
            filled = count
        if filled >= ratio * total or refused > 40:
            break
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[margin : margin + side, margin : margin + side] = np.asarray(picture) > 0
    in_bucket = bucket_of(filled / total) == bucket
    return mask if in_bucket and bool(reach_border(mask[None])[0]) == touches_border else None


def draw_mask(
    *,
    size: int,
    seed: int,
    index: int,
    bucket: str | None = None,
    touches_border: bool | None = None,
    variant: int = 0,
) -> np.ndarray:
    """Draw mask `index` of the stream `seed`: uint8 {0,1} (size,size), 1 = hole. A pure function of its
    arguments.

    bucket, touches_border: what the mask has to be; by default they go round with the index, so that any six
    masks in a row have every bucket once with and once without holes in the border. variant: another mask for
    the same index. Raises InputError for an unknown bucket or a size below 16.
    """
    if size < SMALLEST_SIZE:
        raise InputError(f"mask size {size}: masks are drawn from {SMALLEST_SIZE} pixels on")
    bucket = list(BUCKETS)[index % 3] if bucket is None else bucket
    if bucket not in BUCKETS:
        raise InputError(f"bucket {bucket!r}: allowed are {', '.join(BUCKETS)}")
    touches_border = index // 3 % 2 == 0 if touches_border is None else touches_border
    rng = stream(seed, f"irregular mask, variant {variant}", index)
    while True:  # ends: a try fails rarely, when nothing fits into the rest of its bucket
        mask = _try_mask(rng, size, bucket, touches_border)
        if mask is not None:
            return mask


def _draw_batch(task: tuple[int, int, int, int]) -> np.ndarray:
    size, seed, first, count = task
    return np.stack([draw_mask(size=size, seed=seed, index=first + k) for k in range(count)])


def draw_masks(
    count: int, *, size: int, seed: int, split: str, avoid: set[bytes] | None = None, workers: int = 0
) -> Iterator[np.ndarray]:
    """Yield batches (n,S,S) of `count` different masks of one split; see `draw_mask` for how they alternate.

    The two splits draw from disjoint numbers. avoid: hashes of masks not to draw; grows by what was drawn. At
    tiny sizes equal masks do occur; another variant is drawn then.
    """
    offset = {"train": 0, "test": _TEST_INDEX}[split]
    seen = set() if avoid is None else avoid
    tasks = [(size, seed, offset + start, min(_BATCH, count - start)) for start in range(0, count, _BATCH)]
    for task, masks in zip(tasks, ordered_map(_draw_batch, tasks, workers), strict=True):
        for k in range(len(masks)):
            variant = 0
            while (name := mask_hash(masks[k])) in seen:
                variant += 1
                masks[k] = draw_mask(size=size, seed=seed, index=task[2] + k, variant=variant)
            seen.add(name)
        yield masks


def draw_mask_store(
    path: str | Path, *, size: int, train: int, test_per_bucket: int, seed: int, workers: int = 0
) -> MaskStore:
    """Draw `train` training masks and `test_per_bucket` test masks of each bucket; no mask occurs twice.

    The training masks are shared evenly among the buckets. In each bucket half of the masks are border-free.
    """
    for name, count in (("train", train), ("test_per_bucket", test_per_bucket)):
        if count < 1:
            raise InputError(f"{name}={count}: at least one mask is needed")
    seen: set[bytes] = set()
    test = test_per_bucket * len(BUCKETS)
    return write_mask_store(
        path,
        size=size,
        test=draw_masks(test, size=size, seed=seed, split="test", avoid=seen, workers=workers),
        train=draw_masks(train, size=size, seed=seed, split="train", avoid=seen, workers=workers),
        source={"kind": "drawn irregular masks", "seed": seed},
    )
