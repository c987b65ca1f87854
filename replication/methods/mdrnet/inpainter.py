"""A trained MDRNet with its frozen first stage, as an inpainter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from replication.errors import InputError
from replication.layers.pasting import composite, hide
from replication.methods import ONLY_PART, TrainedRun
from replication.methods.mdrnet.first_stage import FrozenFirstStage, open_first_stage
from replication.methods.mdrnet.network import MDRNet, classes_of
from replication.methods.mdrnet.spread import spread
from replication.methods.mdrnet.trace import MDRNetTrace

if TYPE_CHECKING:
    from replication.methods.reconstruction.network import ReconstructionEncoder


class MDRNetInpainter:
    """First stage and refinement as one. It draws nothing: seeds do not matter.

    Args:
        network: the trained network; frozen here.
        first_stage: that it was trained behind.
        open_encoder: opens the reconstruction encoder of the InCo2 loss when `encoder` is first asked for.
    """

    needs = frozenset[str]()

    def __init__(
        self,
        network: MDRNet,
        first_stage: FrozenFirstStage,
        open_encoder: Callable[[], ReconstructionEncoder] | None = None,
    ):
        self.network = network.eval().requires_grad_(False)
        self.first_stage = first_stage
        self._open_encoder = open_encoder

    @cached_property
    def encoder(self) -> ReconstructionEncoder:
        """What InCo2 looks through. No completion needs it: it is opened when Figure 4 is drawn.

        Raises:
            InputError: it was not trained yet, or this object was made without a way to open it.
        """
        if self._open_encoder is None:
            raise InputError("MDRNetInpainter: the reconstruction encoder is needed but was not given")
        return self._open_encoder()

    @torch.no_grad()
    def inpaint(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> Tensor:
        """Completed images (B,3,H,W) in [-1,1]."""
        return self.inpaint_with_diagnostics(batch, seeds)[0]

    @torch.no_grad()
    def inpaint_with_diagnostics(
        self, batch: Mapping[str, Any], seeds: Sequence[int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The same, and how sharply the pass chose among slots and patches: see `spread.spread`."""
        image, mask = batch["image"], batch["mask"]
        coarse, labels = self.first_stage(image, mask)
        classes = classes_of(labels)
        passed = self.network(coarse, classes, mask)
        return composite(passed.raw, image, mask), spread(replace(passed, classes=classes))

    @torch.no_grad()
    def features(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> MDRNetTrace:
        """Every named tensor of one pass, the SPADE modulations of the last block included."""
        image, mask = batch["image"], batch["mask"]
        coarse, labels = self.first_stage(image, mask)
        classes = classes_of(labels)
        passed = self.network(coarse, classes, mask)
        gamma, beta = self.network.refinement.spade_3.spade_0.modulation(passed.guide, tuple(image.shape[-2:]))
        return replace(
            passed,
            masked_input=hide(image, mask),
            mask=mask,
            coarse=coarse,
            parsing=labels,
            classes=classes,
            gamma=gamma,
            beta=beta,
            completed=composite(passed.raw, image, mask),
        )


def open_run(trained: TrainedRun) -> MDRNetInpainter:
    """The trained network on the run's device, with the first stage that it was trained behind."""
    network = MDRNet(trained.settings)
    network.load_state_dict(trained.weights(ONLY_PART))
    network.to(trained.device, memory_format=trained.memory_format)
    return MDRNetInpainter(network, open_first_stage(trained), lambda: trained.open("reconstruction"))
