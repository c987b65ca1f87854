"""The named intermediate tensors that the dataflow figures and the inspection panels draw.

One dict of NumPy arrays for one image, without batch axis. `MDRNET` and `INCO2` list every key with its shape and
meaning; `mdrnet_tensors` and `coordination_tensors` make them of one pass through a trained network; `checked` refuses
a dict that does not fit, before anything is drawn. Importing this module imports no torch: drawing needs arrays only.

Letters in shapes: H, W image; h, w feature grid; c style channels; k = query/key channels of correlation
mining; n = 14 classes; m slots (of one class's block, or of the shared memory); N patches of the feature
grid, numbered row by row; C1 h1 w1 .. the SPADE blocks' own channels and sizes; e, he, we features of the
reconstruction encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from replication.data.labels import CLASSES_14
from replication.errors import InputError
from replication.methods import Inside

if TYPE_CHECKING:
    from torch import Tensor


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
    "labels_grid": Spec("labels", "h w", "S on the feature grid, every second pixel"),
    "style": Spec("float", "c h w", "style features F_s of P"),
    "queries": Spec("float", "n c", "Q: F_s pooled over each class, zero rows where absent"),
    "queries_present": Spec("flag", "n", "1 where the class is in S on the feature grid"),
    "values": Spec("float", "n c", "V: F_s pooled over the known part of each class, zero rows where absent"),
    "values_present": Spec("flag", "n", "1 where the class is in the known part of S on the feature grid"),
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


TOO_SMALL = "too small for the feature grid"
"""What panels say of a class that `lost_classes` names."""


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


def lost_classes(labels: np.ndarray, labels_grid: np.ndarray) -> set[int]:
    """Classes of S (H,W) that the feature grid's S (h,w) lacks: regions too small for every second pixel."""
    return set(np.unique(labels).tolist()) - set(np.unique(labels_grid).tolist())


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


def mdrnet_tensors(inside: Inside) -> dict[str, np.ndarray]:
    """All tensors of one pair through a trained network, as `MDRNET` names them; what an ablation lacks is absent."""
    return picture_tensors(inside) | memory_tensors(inside) | mining_tensors(inside) | modulation_tensors(inside)


def picture_tensors(inside: Inside) -> dict[str, np.ndarray]:
    """Pictures, masks, labels and feature maps of the pass, and its correlation of patches where it has one."""
    t, labels = inside.trace, _integers(inside.trace.classes[0])
    tensors = {
        "image": _picture(inside.batch["image"]),
        "mask": _integers(t.mask[0, 0]),
        "coarse": _picture(t.coarse),
        "labels": labels,
        "mask_grid": _integers(t.hole[0, 0]),
        "labels_grid": labels[::2, ::2],
        "style": _array(t.style[0]),
        "fused": _array(t.fused[0]),
        "enhanced": _array(t.guide[0]),
        "refined": _picture(t.raw),
        "completed": _picture(t.completed),
    }
    return tensors if t.correlation is None else tensors | {"attention": _array(t.correlation[0])}


def memory_tensors(inside: Inside) -> dict[str, np.ndarray]:
    """What the memory is asked and answers; empty where the network has none."""
    t, memory = inside.trace, inside.inpainter.network.memory
    if memory is None:
        return {}
    return {
        "queries": _array(t.query[0]),
        "queries_present": _integers(t.present[0]),
        "values": _array(t.value[0]),
        "values_present": _integers(t.visible[0]),
        "weights": _array(t.read_weights[0]),
        "reads": _array(t.read[0]),
        "hits": _array(memory.hits.expand(len(CLASSES_14), -1)),
    }


def mining_tensors(inside: Inside) -> dict[str, np.ndarray]:
    """Query, key, value and update of correlation mining, computed again; empty where the network has none."""
    from replication.layers.correlation_mining import fold_patches, unfold_patches

    mining, fused = inside.inpainter.network.mining, inside.trace.fused
    if mining is None:
        return {}
    value = mining.value(fused)
    taken = inside.trace.correlation.to(value.dtype) @ unfold_patches(value, mining.patch)
    return {
        "mcm_query": _array(mining.query(fused)[0]),
        "mcm_key": _array(mining.key(fused)[0]),
        "mcm_value": _array(value[0]),
        "mcm_update": _array(fold_patches(taken, mining.patch, *fused.shape[-2:])[0]),
    }


def modulation_tensors(inside: Inside) -> dict[str, np.ndarray]:
    """Scale and shift of the three SPADE blocks, computed again."""
    tensors, size = {}, inside.trace.raw.shape[-1]
    for number, divisor in ((1, 4), (2, 2), (3, 1)):
        block = getattr(inside.inpainter.network.refinement, f"spade_{number}")
        gamma, beta = block.spade_0.modulation(inside.trace.guide, (size // divisor, size // divisor))
        tensors |= {f"spade{number}_gamma": _array(gamma[0]), f"spade{number}_beta": _array(beta[0])}
    return tensors


def coordination_tensors(inside: Inside) -> dict[str, np.ndarray]:
    """The tensors of the InCo2 loss of one pair, as `INCO2` names them: of the real image and of the raw output R.

    Raises:
        InputError: the reconstruction network was not trained yet.
    """
    from replication.data.labels import to_14
    from replication.layers.region_pooling import region_pool
    from replication.losses.coordination import region_weights

    image, mask, output = inside.batch["image"], inside.batch["mask"], inside.trace.raw
    encoder, parser = inside.inpainter.encoder, inside.inpainter.first_stage.parser
    n, labels = len(CLASSES_14), to_14(parser.labels(image))
    real, ours = encoder(image), encoder(output)
    weights = region_weights(labels, mask, tuple(real.shape[-2:]), n)
    (rows_real, present), (rows_ours, _) = region_pool(real, weights), region_pool(ours, weights)

    def similarities(rows: Tensor) -> tuple[Tensor, Tensor]:
        products = rows[0, :n] @ rows[0].T / real.shape[1]
        return products[:, :n], products[:, n:]

    (intra_real, inter_real), (intra_ours, inter_ours) = similarities(rows_real), similarities(rows_ours)
    hole, known = present[0, :n], present[0, n:]
    return {
        "real": _picture(image),
        "inpainted": _picture(output),
        "mask": _integers(mask[0, 0]),
        "labels": _integers(labels[0]),
        "features_real": _array(real[0]),
        "features_inpainted": _array(ours[0]),
        "hole_real": _array(rows_real[0, :n]),
        "hole_inpainted": _array(rows_ours[0, :n]),
        "known_real": _array(rows_real[0, n:]),
        "known_inpainted": _array(rows_ours[0, n:]),
        "intra_real": _array(intra_real),
        "intra_inpainted": _array(intra_ours),
        "inter_real": _array(inter_real),
        "inter_inpainted": _array(inter_ours),
        "intra_valid": _integers(hole[:, None] & hole[None]),
        "inter_valid": _integers(hole[:, None] & known[None]),
    }


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _integers(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy().astype(np.uint8)


def _picture(tensor: Tensor) -> np.ndarray:
    from replication.data.loader import tensor_to_images

    return tensor_to_images(tensor)[0]
