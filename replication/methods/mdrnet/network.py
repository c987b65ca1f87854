"""MDRNets: memory-disentangled refinement networks (Wu et al. 2022, "ShowFace", arXiv 2204.02824).

A frozen partial-convolution network proposes a whole face P; a frozen parser labels it with 14 classes; style
vectors pooled per class read a memory (DMM); the reads fill the hole at feature level and patch correlations
spread known features into it (MREM); a gated network repaints P under SPADE control of those features.

The authors published no code. The paper gives the equations of the memory and of the losses; every width, the
layout of the refinement network, the memory's decay and start, and the loss weights are choices, listed in
CHOICES.csv and named where they are made.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replication.data.labels import TO_14
from replication.layers.correlation_mining import MaskedCorrelationMining
from replication.layers.gated_convolution import GatedConv2d, GatedResBlock
from replication.layers.initial_weights import draw_seed, initialise_normal, standard_normal
from replication.layers.memory import DisentangledMemory, relative_norm
from replication.layers.region_pooling import broadcast_regions, region_pool
from replication.layers.spade import SPADEResBlock, instance_norm
from replication.methods.mdrnet.settings import MDRNetSettings
from replication.methods.mdrnet.trace import MDRNetTrace

CLASSES = 14


class StyleEncoder(nn.Module):
    """SEAN's style encoder, which the paper cites: (B,3,H,W) -> F_s (B,c,H/2,W/2) in [-1,1].

    1,568,576 parameters with c = 512 at width 32. Instance norm without affine after every layer but the last.
    """

    def __init__(self, channels: int = 512, width: int = 32):
        super().__init__()
        w = width
        self.conv_in = nn.Conv2d(3, w, 3, padding=1, padding_mode="reflect")
        self.down_1 = nn.Conv2d(w, 2 * w, 3, stride=2, padding=1)
        self.down_2 = nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4 * w, 8 * w, 3, stride=2, padding=1, output_padding=1)
        self.conv_out = nn.Conv2d(8 * w, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv_in, self.down_1, self.down_2, self.up):
            x = F.leaky_relu(instance_norm(layer(x)), 0.2)
        return torch.tanh(self.conv_out(x))


class GuidedRefinement(nn.Module):
    """Gated encoder of P, gated residual blocks, SPADE residual blocks guided by F_f.

    20,082,499 parameters with c = 512 at width 64: the paper names the blocks and gives no table; this layout
    is this suite's choice.

    Args:
        guide_channels: c.
        width: channels at full resolution; 2x and 4x at the halved ones.
        blocks: gated residual blocks.
        hidden: width of SPADE's shared convolutions.
    """

    def __init__(
        self, guide_channels: int = 512, width: int = 64, blocks: int = 4, hidden: int = 128, norm: str = "instance"
    ):
        super().__init__()
        w = width
        self.encoder = nn.Sequential(
            GatedConv2d(4, w, 5), GatedConv2d(w, 2 * w, 3, stride=2), GatedConv2d(2 * w, 4 * w, 3, stride=2)
        )
        self.blocks = nn.Sequential(*(GatedResBlock(4 * w) for _ in range(blocks)))
        self.spade_1 = SPADEResBlock(4 * w, 4 * w, guide_channels, hidden, norm)
        self.spade_2 = SPADEResBlock(4 * w, 2 * w, guide_channels, hidden, norm)
        self.spade_3 = SPADEResBlock(2 * w, w, guide_channels, hidden, norm)
        self.conv_out = nn.Conv2d(w, 3, 3, padding=1)

    def forward(self, coarse: Tensor, mask: Tensor, guide: Tensor) -> Tensor:
        """P (B,3,H,W), M (B,1,H,W), F_f (B,c,H/2,W/2) -> raw output R (B,3,H,W) in [-1,1]."""
        x = self.blocks(self.encoder(torch.cat([coarse, mask.to(coarse.dtype)], 1)))
        x = self.spade_1(x, guide)
        x = self.spade_2(F.interpolate(x, scale_factor=2, mode="nearest"), guide)
        x = self.spade_3(F.interpolate(x, scale_factor=2, mode="nearest"), guide)
        return torch.tanh(self.conv_out(F.leaky_relu(x, 0.2)))


def classes_of(labels: Tensor) -> Tensor:
    """Map 19 parser labels to the 14 classes of the memory; any shape, same shape back (int64)."""
    return torch.as_tensor(TO_14, dtype=torch.int64, device=labels.device)[labels.long()]


class MDRNet(nn.Module):
    """The trained part of MDRNets: style encoder, memory, correlation mining, refinement.

    Args:
        settings: of the system. Read here: `size` (widths); `dmm`: pool, read the memory and fuse; off (with
            `mcm` off) injects F_s as it is (Table 2, first column); `mcm`: masked correlation mining. The paper's
            "w/o MREM" still injects the fused features, so it is this switch alone; `memory`, `mining`: of the
            two layers; `spade_norm`: normalisation inside SPADE.
    """

    def __init__(self, settings: MDRNetSettings):
        super().__init__()
        size = settings.size
        c, seed = size.channels, draw_seed()  # drawn before any layer draws, and so the same in every variant
        self.style = StyleEncoder(c, size.style_width)
        self.memory = DisentangledMemory(CLASSES, channels=c, **dict(settings.memory)) if settings.dmm else None
        self.mining = MaskedCorrelationMining(c, size.patch, **dict(settings.mining)) if settings.mcm else None
        self.refinement = GuidedRefinement(c, size.width, size.blocks, size.spade_hidden, settings.spade_norm)
        # 0.02 is the usual deviation at 64 channels. Narrow versions get it scaled with the square root of the
        # refinement's width, else the signal of its un-normalised gated layers sinks below the norms' epsilon.
        initialise_normal(self, 0.02 * math.sqrt(64 / size.width), seed)
        if self.memory is not None:
            self.memory.set_directions(standard_normal(seed, "memory.slots", (settings.memory.slots, CLASSES, c)))

    def forward(self, coarse: Tensor, classes: Tensor, mask: Tensor, update_memory: bool = False) -> MDRNetTrace:
        """One pass of the refinement.

        Args:
            coarse: P (B,3,H,W) in [-1,1], known pixels pasted back.
            classes: S, labels 0..13, (B,H,W) integer.
            mask: M (B,1,H,W), 1 = hole.
            update_memory: write the memory before reading it (training; once per step).

        Returns:
            Everything from F_s to the raw output R; `log` has scalars of the update.
        """
        log: dict[str, Tensor] = {}
        found: dict[str, Tensor] = {}
        style = self.style(coarse)
        # A feature cell is known only if every pixel under it is: V must not be polluted by the hole.
        hole = F.max_pool2d(mask, 2)
        fused = style
        if self.memory is not None:
            # The feature grid is half the image: every second label is the label of a cell.
            regions = F.one_hot(classes[:, ::2, ::2].long(), CLASSES).movedim(-1, 1).to(style.dtype)
            query, present = region_pool(style, regions)
            value, visible = region_pool(style, regions * (1 - hole))
            if update_memory:
                log |= self.memory.update(query, value, visible)
            read, weights = self.memory.read(query, present)
            if update_memory:
                entropy = torch.special.entr(weights.detach()).sum(-1)
                log["memory_entropy"] = (entropy * present).sum() / present.sum().clamp(min=1)
                log["memory_read_norm"] = relative_norm(read, value, visible)
            hole_features = broadcast_regions(read.to(style.dtype), regions)
            known_features = broadcast_regions(value.to(style.dtype), regions)
            fused = torch.where(hole > 0.5, hole_features, known_features)
            found |= {"query": query, "present": present, "value": value, "visible": visible}
            found |= {"read": read, "read_weights": weights}
        guide = fused
        if self.mining is not None:
            guide, found["correlation"] = self.mining(fused, hole)
        raw = self.refinement(coarse, mask, guide)
        return MDRNetTrace(style=style, hole=hole, fused=fused, guide=guide, raw=raw, log=log, **found)
