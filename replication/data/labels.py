"""The 19 face-parsing labels, their reduction to the 14 classes of ShowFace, colours, mirror images.

The order is that of the public BiSeNet face parser trained on CelebAMask-HQ. Label maps of that data set are
often in another one, `G_MASK`. "Left" and "right" are those of the label files, whichever side they mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from replication.errors import InputError

LABELS: tuple[str, ...] = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip

CLASSES_14: tuple[str, ...] = (
    "background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip",
    "mouth", "lower_lip", "hair", "left_ear", "right_ear", "neck",
)  # fmt: skip

TO_14 = np.array([0, 1, 2, 3, 4, 5, 0, 11, 12, 0, 6, 8, 7, 9, 13, 0, 0, 10, 0], dtype=np.uint8)
"""uint8 (19,): label -> one of 14 classes. ShowFace says "14 categories" without listing them; this is the
reduction in common use with this parser. Glasses, earrings, necklace, cloth and hat become background."""

MIRRORED = np.array([0, 1, 3, 2, 5, 4, 6, 8, 7, *range(9, 19)], dtype=np.uint8)
"""uint8 (19,): the label that each label becomes when the picture is flipped left to right."""

MIRRORED_14 = np.array([0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10, 12, 11, 13], dtype=np.uint8)
"""uint8 (14,): the same for the 14 classes."""

G_MASK: tuple[str, ...] = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""The same 19 labels in the order of CelebAMask-HQ's `g_mask` script, MaskGAN and SEAN."""

FROM_G_MASK = np.array([LABELS.index(name) for name in G_MASK], dtype=np.uint8)
"""uint8 (19,): label in the order of `G_MASK` -> label in the order of `LABELS`."""

COLOURS = np.array(
    [
        (24, 26, 32), (250, 203, 173), (121, 74, 39), (158, 100, 46), (29, 128, 214), (92, 178, 236),
        (80, 84, 96), (194, 129, 138), (208, 132, 77), (244, 208, 63), (230, 173, 172), (113, 18, 36),
        (205, 61, 85), (250, 158, 126), (198, 150, 124), (250, 226, 132), (67, 130, 110), (92, 57, 108),
        (60, 92, 166),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""uint8 (19,3): RGB colours for showing label maps; any two can be told apart with deuteranopia too (a test)."""

COLOURS_14 = COLOURS[[TO_14.tolist().index(c) for c in range(len(CLASSES_14))]]
"""uint8 (14,3): each class in the colour of the first label that it comes from."""


def map_labels(labels: Any, table: np.ndarray) -> Any:
    """Replace every label by its entry in `table`.

    labels: integers of any shape, a NumPy array or a torch tensor (any device).
    table: (L,) integers or (L,k), e.g. `TO_14`, `MIRRORED`, `COLOURS`.
    Returns an array of the table's type, shape labels.shape + table.shape[1:]; for a tensor, an int64 tensor
    on the same device. Raises InputError for a label outside 0..L-1.
    """
    if isinstance(labels, np.ndarray):
        if labels.size and (labels.max() >= len(table) or labels.min() < 0):
            worst = labels.max() if labels.max() >= len(table) else labels.min()
            raise InputError(f"label {worst} in a label map: allowed are 0 to {len(table) - 1}")
        return table[labels]
    # A tensor: reached through its own methods, so that this module does not import torch.
    return labels.new_tensor(table.tolist()).long()[labels.long()]


def to_14(labels: Any) -> Any:
    """Label map of 19 labels -> label map of the 14 classes (NumPy or torch, any shape)."""
    return map_labels(labels, TO_14)


def mirror(labels: Any) -> Any:
    """Flip label maps (..., W) of 19 labels left to right and exchange the left and right labels."""
    if isinstance(labels, np.ndarray):
        return map_labels(labels[..., ::-1], MIRRORED)
    return map_labels(labels.flip(-1), MIRRORED)


def colourise(labels: np.ndarray, classes: int = 19) -> np.ndarray:
    """Label map (...) of 19 labels, or of 14 classes when `classes` is 14, -> RGB uint8 (...,3)."""
    palettes = {19: COLOURS, 14: COLOURS_14}
    if classes not in palettes:
        raise InputError(f"classes={classes}: there are colours for 19 labels or for 14 classes")
    return map_labels(labels, palettes[classes])
