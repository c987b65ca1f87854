"""Holes at parts of the face: boxes over both eyes, and fixed regions. A hole is uint8 {0,1} (S,S), 1 = hole.

Points are x, y in pixels from the picture's corner, in the order of `store.LANDMARKS`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from replication.data.labels import LABELS
from replication.data.random_streams import stream
from replication.data.store import FaceStore
from replication.errors import InputError

REGIONS: dict[str, str] = {
    "mouth": "box around the mouth, 1.6 by 0.9 distances of the eyes",
    "eyes": "box around eyes and brows, 2.2 by 0.9 distances of the eyes",
    "nose": "box around the tip of the nose, 0.9 by 0.9 distances of the eyes",
    "face": "ellipse of eyes, nose and mouth, 2.4 by 3.2 distances of the eyes",
}
"""Region -> what it covers. EBGAN shows such regions (mouth; components; whole face) and states no coordinates; on
aligned faces one hole serves all images, placed by the median of their landmarks."""

EYE_BOXES = "two boxes, one centred on each eye, sides 48 to 96 pixels at 256, drawn for each image"
"""What a hole of eye boxes is."""


def eye_sides(seed: int, row: int, size: int) -> np.ndarray:
    """int64 (2,2): width and height in pixels of the boxes over the two eyes of image `row`.

    As in src/align.py of bdol/exemplar_gans, which made ExGAN's data set Celeb-ID: each side is
    int(clip(|N(48, 24)|, 48, 96)) at 256 pixels, all four drawn by themselves; here it is scaled to `size` and follows
    from the seed.
    """
    drawn = np.abs(stream(seed, "eye boxes", row).normal(48, 24, (2, 2)))
    return np.rint(np.clip(drawn, 48, 96).astype(np.int64) * size / 256).astype(np.int64)


def eye_boxes(eyes: np.ndarray, sides: np.ndarray, size: int) -> np.ndarray:
    """int64 (n,2,4): x0, y0, x1, y1 of boxes centred on the eyes, the upper edges exclusive, cut at the image's edge.

    eyes: (n,2,2), x and y of both. sides: (n,2,2), width and height of both. A box that lies outside has no area.
    """
    low = np.rint(eyes - sides / 2).astype(np.int64)
    return np.clip(np.concatenate([low, low + sides], axis=-1), 0, size)


def box_holes(boxes: np.ndarray, size: int) -> np.ndarray:
    """uint8 (n,S,S): the union of each image's boxes (n,k,4)."""
    holes = np.zeros((len(boxes), size, size), np.uint8)
    for hole, own in zip(holes, boxes, strict=True):
        for x0, y0, x1, y1 in own:
            hole[y0:y1, x0:x1] = 1
    return holes


def boxes_over_eyes(store: FaceStore, rows: np.ndarray, *, seed: int) -> np.ndarray:
    """int64 (n,2,4): the boxes of some images of a store; each image's depend on the seed and its row alone."""
    sides = np.array([eye_sides(seed, int(row), store.size) for row in rows]).reshape(-1, 2, 2)
    return eye_boxes(store.landmarks[rows][:, :2], sides, store.size)


def region_hole(points: np.ndarray, region: str, size: int) -> np.ndarray:
    """uint8 (S,S): a region of `REGIONS` of the face whose five landmarks (5,2) are `points`.

    A pixel belongs to the hole if its centre lies in the region. Raises InputError for an unknown region.
    """
    if region not in REGIONS:
        raise InputError(f"region {region!r}: allowed are {', '.join(REGIONS)}")
    points = np.asarray(points, np.float64)
    between, nose, mouth = points[:2].mean(0), points[2], points[3:5].mean(0)
    distance = float(np.linalg.norm(points[1] - points[0]))
    centre, width, height = {
        "mouth": (mouth, 1.6, 0.9),
        "eyes": (between - (0, 0.15 * distance), 2.2, 0.9),  # higher, for the brows
        "nose": (nose, 0.9, 0.9),
        "face": ((nose + between) / 2 + (0, 0.2 * distance), 2.4, 3.2),
    }[region]
    y, x = np.mgrid[:size, :size] + 0.5
    across, down = 2 * (x - centre[0]) / (width * distance), 2 * (y - centre[1]) / (height * distance)
    inside = np.hypot(across, down) <= 1 if region == "face" else np.maximum(np.abs(across), np.abs(down)) <= 1
    return inside.astype(np.uint8)


def region_holes(store: FaceStore, rows: np.ndarray, regions: Iterable[str]) -> np.ndarray:
    """uint8 (k,S,S): one hole for each region, placed by the median of the landmarks of these images of a store.

    Where the store has no landmarks, they are read off its label maps. Raises InputError if no label map shows both
    eyes, nose and mouth, or a hole comes to lie outside the image.
    """
    if "landmarks" in store.fields:
        points = np.median(store.landmarks[rows], axis=0)
    else:
        seen = [points_of_labels(store.parsing[row]) for row in rows]
        seen = [points for points in seen if points is not None]
        if not seen:
            raise InputError(f"face store {store.path}: no label map shows both eyes, nose and mouth")
        points = np.median(seen, axis=0)
    holes = np.stack([region_hole(points, region, store.size) for region in regions])
    for region, hole in zip(regions, holes, strict=True):
        if not hole.any() or hole.all():
            raise InputError(
                f"face store {store.path}: the region {region!r} covers {hole.mean():.0%} of the image at its landmarks"
            )
    return holes


_EYES, _NOSE = (LABELS.index("l_eye"), LABELS.index("r_eye")), LABELS.index("nose")
_MOUTH = [LABELS.index(name) for name in ("mouth", "u_lip", "l_lip")]


def points_of_labels(labels: np.ndarray) -> np.ndarray | None:
    """float64 (5,2): the five landmarks as a label map (S,S) of 19 labels shows them; None where a part is hidden.

    Eyes are the centres of their labels, the one further left in the picture first, since files differ in what they
    call left; the tip of the nose lies three quarters down its label; the mouth's corners are its outermost columns.
    """
    eyes = [np.argwhere(labels == eye) for eye in _EYES]
    nose, mouth = np.argwhere(labels == _NOSE), np.argwhere(np.isin(labels, _MOUTH))
    if not all(len(part) for part in (*eyes, nose, mouth)):
        return None
    top, bottom = nose[:, 0].min(), nose[:, 0].max() + 1
    middle = mouth[:, 0].mean() + 0.5
    left_eye, right_eye = sorted((eye.mean(0)[::-1] + 0.5 for eye in eyes), key=lambda point: point[0])
    tip = (nose[:, 1].mean() + 0.5, top + 0.75 * (bottom - top))
    corners = (mouth[:, 1].min(), middle), (mouth[:, 1].max() + 1, middle)
    return np.array([left_eye, right_eye, tip, *corners], np.float64)
