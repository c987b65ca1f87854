"""Reading a picture whose one value a pixel is what counts, such as a mask, without changing the value on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from replication.errors import InputError

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_ALLOWED = "allowed are black-and-white, grey and palette pictures of 8 bits, without colour and without transparency"


def refuse_unclear(picture: Image.Image, what: str) -> None:
    """Raise InputError, beginning with `what`, for a picture whose grey values are not what they seem.

    More than 8 bits: Pillow clips them when it converts, so that all from 255 on becomes white (version 13.0.0).
    Transparent somewhere: the shape may be in the alpha channel, and what lies below it means nothing.
    """
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"{what} has mode {picture.mode}, more than 8 bits a pixel; {_ALLOWED}")
    if is_transparent(picture):
        raise InputError(f"{what} is transparent in places (mode {picture.mode}), and alpha is not read; {_ALLOWED}")


def is_transparent(picture: Image.Image) -> bool:
    """Whether any pixel of a picture is less than opaque; an alpha channel that is opaque all over says nothing."""
    if "transparency" not in picture.info and picture.mode[-1] not in "Aa":
        return False
    return picture.convert("RGBA").getchannel("A").getextrema()[0] < 255


def read_grey(path: Path, noun: str) -> np.ndarray:
    """The grey values of a file, uint8 (H,W), as they are stored.

    noun: what the file is, for errors ("mask").

    Raises:
        InputError: the file cannot be read, is in colour, or is refused by `refuse_unclear`.
    """
    what = f"{noun} {path}"
    try:
        with Image.open(path) as picture:
            refuse_unclear(picture, what)
            if picture.mode in ("1", "L"):
                return np.asarray(picture.convert("L"))
            channels = np.asarray(picture.convert("RGB"))
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{what} cannot be read ({error})") from error
    grey = channels[..., 0]
    if (channels != grey[..., None]).any():
        raise InputError(f"{what} is in colour; {_ALLOWED}")
    return grey
