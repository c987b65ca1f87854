"""One step of one optimiser, over all ranks, with a look at what went into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from replication.distributed import Distributed
from replication.errors import InputError, RunError


class NonFiniteError(RunError):
    """A loss or a gradient was NaN or infinite.

    Attributes:
        particulars: JSON values: step, optimizer, loss, gradient_norm, ids.
    """

    def __init__(self, message: str, particulars: dict[str, Any]):
        super().__init__(message)
        self.particulars = particulars


class Updater:
    """The `update` that a training step is given; see `Trainable.training_step`.

    Args:
        optimizers: by name.
        group: gradients are averaged over its ranks.
        device: of the networks.
        tolerance: updates with a non-finite loss or gradient that may be skipped.
        skipped: how many were, in an earlier part of the run.
        should_stop: asked at every update; if any rank says yes, `stop_agreed` is true on all of them.
    """

    def __init__(
        self,
        optimizers: Mapping[str, Optimizer],
        group: Distributed,
        device: torch.device,
        *,
        tolerance: int = 0,
        skipped: int = 0,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        self.optimizers, self.group, self.device = optimizers, group, device
        self.tolerance, self.skipped = tolerance, skipped
        self.should_stop, self.stop_agreed = should_stop, False
        self.parameters = {
            name: [p for param_group in optimizer.param_groups for p in param_group["params"]]
            for name, optimizer in optimizers.items()
        }
        self.step, self.ids = 0, None

    def begin(self, step: int, ids: Any) -> None:
        """Tell which step and which images the next updates belong to, for error messages."""
        self.step, self.ids = step, ids

    def __call__(self, name: str, loss: Tensor) -> None:
        """Update the optimiser `name` on a scalar loss.

        Raises:
            InputError: there is no such optimiser, or the loss is not a scalar.
            NonFiniteError: a non-finite value beyond the tolerance. On all ranks alike; nothing was stepped.
        """
        if name not in self.optimizers:
            raise InputError(f"update({name!r}): the optimisers are {', '.join(sorted(self.optimizers))}")
        if loss.numel() != 1:
            raise InputError(f"update({name!r}): the loss has shape {tuple(loss.shape)}, it must be a scalar")
        optimizer = self.optimizers[name]
        # Asked anew each time: a trainable may freeze and free its parameters from step to step.
        wanted = [p for p in self.parameters[name] if p.requires_grad]
        optimizer.zero_grad(set_to_none=True)
        # A training step runs under autocast, but backward takes each operation's type from its forward: torch
        # advises against autocast around it.
        with torch.autocast(self.device.type, enabled=False):
            # Only the gradients that this optimiser wants: a generator's loss through the discriminator
            # neither computes nor leaves gradients of the discriminator's weights.
            loss.backward(inputs=wanted)
        finite = torch.isfinite(loss.detach()).float().reshape(1)
        if self.group.world_size > 1:
            finite = self._average(wanted, finite)
        # The norm of all gradients is finite only if each of them is: one number to look at instead of millions.
        gradients = [p.grad for p in wanted if p.grad is not None]
        norm = get_total_norm(gradients) if gradients else torch.zeros((), device=self.device)
        # One number crosses to the host: 1 if the loss was finite on every rank and the gradients are. It is the
        # same on all ranks, since both factors were averaged first; so they step, or leave it, together.
        if float(finite.squeeze() * torch.isfinite(norm)) == 1.0:
            optimizer.step()
            return
        # Not stepped: a NaN in a gradient would go into every weight and into Adam's averages, for good.
        optimizer.zero_grad(set_to_none=True)
        self.skipped += 1
        if self.skipped > self.tolerance:
            self._complain(name, float(loss.detach()), float(norm))

    def _average(self, wanted: list[Tensor], finite: Tensor) -> Tensor:
        """Average the gradients over ranks, in place; returns 1 if the loss was finite on every rank."""
        # A rank may have met no use of some parameter. It takes part with zeros; if no rank met one, its
        # gradient stays None, as in one process, where Adam would leave it alone.
        present = torch.tensor([float(p.grad is not None) for p in wanted], device=self.device)
        # The wish to stop rides along: a collective of its own would cost a round trip at every step.
        asked = torch.tensor([float(self.should_stop())], device=self.device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in wanted]
        *gradients, present, asked, finite = self.group.all_reduce_mean([*gradients, present, asked, finite])
        self.stop_agreed = self.stop_agreed or bool(asked > 0)
        # Reading `present` waits for the device. A rank that used every parameter knows the answer without.
        used = [True] * len(wanted) if all(p.grad is not None for p in wanted) else (present > 0).tolist()
        for parameter, gradient, use in zip(wanted, gradients, used, strict=True):
            parameter.grad = gradient if use else None
        return (finite == 1).float()

    def _complain(self, name: str, loss: float, norm: float) -> None:
        what = f"gradients have the norm {norm} (loss {loss:.6g})" if math.isfinite(loss) else f"loss is {loss}"
        if not isinstance(self.ids, list) or len(self.ids) <= 8:
            shown = self.ids
        else:
            shown = f"{self.ids[:8]} and {len(self.ids) - 8} more"
        raise NonFiniteError(
            f"step {self.step}, optimiser {name!r}: the {what}; images of the batch: {shown}; "
            f"{self.skipped - 1} updates were skipped before",
            {
                "step": self.step,
                "optimizer": name,
                "loss": str(loss),
                "gradient_norm": str(norm),
                "ids": self.ids,
                "skipped_before": self.skipped - 1,
            },
        )
