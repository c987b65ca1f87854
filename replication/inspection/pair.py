"""Looking inside a trained MDRNet: one test pair's named tensors, for the inspection notebook and Figures 2 to 4."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from replication import paths
from replication.config import Parameters
from replication.data.loader import evaluation_batches, tensor_to_images
from replication.data.masks import BUCKETS, MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.errors import InputError
from replication.layers.correlation_mining import fold_patches, unfold_patches
from replication.layers.region_pooling import region_pool
from replication.losses.coordination import region_weights
from replication.methods.mdrnet.network import CLASSES, MDRNet, classes_of
from replication.stages.opening import load_encoder, load_inpainter


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _picture(tensor: Tensor) -> np.ndarray:
    return tensor_to_images(tensor)[0]


@torch.no_grad()
def mdrnet_tensors(inpainter, image: Tensor, mask: Tensor) -> dict[str, np.ndarray]:
    """The tensors of one image through MDRNets, as `replication.methods.mdrnet.tensors.MDRNET` names them.

    Args:
        inpainter: a trained `MDRNetInpainter`; what an ablation lacks (memory, mining) is absent.
        image: (1,3,H,W) in [-1,1].
        mask: (1,1,H,W), 1 = hole.
    """
    network: MDRNet = inpainter.network
    f = inpainter.features(image, mask)
    tensors = {
        "image": _picture(image),
        "mask": _array(mask[0, 0]).astype(np.uint8),
        "coarse": _picture(f["coarse"]),
        "labels": f["classes"][0].cpu().numpy().astype(np.uint8),
        "mask_grid": _array(f["hole"][0, 0]).astype(np.uint8),
        "labels_grid": f["classes"][0, ::2, ::2].cpu().numpy().astype(np.uint8),
        "style": _array(f["style"][0]),
        "fused": _array(f["fused"][0]),
        "enhanced": _array(f["guide"][0]),
        "refined": _picture(f["raw"]),
        "completed": _picture(f["completed"]),
    }
    if network.memory is not None:
        tensors |= {
            "queries": _array(f["query"][0]),
            "queries_present": f["present"][0].cpu().numpy().astype(np.uint8),
            "values": _array(f["value"][0]),
            "values_present": f["visible"][0].cpu().numpy().astype(np.uint8),
            "weights": _array(f["read_weights"][0]),
            "reads": _array(f["read"][0]),
            "hits": _array(network.memory.hits.expand(CLASSES, -1)),
        }
    if network.mining is not None:
        mining, fused = network.mining, f["fused"]
        value = mining.value(fused)
        mined = fold_patches(
            f["correlation"].to(value.dtype) @ unfold_patches(value, mining.patch), mining.patch, *fused.shape[-2:]
        )
        tensors |= {
            "mcm_query": _array(mining.query(fused)[0]),
            "mcm_key": _array(mining.key(fused)[0]),
            "mcm_value": _array(value[0]),
            "attention": _array(f["correlation"][0]),
            "mcm_update": _array(mined[0]),
        }
    size = image.shape[-1]
    for number, divisor in ((1, 4), (2, 2), (3, 1)):
        block = getattr(network.refinement, f"spade_{number}")
        gamma, beta = block.spade_0.modulation(f["guide"], (size // divisor, size // divisor))
        tensors |= {f"spade{number}_gamma": _array(gamma[0]), f"spade{number}_beta": _array(beta[0])}
    return tensors


@torch.no_grad()
def coordination_tensors(inpainter, image: Tensor, mask: Tensor) -> dict[str, np.ndarray]:
    """The tensors of the InCo2 loss of one image, as `replication.methods.mdrnet.tensors.INCO2` names them."""
    encoder, parser = load_encoder(), inpainter.priors.parser
    output = inpainter.features(image, mask)["raw"]
    labels = classes_of(parser.labels(image))
    real, ours = encoder(image), encoder(output)
    weights = region_weights(labels, mask, tuple(real.shape[-2:]), CLASSES)
    (rows_real, present), (rows_ours, _) = region_pool(real, weights), region_pool(ours, weights)
    channels = real.shape[1]

    def similarities(rows: Tensor) -> tuple[Tensor, Tensor]:
        products = rows[0, :CLASSES] @ rows[0].T / channels
        return products[:, :CLASSES], products[:, CLASSES:]

    (intra_real, inter_real), (intra_ours, inter_ours) = similarities(rows_real), similarities(rows_ours)
    hole, known = present[0, :CLASSES], present[0, CLASSES:]
    return {
        "real": _picture(image),
        "inpainted": _picture(output),
        "mask": _array(mask[0, 0]).astype(np.uint8),
        "labels": labels[0].cpu().numpy().astype(np.uint8),
        "features_real": _array(real[0]),
        "features_inpainted": _array(ours[0]),
        "hole_real": _array(rows_real[0, :CLASSES]),
        "hole_inpainted": _array(rows_ours[0, :CLASSES]),
        "known_real": _array(rows_real[0, CLASSES:]),
        "known_inpainted": _array(rows_ours[0, CLASSES:]),
        "intra_real": _array(intra_real),
        "intra_inpainted": _array(intra_ours),
        "inter_real": _array(inter_real),
        "inter_inpainted": _array(inter_ours),
        "intra_valid": (hole[:, None] & hole[None]).cpu().numpy().astype(np.uint8),
        "inter_valid": (hole[:, None] & known[None]).cpu().numpy().astype(np.uint8),
    }


def check_whole_number(name: str, value: object) -> None:
    """Refuse, by InputError, a notebook's parameter that is no int, such as `-p pair three`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{name}: must be a whole number, got {value!r}")


def open_pair(parameters: Parameters, experiment: str, bucket: str, pair: int):
    """A trained experiment and one of its frozen test pairs: inpainter, card, image, mask, id.

    Raises:
        InputError: no such experiment, bucket or pair.
    """
    if bucket not in BUCKETS:
        raise InputError(f"bucket: must be one of {', '.join(BUCKETS)}, got {bucket!r}")
    check_whole_number("pair", pair)
    dataset = parameters.experiment(experiment).dataset
    inpainter, card = load_inpainter(parameters, experiment)
    pairs = EvaluationPairs.open(paths.pairs(dataset))
    count = len(pairs.bucket(bucket))
    if not 0 <= pair < count:
        raise InputError(f"pair: must be from 0 to {count - 1} in bucket {bucket}, got {pair}")
    store, masks = FaceStore.open(paths.store(dataset)), MaskStore.open(paths.MASKS)
    for number, batch in enumerate(evaluation_batches(store, masks, pairs, bucket, 1)):
        if number == pair:
            return inpainter, card, batch["image"], batch["mask"], batch["ids"][0]
    raise InputError(f"pair: {pair} is not in bucket {bucket}")


PANELS = {
    "overview": "Input, coarse face, parsing and completion",
    "memory_reads": "Memory reads of each class",
    "slot_usage": "Slot usage",
    "correlation": "Correlation of a hole patch",
    "spade": "SPADE inputs",
    "error": "Error per pixel",
}
"""Methods of `Inspected` that draw, in the order of the notebook, and what they show."""


@dataclass(frozen=True)
class Inspected:
    """One pair through one trained network; each method draws one panel."""

    title: str
    card: dict
    tensors: dict[str, np.ndarray]
    patch: int | None

    def summary(self) -> pd.Series:
        """What was opened, and whether it has a memory and correlation mining."""
        keys = ("name", "dataset_title", "training_images", "steps", "images_seen", "seed", "parameters")
        values = {key: self.card.get(key) for key in keys}
        values["memory"] = "weights" in self.tensors
        values["correlation mining"] = "attention" in self.tensors
        return pd.Series(values, name=self.title).to_frame()

    def overview(self) -> Figure:
        from replication.methods.mdrnet.panels import overview_panel

        return overview_panel(self.tensors, title=self.title)

    def memory_reads(self) -> list[Figure]:
        from replication.methods.mdrnet.panels import memory_panel

        if "weights" not in self.tensors:
            return []
        temperature = self.card["config"]["network"]["memory"]["temperature"]
        return [memory_panel(self.tensors, title=self.title, temperature=temperature)]

    def slot_usage(self) -> list[Figure]:
        from replication.methods.mdrnet.panels import slot_usage_panel

        return [slot_usage_panel(self.tensors, title=self.title)] if "hits" in self.tensors else []

    def correlation(self) -> list[Figure]:
        from replication.methods.mdrnet.panels import correlation_panel

        if "attention" not in self.tensors:
            return []
        return [correlation_panel(self.tensors, patch=self.patch, title=self.title)]

    def spade(self) -> Figure:
        from replication.methods.mdrnet.panels import spade_panel

        return spade_panel(self.tensors, title=self.title)

    def error(self) -> Figure:
        from replication.methods.mdrnet.panels import error_panel

        return error_panel(self.tensors, title=self.title)


def write_inspection(inspected: Inspected, folder: Path) -> list[Path]:
    """Every panel as <folder>/<panel>.png, as the notebook shows them; what an ablation lacks is left out."""
    from replication.drawing.style import save_figure

    written = []
    for panel, words in PANELS.items():
        drawn = getattr(inspected, panel)()
        for figure in drawn if isinstance(drawn, list) else [drawn]:
            path = folder / f"{panel}.png"
            written.append(save_figure(figure, path, title=f"{words}: {inspected.title}", caption="", alt=words))
    return written


def inspect_pair(
    parameters: Parameters, experiment: str, *, bucket: str = "40-60%", pair: int = 0, patch: int = -1
) -> Inspected:
    """Open a trained experiment and run one frozen test pair through it.

    Args:
        patch: correlation patch, row by row; -1 chooses the hole patch nearest to the hole's centre.
    """
    check_whole_number("patch", patch)
    inpainter, card, image, mask, name = open_pair(parameters, experiment, bucket, pair)
    tensors = mdrnet_tensors(inpainter, image, mask)
    title = f"{experiment}, image {name}, {bucket}"
    if "attention" in tensors and not -1 <= patch < len(tensors["attention"]):
        raise InputError(f"patch: must be -1 or from 0 to {len(tensors['attention']) - 1}, got {patch}")
    return Inspected(title, card, tensors, None if patch < 0 else patch)
