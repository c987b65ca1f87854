"""What a method tells of its own passes while it is measured: no metric, and compared with nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from replication.errors import RunError


class Diagnostics:
    """Collects the numbers of `inpaint_with_diagnostics` over the batches of a bucket.

    A method without it is asked for completions alone, and has no numbers.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._values: dict[str, list[np.ndarray]] = {}
        self._batches = 0

    def inpaint(self, inpainter: Any, batch: Mapping[str, Any], seeds: Sequence[int]) -> Tensor:
        """The method's completions of a batch (B,3,H,W); what it tells beside is kept.

        Raises:
            RunError: a number is not one value an image, or its name is not told for every batch.
        """
        told = getattr(inpainter, "inpaint_with_diagnostics", None)
        if told is None:
            return inpainter.inpaint(batch, seeds)
        output, numbers = told(batch, seeds)
        for name, values in numbers.items():
            if not isinstance(values, torch.Tensor) or values.shape != (len(batch["image"]),):
                raise RunError(f"{self.run}: diagnostic {name!r} must be one number an image, (B,)")
            self._values.setdefault(name, []).append(values.double().cpu().numpy())
        self._batches += 1
        if partly := [name for name, batches in self._values.items() if len(batches) != self._batches]:
            raise RunError(f"{self.run}: diagnostic {partly[0]!r} was not told for every batch")
        return output

    def means(self, decimals: int) -> dict[str, float]:
        """name -> mean over the images that have a number; a name that no image has one of is left out."""
        joined = {name: np.concatenate(batches) for name, batches in self._values.items()}
        return {n: round(float(np.nanmean(v)), decimals) for n, v in joined.items() if np.isfinite(v).any()}
