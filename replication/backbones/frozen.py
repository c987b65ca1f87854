"""What every frozen network shares: evaluation mode for good, no parameter gradients, folded batch norms."""

from __future__ import annotations

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """A copy of `network` in which every BatchNorm2d directly after a Conv2d is folded into that convolution.

    "After" means registered next to each other in the same parent module, which in this package is the
    order of execution. In evaluation mode both networks are the same function up to rounding; the folded
    one saves a pass over every activation, forward and backward.
    """
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (name, first), (next_name, second) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, next_name, nn.Identity())
    return network


class FrozenNetwork(nn.Module):
    """Base of the networks others look through: always in evaluation mode, no parameter takes a gradient.

    The gradient still flows through to the input. `network` is copied and its batch norms are folded, so a
    later change of the original (continued training) does not reach the frozen copy.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = fold_batch_norms(network).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FrozenNetwork:
        """Stays in evaluation mode, also when a parent module is switched to training."""
        return super().train(False)
