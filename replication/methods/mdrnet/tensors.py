"""The named intermediate tensors that the dataflow figures and the inspection panels draw.

A method hands over one dict of NumPy arrays for one image, without batch axis. `MDRNET` and `INCO2` list
every key with its shape and meaning; `checked` refuses a dict that does not fit, before anything is drawn.

Letters in shapes: H, W image; h, w feature grid; c style channels; k = query/key channels of correlation
mining; n = 14 classes; m slots (of one class's block, or of the shared memory); N patches of the feature
grid, numbered row by row; C1 h1 w1 .. the SPADE blocks' own channels and sizes; e, he, we features of the
reconstruction encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from replication.errors import InputError


@dataclass(frozen=True)
class Spec:
    """kind: picture (uint8 RGB 0..255), mask (0/1, 1 = hole), labels (integers 0..13), flag (0/1), float."""

    kind: str
    shape: str
    meaning: str


MDRNET: dict[str, Spec] = {
    "image": Spec("picture", "H W 3", "ground truth"),
    "mask": Spec("mask", "H W", "hole mask M"),
    "coarse": Spec("picture", "H W 3", "coarse face P (known pixels pasted back)"),
    "labels": Spec("labels", "H W", "semantic map S of P, 14 classes"),
    "mask_grid": Spec("mask", "h w", "M on the feature grid (a cell is a hole if any pixel under it is)"),
    "labels_grid": Spec("labels", "h w", "S on the feature grid"),
    "style": Spec("float", "c h w", "style features F_s of P"),
    "queries": Spec("float", "n c", "Q: F_s pooled over each class, zero rows where absent"),
    "queries_present": Spec("flag", "n", "1 where the class is in S"),
    "values": Spec("float", "n c", "V: F_s pooled over the known part of each class, zero rows where absent"),
    "values_present": Spec("flag", "n", "1 where the class is in the known part of S"),
    "weights": Spec("float", "n m", "read weights a, rows sum to 1 (rows of absent classes are ignored)"),
    "reads": Spec("float", "n c", "memory reads Q^"),
    "fused": Spec("float", "c h w", "F_fuse = M bc(Q^) + (1 - M) bc(V)"),
    "mcm_query": Spec("float", "k h w", "first 1x1 convolution of correlation mining"),
    "mcm_key": Spec("float", "k h w", "second 1x1 convolution"),
    "mcm_value": Spec("float", "c h w", "third 1x1 convolution"),
    "attention": Spec("float", "N N", "A = row softmax of the similarities; row = patch that receives"),
    "mcm_update": Spec("float", "c h w", "A times the value patches, folded back, before the mask"),
    "enhanced": Spec("float", "c h w", "F_f = F_fuse + M mcm_update"),
    "spade1_gamma": Spec("float", "C1 h1 w1", "SPADE scale of the first block (its first SPADE layer)"),
    "spade1_beta": Spec("float", "C1 h1 w1", "SPADE shift of the first block"),
    "spade2_gamma": Spec("float", "C2 h2 w2", "the same, second block"),
    "spade2_beta": Spec("float", "C2 h2 w2", "the same, second block"),
    "spade3_gamma": Spec("float", "C3 h3 w3", "the same, third block"),
    "spade3_beta": Spec("float", "C3 h3 w3", "the same, third block"),
    "refined": Spec("picture", "H W 3", "raw output R"),
    "completed": Spec("picture", "H W 3", "completed image: known pixels of `image`, holes of R"),
    "hits": Spec("float", "n m", "how often each slot was the nearest one to a query (counts over many images)"),
}
"""Tensors of one image through MDRNets (spec sections 1, 5, 6)."""

INCO2: dict[str, Spec] = {
    "real": Spec("picture", "H W 3", "real face"),
    "inpainted": Spec("picture", "H W 3", "inpainted face (what the loss sees)"),
    "mask": Spec("mask", "H W", "hole mask M"),
    "labels": Spec("labels", "H W", "semantic map of the real face, used for both"),
    "features_real": Spec("float", "e he we", "reconstruction encoder of the real face"),
    "features_inpainted": Spec("float", "e he we", "the same of the inpainted face"),
    "hole_real": Spec("float", "n e", "features pooled over each class inside the hole, zero rows where absent"),
    "hole_inpainted": Spec("float", "n e", "the same of the inpainted face"),
    "known_real": Spec("float", "n e", "features pooled over each class outside the hole"),
    "known_inpainted": Spec("float", "n e", "the same of the inpainted face"),
    "intra_real": Spec("float", "n n", "similarities hole x hole, real face"),
    "intra_inpainted": Spec("float", "n n", "the same of the inpainted face"),
    "inter_real": Spec("float", "n n", "similarities hole (row) x known (column), real face"),
    "inter_inpainted": Spec("float", "n n", "the same of the inpainted face"),
    "intra_valid": Spec("flag", "n n", "1 where both classes exist, so that the pair counts"),
    "inter_valid": Spec("flag", "n n", "the same for hole x known"),
}
"""Tensors of the InCo2 loss of one image (spec section 9.1)."""


def checked(
    tensors: Mapping[str, np.ndarray], needed: Iterable[str], specs: Mapping[str, Spec] = MDRNET
) -> dict[str, np.ndarray]:
    """The needed arrays, as uint8 (picture, mask, labels, flag) or float64.

    Raises InputError naming the key when one is missing, has another shape than `specs` says (equal letters
    must be equal numbers over all of them), or values that its kind does not allow.
    """
    found: dict[str, np.ndarray] = {}
    sizes: dict[str, tuple[int, str]] = {"3": (3, "RGB"), "n": (14, "classes")}
    for key in needed:
        spec = specs[key]
        if key not in tensors:
            raise InputError(f"tensor {key!r} ({spec.meaning}, shape ({spec.shape})) is missing.")
        array = np.asarray(tensors[key])
        letters = spec.shape.split()
        if array.ndim != len(letters):
            raise InputError(f"tensor {key!r} has shape {array.shape}; it must be ({spec.shape}).")
        for letter, size in zip(letters, array.shape, strict=True):
            expected, because = sizes.setdefault(letter, (size, key))
            if size != expected:
                raise InputError(
                    f"tensor {key!r} has shape {array.shape}, but {letter} in ({spec.shape}) is {expected} ({because})."
                )
        found[key] = _values(key, array, spec)
    return found


def _values(key: str, array: np.ndarray, spec: Spec) -> np.ndarray:
    if spec.kind == "float":
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise InputError(f"tensor {key!r} has values that are not finite.")
        return array
    if spec.kind == "picture" and array.dtype != np.uint8:
        raise InputError(f"tensor {key!r} must be a uint8 picture (0..255), got {array.dtype}.")
    highest = {"picture": 255, "mask": 1, "flag": 1, "labels": 13}[spec.kind]
    if array.size and (array.min() < 0 or array.max() > highest):
        raise InputError(f"tensor {key!r} must lie in 0..{highest}, got {array.min()}..{array.max()}.")
    if spec.kind in ("mask", "flag") and not np.isin(array, (0, 1)).all():
        raise InputError(f"tensor {key!r} must hold only 0 and 1.")
    return array.astype(np.uint8)
