"""What the one training loop knows about a network: the Trainable contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

Update = Callable[[str, Tensor], None]


class Trainable(nn.Module):
    """Networks, their optimisers and one step of their training. GANs, autoencoders and parsers all fit.

    Everything that a resumed run needs must be in `state_dict()` (parameters, persistent buffers) or in the
    optimisers; whatever else a step uses must be a function of the batch, of `batch["images_seen"]`, or of
    torch's random numbers, which the loop seeds anew at every step.

    Example:
        >>> import torch
        >>> class MeanFace(Trainable):
        ...     def __init__(self, lr=0.1):
        ...         super().__init__()
        ...         self.face = nn.Parameter(torch.zeros(3, 8, 8))
        ...         self.lr = lr
        ...     def optimizers(self):
        ...         return {"face": torch.optim.Adam([self.face], self.lr)}
        ...     def training_step(self, batch, update):
        ...         loss = (batch["image"] - self.face).abs().mean()
        ...         update("face", loss)
        ...         return {"l1": loss}
        >>> trainable = MeanFace()
        >>> sorted(trainable.inference_weights())
        ['face']
    """

    needs: frozenset[str] = frozenset()
    """Fields of the batch beyond image and mask, e.g. {"parsing"}."""

    def __init__(self):
        super().__init__()
        # A plain dict: an nn.ModuleDict would put the frozen networks into state_dict and into train().
        self.frozen: dict[str, nn.Module] = {}

    def add_frozen(self, name: str, module: nn.Module) -> None:
        """Keep a network that is only looked through, as `self.frozen[name]`.

        It follows this module from device to device, stays in eval mode without gradients, and is in no
        state_dict, so no checkpoint contains it. (An attribute of its own would be registered by nn.Module.)
        """
        self.frozen[name] = module.eval().requires_grad_(False)

    def _apply(self, fn, recurse: bool = True):
        # `to`, `cuda`, `float` and their like all come through here; overriding `to` would miss the others.
        for module in self.frozen.values():
            module._apply(fn)
        return super()._apply(fn, recurse)

    def optimizers(self) -> dict[str, Optimizer]:
        """The optimisers by name. The loop calls this once, when the networks are on their device."""
        raise NotImplementedError

    def training_step(self, batch: dict[str, Any], update: Update) -> dict[str, Tensor]:
        """One step on one batch.

        Args:
            batch: image (B,3,H,W) in [-1,1], mask (B,1,H,W) with 1 = hole, the fields of `needs`, `ids`, and
                `images_seen`: images of all ranks before this step, an int, the clock of every schedule.
            update: `update(name, loss)` makes one step of the optimiser `name` on a scalar loss: clears its
                gradients, runs backward for its parameters alone (a generator's loss leaves the
                discriminator's gradients untouched), averages over ranks, checks that all is finite, steps.
                The graph is freed: a loss is used for one update.

        Returns:
            Scalars for the history (0-dim tensors or floats); always the same names, if possible.
        """
        raise NotImplementedError

    def compiled_modules(self) -> Iterable[nn.Module]:
        """Modules that `fit(compile=True)` hands to torch.compile; a double backward must not pass them."""
        return self.children()

    def inference_weights(self) -> dict[str, Tensor]:
        """The tensors worth publishing after training; all of `state_dict()` unless a subclass says less."""
        return self.state_dict()
