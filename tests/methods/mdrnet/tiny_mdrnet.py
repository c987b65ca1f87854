"""The real MDRNet training at 32 pixels and widths of a few channels; run as a script, it trains in two processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from replication import distributed
from replication.layers.patch_gan import PatchGAN
from replication.methods.mdrnet.first_stage import FrozenFirstStage
from replication.methods.mdrnet.frozen_networks import FrozenNetworks
from replication.methods.mdrnet.inpainter import MDRNetInpainter
from replication.methods.mdrnet.network import MDRNet
from replication.methods.mdrnet.settings import Losses, MDRNetSettings, Memory, Size
from replication.methods.mdrnet.training import MDRNetTraining
from replication.methods.parser.bisenet import BiSeNet, FaceParser
from replication.methods.parser.features import ParserFeatures
from replication.methods.pconv.inpainter import PConvInpainter
from replication.methods.pconv.network import PConvUNet
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork
from replication.settings import merge
from replication.training.fit import fit
from replication.training.schedules import LearningRate

SIDE, BATCH = 32, 4
SIZE = Size(channels=8, style_width=4, width=4, blocks=1, spade_hidden=4, patch=2)
SLOTS = 6
LOSSES = Losses(style=1.0)
SETTINGS = MDRNetSettings(size=SIZE, memory=Memory(slots=SLOTS, decay=0.9), losses=LOSSES)


def randomise_statistics(network: torch.nn.Module) -> None:
    """Running statistics as a trained network would have them, so that folding them is not trivial."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)


def first_stage() -> FrozenFirstStage:
    torch.manual_seed(1)
    coarse, parser = PConvUNet(width=4, levels=3), BiSeNet(width=4, output_stride=4)
    randomise_statistics(coarse)
    randomise_statistics(parser)
    return FrozenFirstStage(PConvInpainter(coarse), FaceParser(parser))


def generator(**change) -> MDRNet:
    """The network of `SETTINGS` with the changes of a run, as params.yaml would have them."""
    torch.manual_seed(2)
    return MDRNet(merge(SETTINGS, change, path="change"))


def encoder() -> ReconstructionEncoder:
    torch.manual_seed(4)
    return ReconstructionEncoder(ReconstructionNetwork(width=4))


def inpainter(**change) -> MDRNetInpainter:
    network = generator(**change)
    if network.memory is not None:
        network.memory.started.fill_(True)
    return MDRNetInpainter(network, first_stage(), encoder)


class SGDTraining(MDRNetTraining):
    """Plain gradient descent: Adam turns the rounding noise of a vanishing gradient into a full step."""

    def optimizers(self):
        self._generator_optimizer = torch.optim.SGD(self.generator.parameters(), 0.1)
        self._discriminator_optimizer = torch.optim.SGD(self.discriminator.parameters(), 0.1)
        return {"generator": self._generator_optimizer, "discriminator": self._discriminator_optimizer}


def training(kind=MDRNetTraining, losses=LOSSES, peak=1e-3, network=None, **options) -> MDRNetTraining:
    before = first_stage()
    network = network if network is not None else generator()
    torch.manual_seed(3)
    return kind(
        network,
        PatchGAN(width=4),
        before,
        FrozenNetworks(
            parser=before.parser,
            perceptual=ParserFeatures(before.parser),
            encoder=ReconstructionEncoder(ReconstructionNetwork(width=4)),
        ),
        losses,
        rate=LearningRate(peak),
        betas=(0.9, 0.99),
        **options,
    )


def pictures(count: int = BATCH, seed: int = 0):
    """Smooth random images (B,3,32,32) and blocky masks with a hole and known cells in each."""
    stream = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 8, 8, generator=stream) * 2 - 1
    image = torch.nn.functional.interpolate(small, size=SIDE, mode="bilinear")
    cells = (torch.rand(count, 1, 8, 8, generator=stream) < 0.35).float()
    cells[..., 0, 0], cells[..., 4, 4] = 0, 1
    return image, cells.repeat_interleave(4, 2).repeat_interleave(4, 3)


class Batches:
    """Random images and masks, a function of the step, shared by the ranks."""

    batch_size = BATCH

    def __init__(self, rank: int = 0, world_size: int = 1):
        share = BATCH // world_size
        self.part = slice(rank * share, (rank + 1) * share)

    def batch(self, step: int) -> dict:
        image, mask = pictures(seed=step)
        ids = [f"face-{BATCH * step + i}" for i in range(BATCH)]
        return {"image": image[self.part], "mask": mask[self.part], "ids": ids[self.part]}


def run(root, *, steps: int, trainable: MDRNetTraining, **options):
    group = distributed.current()
    return fit(
        trainable,
        Batches(group.rank, group.world_size),
        steps=steps,
        state_root=root,
        name="tiny",
        config={"tiny": 1},
        seed=5,
        device="cpu",
        history_every=1,
        **options,
    )


def joint(root, steps: int = 2) -> None:
    """The run that two processes and one must agree on."""
    run(root, steps=steps, trainable=training(SGDTraining, peak=0.1), checkpoint_steps=steps)


def state(root, steps: int) -> dict:
    (path,) = Path(root).glob(f"tiny/*/step-{steps:09d}.pt")
    return torch.load(path, weights_only=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    children = []
    for rank in range(2):
        pid = os.fork()
        if pid == 0:
            os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
            code = 1
            try:
                joint(sys.argv[1])
                code = 0
            finally:
                distributed.leave()
                sys.stderr.flush()
                os._exit(code)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    sys.exit(max(map(abs, codes)))
