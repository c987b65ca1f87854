"""Files as a user may have them: what Pillow would change on the way is refused, what it would not is read as it is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from replication.data.grey_files import read_grey
from replication.errors import InputError

SIDE = 24
HOLE = np.zeros((SIDE, SIDE), np.uint8)
HOLE[4:12, 6:20] = 255


def rgba(alpha: np.ndarray, grey: np.ndarray = HOLE) -> Image.Image:
    return Image.fromarray(np.dstack([grey, grey, grey, alpha]).astype(np.uint8))


def palette(grey: np.ndarray = HOLE, **info) -> Image.Image:
    """White is colour 0 and black colour 1: the numbers are not the values."""
    picture = Image.fromarray((grey == 0).astype(np.uint8), "P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    picture.info |= info
    return picture


READ = {
    "grey": Image.fromarray(HOLE),
    "one bit": Image.fromarray(HOLE > 0),
    "palette": palette(),
    "grey in three channels": Image.fromarray(np.dstack([HOLE] * 3)),
    "opaque alpha": rgba(np.full_like(HOLE, 255)),
    "grey with opaque alpha": rgba(np.full_like(HOLE, 255)).convert("LA"),
}


@pytest.mark.parametrize("name", READ)
def test_values_are_read_as_they_are(tmp_path, name):
    READ[name].save(tmp_path / "m.png")
    read = read_grey(tmp_path / "m.png", "mask")
    assert read.dtype == np.uint8 and np.array_equal(read, HOLE)


REFUSED = {
    "hole in alpha, as editors erase": (rgba(255 - HOLE, HOLE * 0), "PNG", r"transparent in places \(mode RGBA\)"),
    "hole painted over nothing": (rgba(HOLE), "PNG", r"transparent in places \(mode RGBA\)"),
    "grey with alpha": (rgba(HOLE).convert("LA"), "PNG", r"transparent in places \(mode LA\)"),
    "a transparent palette": (palette(transparency=0), "PNG", r"transparent in places \(mode P\)"),
    "a transparent grey": (READ["grey"], {"transparency": 0}, r"transparent in places \(mode L\)"),
    "a red hole": (Image.fromarray(np.dstack([HOLE, HOLE * 0, HOLE * 0])), "PNG", "is in colour"),
    "16 bits": (Image.fromarray(HOLE.astype(np.uint16) * 257), "PNG", "mode I;16, more than 8 bits"),
    "16 bits, 300 in the hole": (Image.fromarray(np.where(HOLE, 300, 0).astype(np.uint16)), "PNG", "mode I;16"),
    "32 bits": (Image.fromarray(HOLE.astype(np.int32)), "TIFF", "mode I, more than 8 bits"),
    "floats": (Image.fromarray(HOLE.astype(np.float32) / 255), "TIFF", "mode F, more than 8 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_on_the_way_is_refused(tmp_path, name):
    picture, form, words = REFUSED[name]
    options = form if isinstance(form, dict) else {}
    picture.save(tmp_path / "m.png", "PNG" if options else form, **options)
    with pytest.raises(InputError, match=rf"^mask .*m\.png .*{words}.*; allowed are .* 8 bits"):
        read_grey(tmp_path / "m.png", "mask")


def test_pillow_clips_what_is_refused():
    """The reason for the refusal. Where this fails, Pillow scales now, and the refusal could be a reading."""
    deep = Image.fromarray(np.array([[0, 153, 154, 300, 65535]], np.uint16))
    assert np.asarray(deep.convert("L")).tolist() == [[0, 153, 154, 255, 255]]
