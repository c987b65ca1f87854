"""CelebAMask-HQ's binary masks, one file for each part of a face, -> one map of 19 labels for each image.

Published: `<0..14>/<00000>_<part>.png` of 512x512, image k in folder k // 2000, only for the parts that its face has.
Where parts overlap the later one of `labels.G_MASK` is seen, as in g_mask.py of the owner's repository, which takes all
that is not black; the numbers are those of `labels.LABELS`. (The public face parser's own script paints in the order of
`LABELS`, so its maps differ where parts overlap.)
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from replication.atomic import remove_folder, replace_folder, replaced_folder, write_json
from replication.data.folder_listing import is_odd
from replication.data.grey_files import refuse_unclear
from replication.data.labels import COLOURS, G_MASK, LABELS
from replication.data.parallel import ordered_map
from replication.downloads.archives import (
    check_replaceable,
    clear_unfinished,
    real_folder,
    unfinished_folder,
)
from replication.downloads.progress import Progress
from replication.downloads.sources import LabelMaps
from replication.errors import InputError

CARD = ".label_maps.json"
"""In each folder of maps made here: of which masks, and how many maps."""
PARTS = G_MASK[1:]
"""Parts of a face in the order of painting."""
IMAGES_IN_A_FOLDER = 2000
_NAME = re.compile(r"([0-9]{5})_(\w+)\.png")
_AT_ONCE = 40  # images that a process takes
_VERSION = 1  # of how maps are painted; another one makes them anew

Masks = dict[str, Path]
"""Part -> the file of its mask."""


def find_masks(folder: Path, images: int) -> tuple[list[Masks], str]:
    """The masks of images 0 to `images` - 1, and a digest of all names and sizes.

    Raises:
        InputError: an image has no mask, a file is none of the masks, or one cannot be read; the sentence names it.
    """
    if not folder.is_dir():
        raise InputError(f"the folder of masks {folder} does not exist")
    try:
        masks, digest = _listed_masks(folder, images)
    except OSError as error:
        raise InputError(f"{error.filename or folder} cannot be read ({error.strerror})") from error
    without = [k for k, found in enumerate(masks) if not found]
    if without:
        more = f" (the first of {len(without):,} such)" if len(without) > 1 else ""
        raise InputError(f"{folder} has no mask of image {without[0]}{more}; complete it, or unpack the archive anew")
    return masks, digest


def _listed_masks(folder: Path, images: int) -> tuple[list[Masks], str]:
    masks: list[Masks] = [{} for _ in range(images)]
    digest = hashlib.sha256(f"{_VERSION}\n".encode())
    for inner in sorted(folder.iterdir()):
        if is_odd(inner.name):
            continue
        entries = sorted(os.scandir(inner), key=lambda entry: entry.name) if inner.is_dir() else []
        if not inner.is_dir():
            raise InputError(f"{inner} is a file; masks are in folders 0 to {(images - 1) // IMAGES_IN_A_FOLDER}")
        for entry in entries:
            if is_odd(entry.name):
                continue
            named = _NAME.fullmatch(entry.name)
            if not named or named[2] not in PARTS:
                form = f"00000_PART.png with one of {', '.join(PARTS)}"
                raise InputError(f"{entry.path} is not named like a mask, {form}")
            image = int(named[1])
            if image >= images:
                raise InputError(f"{entry.path} is beyond the last image, {images - 1}")
            if inner.name != str(image // IMAGES_IN_A_FOLDER):
                raise InputError(f"{entry.path} belongs into {folder / str(image // IMAGES_IN_A_FOLDER)}")
            masks[image][named[2]] = Path(entry.path)
            digest.update(f"{inner.name}/{entry.name} {entry.stat().st_size}\n".encode())
    return masks, digest.hexdigest()


def _mask(path: Path, side: int) -> np.ndarray:
    """bool (side, side): where a part is."""
    try:
        with Image.open(path) as picture:
            if picture.size != (side, side):
                width, height = picture.size
                raise InputError(f"mask {path} is {width}x{height}, not {side}x{side}")
            refuse_unclear(picture, f"mask {path}")
            return np.asarray(picture.convert("L")) != 0
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"mask {path} cannot be read ({error}); unpack the archive anew") from error


def merge_masks(masks: Masks, side: int) -> np.ndarray:
    """uint8 (side, side): the labels of one image; 0 where it has no part."""
    labels = np.zeros((side, side), dtype=np.uint8)
    for part in PARTS:
        if part in masks:
            labels[_mask(masks[part], side)] = LABELS.index(part)
    return labels


def _whole(path: Path, side: int) -> bool:
    """Whether a map of an earlier, killed run can be kept: after a loss of power it may be empty."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture.mode == "P" and picture.size == (side, side)
    except (OSError, SyntaxError, ValueError):
        return False


def _merge(tasks: Sequence[tuple[int, Masks]], *, folder: Path, side: int) -> int:
    """Write the maps of some images into `folder`, those aside that are there; how many were looked at."""
    for image, masks in tasks:
        target = folder / f"{image}.png"
        if _whole(target, side):
            continue
        picture = Image.fromarray(merge_masks(masks, side))
        picture.putpalette(COLOURS.tobytes())  # a palette for the eye; the numbers stay
        packed = io.BytesIO()
        picture.save(packed, format="PNG")
        temporary = target.with_name(f".{target.name}")
        try:
            temporary.write_bytes(packed.getvalue())
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise OSError(errno.ENOSPC if full else error.errno, error.strerror, str(target)) from error
        os.replace(temporary, target)
    return len(tasks)


def _card(folder: Path) -> dict | None:
    try:
        return json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _count(folder: Path) -> int:
    return sum(name.endswith(".png") and not name.startswith(".") for name in os.listdir(folder))


def make_label_maps(maps: LabelMaps, raw: str | Path, *, workers: int = 0) -> Path:
    """Have the folder of label maps below `raw`: whole or absent, and made anew if the masks are others.

    What a killed run has made is kept, each map being read before it is. A folder put there by hand stays if it has
    the right number of maps. If the folder is a link, the one that it names is replaced. workers: processes.

    Raises:
        InputError: a mask is missing, odd, damaged or of another size, or a link leads nowhere; the sentence names it.
        OSError: the disk is full (ENOSPC); what has been made is kept.
    """
    raw = Path(raw)
    target = real_folder(raw / maps.to)
    remove_folder(replaced_folder(target))  # a run may have been killed before it was through with that
    empty = target.is_dir() and not any(target.iterdir())
    if target.exists() and _card(target) is None and not empty:
        found = _count(target) if target.is_dir() else 0
        if found != maps.images:
            raise InputError(f"{raw / maps.to} has {found:,} of {maps.images:,} *.png; complete it, or move it away")
        return raw / maps.to
    masks, digest = find_masks(raw / maps.parts, maps.images)
    card = {"masks": digest, "side": maps.side, "images": maps.images}
    if target.exists() and _card(target) == card:
        return raw / maps.to
    check_replaceable(raw / maps.to)
    folder = unfinished_folder(target)
    if _card(folder) != card:
        clear_unfinished(target)
        folder.mkdir(parents=True)
        write_json(folder / CARD, card)
    shown = Progress(f"label maps {target.name}", maps.images, unit="maps")
    numbered = list(enumerate(masks))
    tasks = (numbered[k : k + _AT_ONCE] for k in range(0, len(numbered), _AT_ONCE))
    done = 0
    try:
        for count in ordered_map(partial(_merge, folder=folder, side=maps.side), tasks, workers):
            done += count
            shown.show(done)
    finally:
        shown.end()
    os.sync()
    replace_folder(folder, target)
    return raw / maps.to


def label_maps_state(maps: LabelMaps, raw: str | Path) -> str:
    """What is there of the maps, by names alone: "here", or what is still to be made."""
    target = Path(raw) / maps.to
    if target.is_symlink() and not target.exists():
        return f"{maps.to} is a link that leads nowhere"
    if target.is_dir() and any(target.iterdir()):
        found = _count(target)
        return "here" if found == maps.images else f"{maps.to}: {found:,} of {maps.images:,} label maps"
    unfinished = unfinished_folder(target)
    begun = f", {_count(unfinished):,} of {maps.images:,} are" if unfinished.is_dir() else ""
    return f"{maps.to} is not made yet{begun}"
