"""The frozen first stage of MDRNets: coarse face and its semantic map, in a step or computed once for a data set."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from replication.data.loader import TrainingBatches, tensor_to_images
from replication.layers.pasting import composite
from replication.methods import Task, TrainedRun
from replication.methods.mdrnet.settings import MDRNetSettings
from replication.methods.parser.bisenet import FaceParser
from replication.methods.pconv.inpainter import PConvInpainter

AT_ONCE = 32
"""Pairs whose coarse faces are computed in one pass."""


class FrozenFirstStage:
    """Coarse network and parser.

    Args:
        coarse: trained PConv network.
        parser: trained face parser.
        paste: put the known pixels back over the coarse output before anything looks at it.
    """

    def __init__(self, coarse: PConvInpainter, parser: FaceParser, paste: bool = True):
        self.coarse_network, self.parser, self.paste = coarse, parser, paste

    @torch.no_grad()
    def coarse(self, image: Tensor, mask: Tensor) -> Tensor:
        """P (B,3,H,W) in [-1,1]."""
        raw = self.coarse_network.coarse(image, mask)
        return composite(raw, image, mask) if self.paste else raw

    @torch.no_grad()
    def labels(self, image: Tensor) -> Tensor:
        """Parser labels (B,H,W) uint8 in the 19 classes."""
        return self.parser.labels(image).to(torch.uint8)

    def __call__(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """P and its 19-class labels S; in float32 also under autocast, as evaluation computes them."""
        with torch.autocast(image.device.type, enabled=False):
            coarse = self.coarse(image, mask)
            return coarse, self.labels(coarse)


def open_first_stage(task: Task | TrainedRun) -> FrozenFirstStage:
    """Coarse network and parser as runs on the task's data set use them, on its device."""
    settings: MDRNetSettings = task.settings
    key = "coarse.for_ffhq" if settings.coarse_run(task.dataset) != settings.coarse.run else "coarse.run"
    return FrozenFirstStage(task.open(f"pconv:{key}"), task.open("parser"), settings.coarse.paste)


def compute(task: Task, folder: Path) -> dict[str, Any]:
    """Coarse faces and their labels for a fixed table of training pairs, once for all runs on a data set.

    Both networks are frozen and shared; without the table every run would repeat the same passes. With
    first_stage.pairs 0 the folder has a card only, and masks are new at every step.

    Files: coarse.npy uint8 (pairs,S,S,3), labels.npy uint8 (pairs,S,S).
    """
    pairs, size = task.settings.first_stage.pairs, task.image_size
    if not pairs:
        return {"pairs": 0}
    batches = TrainingBatches(task.faces, task.masks, batch_size=AT_ONCE, seed=task.seed, fixed_pairs=pairs)
    coarse = np.lib.format.open_memmap(folder / "coarse.npy", "w+", np.uint8, (pairs, size, size, 3))
    labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint8, (pairs, size, size))
    first_stage = open_first_stage(task)
    for start in range(0, pairs, AT_ONCE):
        part = slice(start, min(start + AT_ONCE, pairs))
        batch = batches.assemble(np.arange(part.start, part.stop))
        image, mask = (batch[k].to(task.device, memory_format=task.memory_format) for k in ("image", "mask"))
        face, parsed = first_stage(image, mask)
        coarse[part] = tensor_to_images(face)
        labels[part] = parsed.cpu().numpy()
    sha256 = hashlib.sha256(coarse.data).hexdigest() + hashlib.sha256(labels.data).hexdigest()
    coarse.flush()
    labels.flush()
    return {"pairs": pairs, "sha256": sha256}


def fixed_pairs(task: Task) -> dict[str, Any]:
    """Arguments of TrainingBatches that read the computed table, or none if there is none."""
    pairs = task.settings.first_stage.pairs
    if not pairs:
        return {}
    folder = task.shared("first_stage")
    extras = {key: np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False) for key in ("coarse", "labels")}
    # Runs with other seeds visit the same table, each in an order of its own.
    seed = task.shared_seed
    return {"fixed_pairs": pairs, "fixed_pairs_seed": seed, "extras": extras, "extra_images": ("coarse",)}
