"""From seeds to finished faces: one at a time, or a stream of batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from replication.data.drawn_faces import labels
from replication.data.drawn_faces.background import paint_background
from replication.data.drawn_faces.canvas import UNITS, Canvas
from replication.data.drawn_faces.face import Scene, paint_ears, paint_head, paint_neck, paint_nostrils
from replication.data.drawn_faces.features import paint_brows, paint_eyes, paint_facial_hair, paint_mouth
from replication.data.drawn_faces.hair import ears_show, paint_back_hair, paint_front_hair
from replication.data.drawn_faces.person import DISTRIBUTIONS, sample_person
from replication.data.drawn_faces.picture import sample_picture
from replication.data.drawn_faces.wear import (
    paint_clothes,
    paint_earrings,
    paint_glasses,
    paint_hat,
    paint_necklace,
)
from replication.data.parallel import ordered_map
from replication.errors import InputError

SMALLEST, LARGEST = 32, 512
IDENTITIES_PER_SEED = 1_000_000


@dataclass(frozen=True)
class DrawnFace:
    """One picture with its labels."""

    image: np.ndarray  # uint8 (S, S, 3) RGB
    parsing: np.ndarray  # uint8 (S, S), labels.LABELS
    identity: int
    attributes: dict[str, float]  # 0.0 or 1.0, in the order of labels.ATTRIBUTES
    landmarks: np.ndarray  # float32 (5, 2): x, y in pixels from the corner, in the order of labels.LANDMARKS
    boxes: dict[str, tuple[int, int, int, int]]  # x0, y0, x1, y1 in pixels, x1 and y1 exclusive; labels.BOXES


@dataclass(frozen=True)
class FaceBatch:
    """Consecutive faces of a stream; row i is face number `start + i`."""

    start: int
    images: np.ndarray  # uint8 (B, S, S, 3)
    parsing: np.ndarray  # uint8 (B, S, S)
    identities: np.ndarray  # int64 (B,)
    attributes: np.ndarray  # float32 (B, len(labels.ATTRIBUTES))
    landmarks: np.ndarray  # float32 (B, 5, 2)
    boxes: np.ndarray  # int32 (B, len(labels.BOXES), 4)


def _check(distribution: str, size: int) -> None:
    if distribution not in DISTRIBUTIONS:
        raise InputError(
            f"drawn faces: distribution is {distribution!r}; it must be one of {', '.join(DISTRIBUTIONS)}."
        )
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not SMALLEST <= size <= LARGEST:
        raise InputError(f"drawn faces: size is {size!r}; it must be a whole number from {SMALLEST} to {LARGEST}.")


def _whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"drawn faces: {name} is {value!r}; it must be a whole number of at least {least}.")


def _scale(size: int) -> float:
    """Samples per pixel: enough for lashes and strands at small sizes, none wasted at large ones."""
    return 2.0 if size <= 80 else 1.5 if size <= 160 else 1.0


def draw_face(identity: int, picture: int, *, distribution: str, size: int) -> DrawnFace:
    """Draw picture number `picture` of person number `identity`.

    The identity decides geometry, skin and hair; the picture decides pose, light, expression, wear and
    background. `distribution` is "celebahq" (studio) or "ffhq" (in the wild); `size` is 32..512 pixels.
    The result depends on the four arguments alone. Raises InputError for arguments out of range.
    """
    _check(distribution, size)
    _whole("identity", identity, 0)
    _whole("picture", picture, 0)
    person = sample_person(identity, distribution)
    q = sample_picture(person, identity, picture, distribution)
    canvas = Canvas(size, _scale(size), q.shift)
    paint_background(canvas, q.background, [identity, 43, picture], q.tilt)
    scene = Scene(canvas, person, q)
    paint_back_hair(scene)
    paint_neck(scene)
    paint_clothes(scene)
    paint_necklace(scene)
    paint_head(scene)
    paint_nostrils(scene)
    paint_facial_hair(scene)
    paint_mouth(scene)
    paint_eyes(scene)
    paint_brows(scene)
    paint_front_hair(scene)
    if ears_show(scene):
        paint_ears(scene)
    paint_earrings(scene)
    paint_glasses(scene)
    paint_hat(scene)
    image, parsing = canvas.developed(q.exposure, q.contrast, q.warmth)
    return DrawnFace(
        image=image,
        parsing=parsing,
        identity=int(identity),
        attributes=labels.attributes_of(person, q, parsing),
        landmarks=_landmarks(scene, size),
        boxes=_boxes(scene, size),
    )


def _pixel(scene: Scene, size: int, u: float, v: float) -> tuple[float, float]:
    """Pixel coordinates (0 is the edge of the first pixel) of a point of the frontal face."""
    c = scene.canvas
    return (
        (scene.column(u) - c.left) / UNITS * size,
        (scene.row(v) - c.top) / UNITS * size,
    )


def _landmarks(scene: Scene, size: int) -> np.ndarray:
    p, q, m = scene.person, scene.picture, scene.mouth
    corner_y = float(np.interp(0.97, m.k[0], (m.line_up[0] + m.line_low[0]) / 2))
    middle = 0.12 * q.yaw
    points = [
        (-1.0, 0.0), (1.0, 0.0), (q.yaw * 0.62, p.nose_length - 0.24 + 0.6 * q.pitch),
        (middle - 0.97 * m.half, corner_y), (middle + 0.97 * m.half, corner_y),
    ]  # fmt: skip
    return np.array([_pixel(scene, size, *point) for point in points], np.float32)


def _boxes(scene: Scene, size: int) -> dict[str, tuple[int, int, int, int]]:
    p, q, m = scene.person, scene.picture, scene.mouth
    half, high, low = 0.58 * p.eye_size, 0.42 * p.eye_size, 0.32 * p.eye_size
    top, bottom = float(m.top.min()) - 0.08, float(m.bottom[m.inside].max()) + 0.08
    middle, reach = 0.12 * q.yaw, m.half + 0.1
    rectangles = {
        "left_eye": (-1 - half, -high, -1 + half, low),
        "right_eye": (1 - half, -high, 1 + half, low),
        "eyes": (-1 - half, -high, 1 + half, low),
        "mouth": (middle - reach, top, middle + reach, bottom),
    }
    boxes = {}
    for name, (u0, v0, u1, v1) in rectangles.items():
        (x0, y0), (x1, y1) = _pixel(scene, size, u0, v0), _pixel(scene, size, u1, v1)
        low_x, low_y = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
        boxes[name] = (low_x, low_y, min(size, int(np.ceil(x1))), min(size, int(np.ceil(y1))))
    return boxes


def _draw_batch(task: tuple[int, int, str, int, int, int]) -> FaceBatch:
    start, count, distribution, size, seed, pictures = task
    faces = [
        draw_face(
            seed * IDENTITIES_PER_SEED + index // pictures,
            index % pictures,
            distribution=distribution,
            size=size,
        )
        for index in range(start, start + count)
    ]
    return FaceBatch(
        start=start,
        images=np.stack([f.image for f in faces]),
        parsing=np.stack([f.parsing for f in faces]),
        identities=np.array([f.identity for f in faces], np.int64),
        attributes=np.array([list(f.attributes.values()) for f in faces], np.float32),
        landmarks=np.stack([f.landmarks for f in faces]),
        boxes=np.array([list(f.boxes.values()) for f in faces], np.int32),
    )


def draw_faces(
    start: int,
    count: int,
    *,
    distribution: str,
    size: int,
    seed: int,
    pictures_per_identity: int = 4,
    batch: int = 64,
    workers: int = 1,
) -> Iterator[FaceBatch]:
    """Draw faces number `start` .. `start + count - 1` of the stream named by `seed`, in batches, in order.

    Face number i shows person `seed * 1,000,000 + i // pictures_per_identity`; it depends on the seed, i,
    `pictures_per_identity`, the distribution and the size alone, not on `start`, `batch` or `workers`
    (processes, started afresh; 1 draws in this process). Raises InputError, at the call, for arguments out
    of range.
    """
    _check(distribution, size)
    for name, value, least in (
        ("start", start, 0), ("count", count, 0), ("seed", seed, 0),
        ("pictures_per_identity", pictures_per_identity, 1), ("batch", batch, 1), ("workers", workers, 1),
    ):  # fmt: skip
        _whole(name, value, least)
    if (start + count - 1) // pictures_per_identity >= IDENTITIES_PER_SEED:
        raise InputError(
            f"drawn faces: start + count is {start + count}; a seed has {IDENTITIES_PER_SEED} people only."
        )
    tasks = [
        (
            first,
            min(batch, start + count - first),
            distribution,
            int(size),
            int(seed),
            int(pictures_per_identity),
        )
        for first in range(start, start + count, batch)
    ]
    return ordered_map(_draw_batch, tasks, workers if len(tasks) > 1 else 1)
