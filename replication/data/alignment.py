"""Cutting a face out of a photo by five landmarks, as FFHQ and CelebA-HQ were cut.

Both sets use one oriented square: along the line of the eyes and across the line from eyes to mouth, 4 eye
distances or 3.6 eye-to-mouth distances wide, a tenth of the latter below the eyes. Sources: `download_ffhq.py`
(recreate_aligned_images) of NVlabs/ffhq-dataset, `dataset_tool.py` (create_celebahq) of progressive_growing_of_gans.
They take the mean of six landmarks for an eye; five landmarks have its centre instead.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image

from replication.errors import InputError

FILTERS = {"lanczos": "Lanczos", "box": "box"}
"""Filter that makes photos smaller -> its name in words. NVIDIA's tools have both; Lanczos is their default."""
_RESAMPLING = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}

ALIGNMENTS = {
    "none": "central square, {filter} with antialiasing; label maps nearest neighbour",
    "ffhq": "FFHQ's crop by five landmarks: bilinear at 4 times the size, then {filter}; borders mirrored, blurred "
    "and faded to the median; label maps nearest neighbour, 0 outside the photo",
    "celebahq": "CelebA-HQ's crop by five landmarks: as FFHQ's, but half a pixel further, and small faces enlarged "
    "by Lanczos; label maps nearest neighbour, 0 outside the photo",
}
"""Name -> what is done to the pixels, for the card; see `told_alignment`."""

_OVERSAMPLING = 4  # FFHQ: 4096 -> 1024


def told_alignment(alignment: str, resize: str) -> str:
    """What an alignment of `ALIGNMENTS` does to the pixels with a filter of `FILTERS`."""
    return ALIGNMENTS[alignment].format(filter=FILTERS[resize])


def resampling(resize: str, reduces: bool) -> Image.Resampling:
    """The filter `resize` of Pillow; photos are enlarged by Lanczos, since a box would leave squares."""
    return _RESAMPLING[resize] if reduces else Image.Resampling.LANCZOS


@dataclasses.dataclass(frozen=True)
class FaceCrop:
    """An oriented square in a photo: corner: (2,) x, y of its top left corner; right: (2,) its top edge.

    All in pixels of the photo, from the photo's corner (the centre of its first pixel is 0.5, 0.5).
    """

    corner: np.ndarray
    right: np.ndarray

    @property
    def side(self) -> float:
        """Pixels of the photo along an edge."""
        return float(np.hypot(*self.right))

    @property
    def quad(self) -> np.ndarray:
        """(4,2): its corners in PIL's order: top left, bottom left, bottom right, top right."""
        down = _turned(self.right)
        return self.corner + np.stack([np.zeros(2), down, self.right + down, self.right])

    def points(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points (k,2) of the photo -> where they are in the face of `size` pixels."""
        axes = np.stack([self.right, _turned(self.right)], axis=1) / self.side**2
        return (points - self.corner) @ axes * size


def _turned(vector: np.ndarray) -> np.ndarray:
    """A quarter turn, from right to down."""
    return np.array([-vector[1], vector[0]])


def face_crop(points: np.ndarray, alignment: str, what: str) -> FaceCrop:
    """The square of a face by its landmarks (5,2): left eye, right eye, nose, left and right mouth corner.

    Left is left in the picture. what: the photo, for the error. Raises InputError if the points coincide, or
    are exchanged, so that they say nothing of where the face is.
    """
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(points, dtype=np.float64)
    eyes = (left_eye + right_eye) / 2
    eye_to_eye, eye_to_mouth = right_eye - left_eye, (left_mouth + right_mouth) / 2 - eyes
    direction = eye_to_eye - _turned(eye_to_mouth)
    length = np.hypot(*direction)
    # With left and right exchanged the two parts cancel; in a profile the first is nearly nothing.
    if length < 1 or length < 0.5 * np.hypot(*eye_to_mouth):
        raise InputError(
            f"landmarks of {what} are not those of an upright face (left is left in the picture); it cannot be aligned"
        )
    half = direction / length * max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth))
    centre = eyes + 0.1 * eye_to_mouth + (0.5 if alignment == "celebahq" else 0.0)
    return FaceCrop(centre - half - _turned(half), 2 * half)


def _box(quad: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of whole pixels that cover the corners (4,2)."""
    low, high = np.floor(quad.min(axis=0)), np.ceil(quad.max(axis=0))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _padded(picture: Image.Image, pads: np.ndarray, side: float) -> Image.Image:
    """Mirror the borders outwards (left, top, right, bottom), ever more blurred and faded to the median colour."""
    from scipy.ndimage import gaussian_filter  # here: few photos need it, and every process would load it

    left, top, right, bottom = pads
    pixels = np.pad(np.asarray(picture, dtype=np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width, _ = pixels.shape
    y, x = np.ogrid[:height, :width]
    across = np.minimum(np.float32(x) / left, np.float32(width - 1 - x) / right)
    along = np.minimum(np.float32(y) / top, np.float32(height - 1 - y) / bottom)
    outside = (1 - np.minimum(across, along))[..., None]  # 1 at the new border, 0 where the photo begins
    pixels += (gaussian_filter(pixels, (0.02 * side, 0.02 * side, 0)) - pixels) * np.clip(3 * outside + 1, 0, 1)
    pixels += (np.median(pixels, axis=(0, 1)) - pixels) * np.clip(outside, 0, 1)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def cut_face(picture: Image.Image, crop: FaceCrop, size: int, alignment: str, resize: str = "lanczos") -> np.ndarray:
    """The face in an RGB picture, upright: uint8 (size,size,3). Memory depends on `size`, not on the picture's.

    resize: a name of `FILTERS`.
    """
    reducing = resampling(resize, True)
    quad, side = crop.quad, crop.side
    shrink = int(side / size / 2)
    if shrink > 1:
        small = [max(1, round(edge / shrink)) for edge in picture.size]
        quad, side = quad * (np.array(small) / picture.size), side / shrink
        picture = picture.resize(small, reducing)
    border = max(round(0.1 * side), 3)
    box = _box(quad)
    box = (
        max(box[0] - border, 0),
        max(box[1] - border, 0),
        min(box[2] + border, picture.width),
        min(box[3] + border, picture.height),
    )
    picture, quad = picture.crop(box), quad - box[:2]
    if alignment == "celebahq" and side < size:
        factor = 2 ** math.ceil(math.log2(size / side))
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.LANCZOS)
        quad, side = quad * factor, side * factor
    left, top, right, bottom = _box(quad)
    missing = np.array([-left, -top, right - picture.width, bottom - picture.height]) + border
    if missing.max() > border - 4:
        pads = np.maximum(missing, round(0.3 * side))
        picture, quad = _padded(picture, pads, side), quad + pads[:2]
    large = (_OVERSAMPLING * size,) * 2
    face = picture.transform(large, Image.Transform.QUAD, quad.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(face.resize((size, size), reducing))


def cut_labels(labels: Image.Image, photo_size: tuple[int, int], crop: FaceCrop, size: int) -> np.ndarray:
    """The same square of a label map (mode L or P, any resolution): uint8 (size,size), 0 outside the map."""
    quad = crop.quad * (np.array(labels.size) / photo_size)
    cut = labels.transform(
        (size, size), Image.Transform.QUAD, quad.ravel().tolist(), Image.Resampling.NEAREST, fillcolor=0
    )
    return np.array(cut, dtype=np.uint8)
