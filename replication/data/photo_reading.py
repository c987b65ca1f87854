"""Reading one photo: decoded, turned upright, cut, resized, with its label map, landmarks and hashes.

This is what the packing processes run, so it imports neither pandas nor the store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from replication.data.alignment import FaceCrop, cut_face, cut_labels, face_crop, resampling
from replication.data.grey_files import is_transparent
from replication.data.labels import CLASSES_14, FROM_G_MASK, G_MASK, LABELS
from replication.data.perceptual_hash import perceptual_hash
from replication.errors import InputError, counted

PARSING_ORDERS = {"bisenet": LABELS, "g_mask": G_MASK}
_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # as in `store.LANDMARKS`
_CHECKED_MAPS = 50
_SKIN = LABELS.index("skin")  # in both orders
_NOSE_14, _HAIR_14 = CLASSES_14.index("nose"), CLASSES_14.index("hair")
_OUTSIDE = 0.1  # of the photo's longer side: how far beyond its border a detector may see a landmark
_UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


@dataclasses.dataclass(frozen=True)
class PhotoTask:
    """What a process has to know of one photo. points: (5,2) pixels of the upright photo, or None."""

    photo: Path
    parsing: Path | None
    order: str
    points: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """size: side of the faces. alignment: a name of `ALIGNMENTS`. allow_upscaling: of smaller photos.

    resize: a name of `alignment.FILTERS`.
    """

    size: int
    alignment: str = "none"
    allow_upscaling: bool = False
    resize: str = "lanczos"


@dataclasses.dataclass
class PhotoFace:
    """A face ready for the store. sha256, parsing_sha256: of the files' bytes. look: its perceptual hash.

    without_skin: whether it has a label map, and that shows no skin. resized_elsewhere: whether the photo had the
    face's size, or less, so that whatever made it small did so before.
    """

    image: np.ndarray
    parsing: np.ndarray | None
    points: np.ndarray | None
    upscaled: bool
    sha256: str
    parsing_sha256: str | None
    look: int
    without_skin: bool
    resized_elsewhere: bool


class _CorruptError(Exception):
    """A photo that cannot be decoded; kept apart from InputError so that it can be skipped."""


def _central_square(width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of the largest central square."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def _open_parsing(path: Path) -> tuple[Image.Image, str]:
    """A label map as stored, and its file's sha256; raises InputError for another picture or a label above 18."""
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except _UNREADABLE as error:
        raise InputError(f"parsing map {path} cannot be read ({error})") from error
    if picture.mode not in ("P", "L"):
        raise InputError(f"parsing map {path} has mode {picture.mode}; it has to be a palette or grey PNG of labels")
    worst = int(np.asarray(picture).max())
    if worst >= len(LABELS):
        raise InputError(f"parsing map {path} has label {worst}; allowed are 0 to {len(LABELS) - 1}")
    return picture, hashlib.sha256(data).hexdigest()


def check_parsing_maps(paths: list[Path], order: str, folder: Path) -> None:
    """Raise InputError for maps in a folder that no parser could learn from, judged by some fifty of them.

    Without skin, or nothing but 0 and 1: masks of a face, or maps that were never filled. The other order of labels: by
    the area that hair would have; what is hair in one is lower lip or neck in the other, and a wrong one would spoil
    everything silently. Reduced to 14 classes: see `_is_reduced`.
    """
    if order not in PARSING_ORDERS:
        raise InputError(f"parsing_order={order!r}: allowed are {', '.join(PARSING_ORDERS)}")
    other = next(name for name in PARSING_ORDERS if name != order)
    chosen = np.unique(np.linspace(0, len(paths) - 1, _CHECKED_MAPS).round().astype(int))
    areas = np.zeros(len(LABELS))
    for k in chosen:
        labels = np.asarray(_open_parsing(paths[k])[0])
        areas += np.bincount(labels.ravel(), minlength=len(LABELS)) / labels.size / len(chosen)
    _check_labels(areas, len(chosen), len(paths), folder)
    hair, other_hair = (areas[PARSING_ORDERS[name].index("hair")] for name in (order, other))
    if other_hair > 0.1 and other_hair > 2 * hair:
        raise InputError(
            f"parsing_order={order!r} does not fit the maps in {folder}: hair would cover "
            f"{hair:.0%} of them, in the order {other!r} {other_hair:.0%}"
        )


def _check_labels(areas: np.ndarray, looked_at: int, maps: int, folder: Path) -> None:
    """Raise InputError for maps without skin, of 0 and 1 alone, or of 14 classes. areas: (19,) labels' mean shares."""
    which = (
        f"of {counted(looked_at, 'parsing map')}" + (f" (of {maps:,})" if maps > looked_at else "") + f" in {folder}"
    )
    if not areas[_SKIN]:
        found = ", ".join(str(label) for label in np.flatnonzero(areas))
        raise InputError(f"none {which} shows skin (label {_SKIN}); the labels in them are {found}")
    if not areas[_SKIN + 1 :].any():
        raise InputError(f"none {which} has a label above {_SKIN}; maps of 19 labels are needed, not masks of the face")
    if _is_reduced(areas):
        raise InputError(
            f"none {which} has a label above {len(CLASSES_14) - 1}, and {_HAIR_14} covers {areas[_HAIR_14]:.0%}, "
            f"{_NOSE_14} {areas[_NOSE_14]:.1%}, like hair and nose of maps that were reduced to 14 classes; maps of "
            "all 19 labels are needed, and reduced here"
        )


def _is_reduced(areas: np.ndarray) -> bool:
    """Whether the mean shares (19,) of labels look like those of `CLASSES_14`.

    There 10 is hair and 6 the nose. In the two orders of 19 labels 10 is the nose or the inside of the mouth, and 6
    glasses or a brow. Measured on 800 maps of CelebAMask-HQ, in parts of the skin's area: hair 1.2 and nose 0.08,
    glasses, brow and mouth at most 0.02. Neck, cloth and (in one order) hair are above 13, one of them in 99.6 % of
    those maps.
    """
    in_skins = areas / areas[_SKIN]
    return not areas[len(CLASSES_14) :].any() and (in_skins[_HAIR_14] > 0.2 or in_skins[_NOSE_14] > 0.04)


def _read_parsing(
    task: PhotoTask, photo_size: tuple[int, int], size: int, crop: FaceCrop | None
) -> tuple[np.ndarray, str]:
    """The label map of a photo, cut and resized like it (nearest neighbour): uint8 (size,size); the file's sha256."""
    picture, digest = _open_parsing(task.parsing)
    (width, height), (photo_width, photo_height) = picture.size, photo_size
    if abs(width * photo_height - height * photo_width) > max(width, height, photo_width, photo_height):
        raise InputError(
            f"parsing map {task.parsing} is {width}x{height}, its photo {photo_width}x{photo_height}: "
            "not the same shape"
        )
    if crop is None:
        left, top, side = _central_square(width, height)
        box = (left, top, left + side, top + side)
        labels = np.asarray(picture.resize((size, size), Image.Resampling.NEAREST, box=box), dtype=np.uint8)
    else:
        labels = cut_labels(picture, photo_size, crop, size)
    return (FROM_G_MASK[labels] if task.order == "g_mask" else labels), digest


def _open_photo(path: Path) -> tuple[Image.Image, str]:
    """An RGB picture, upright, and the sha256 of its file. Raises _CorruptError or InputError."""
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            if picture.mode.startswith(("I", "F")):
                raise InputError(f"photo {path} has mode {picture.mode}; photos of 8 bits a channel are needed")
            if is_transparent(picture):  # a file may hold any colour there
                raise InputError(f"photo {path} is transparent in places (mode {picture.mode}); fill or remove it")
            return ImageOps.exif_transpose(picture).convert("RGB"), hashlib.sha256(data).hexdigest()
    except InputError:
        raise
    except _UNREADABLE as error:
        raise _CorruptError(str(error)) from error


def _check_points(task: PhotoTask, size: tuple[int, int]) -> None:
    """Raise InputError if a landmark lies so far outside the photo (width, height) that it is of another one."""
    beyond = np.maximum(-task.points, task.points - size).max(axis=1)
    if beyond.max() > _OUTSIDE * max(size):
        worst = int(beyond.argmax())
        x, y = task.points[worst]
        raise InputError(
            f"landmark {_POINTS[worst]} of photo {task.photo} is at ({x:g}, {y:g}), outside its "
            f"{size[0]}x{size[1]} pixels"
        )


def _read_photo(task: PhotoTask, options: ReadingOptions) -> PhotoFace:
    """Decode, turn upright, cut and resize one photo. Raises _CorruptError or InputError."""
    upright, digest = _open_photo(task.photo)
    size, points, crop = options.size, task.points, None
    if points is not None:
        _check_points(task, upright.size)
    if options.alignment == "none":
        left, top, side = _central_square(*upright.size)
        smaller = side < size
        cause = f"is {upright.width}x{upright.height}, smaller than the target of {size} pixels"
    else:
        crop = face_crop(points, options.alignment, f"photo {task.photo}")
        smaller = crop.side < size
        cause = f"shows its face {crop.side:.0f} pixels wide, smaller than the target of {size} pixels"
    if smaller and not options.allow_upscaling:
        raise InputError(f"photo {task.photo} {cause}; choose a smaller image size or allow_upscaling")
    if crop is None:
        box = (left, top, left + side, top + side)
        # PIL's filters widen with the reduction, so this is antialiased at any scale.
        image = np.asarray(upright.resize((size, size), resampling(options.resize, not smaller), box=box))
        points = None if points is None else (points - (left, top)) * (size / side)
    else:
        image = cut_face(upright, crop, size, options.alignment, options.resize)
        points = crop.points(points, size)
    parsing, parsing_digest, without_skin = None, None, False
    if task.parsing is not None:
        parsing, parsing_digest = _read_parsing(task, upright.size, size, crop)
        without_skin = not (parsing == _SKIN).any()
    look, elsewhere = perceptual_hash(image), (side if crop is None else crop.side) <= size
    return PhotoFace(image, parsing, points, smaller, digest, parsing_digest, look, without_skin, elsewhere)


def read_photos(tasks: list[PhotoTask], options: ReadingOptions) -> list[PhotoFace | str]:
    """One face per task; for a photo that cannot be decoded, the reason."""
    faces: list[PhotoFace | str] = []
    for task in tasks:
        try:
            faces.append(_read_photo(task, options))
        except _CorruptError as error:
            faces.append(str(error))
    return faces
