"""One training step of MDRNet as this suite runs it, against the same networks run plainly, in one run and in turns.

    OMP_NUM_THREADS=1 python benchmarks/training_step.py --size demo --steps 10

"suite" is how the profile trains: channels-last memory, fused Adam, and, where the profile computes the first stage
once, coarse faces and labels that come with the batch. "plain" is PyTorch by default: NCHW, Adam as it comes, coarse
network and parser run in every step, float32. Weights are random in both and equal, so the losses of the first step
must agree.

    demo   64x64, widths and batch of the profile `demo`
    full   256x256, widths of the profile `paper`, batch 1; the face parser's trunk stands in for VGG-19, whose
           weights cannot be had offline. That profile computes the first stage in each step, in both.

Each line: milliseconds a step (median over the steps), images per second, and the ratio of the two medians; with
float32 for both unless --precision says otherwise for the suite's side.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from replication import distributed
from replication.config import Parameters
from replication.device import choose_device, peak_memory_mb
from replication.layers.patch_gan import PatchGAN
from replication.methods.mdrnet.first_stage import FrozenFirstStage
from replication.methods.mdrnet.frozen_networks import FrozenNetworks
from replication.methods.mdrnet.network import MDRNet
from replication.methods.mdrnet.training import MDRNetTraining
from replication.methods.parser.bisenet import BiSeNet, FaceParser
from replication.methods.parser.features import ParserFeatures
from replication.methods.pconv.inpainter import PConvInpainter
from replication.methods.pconv.network import PConvUNet
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork
from replication.profile_files import load_profile
from replication.training.schedules import LearningRate
from replication.training.update import Updater

SIZES = {"demo": ("demo", None), "full": ("paper", 1)}
"""Profile, and a batch size if not the profile's."""


class PlainTraining(MDRNetTraining):
    """MDRNetTraining with Adam as PyTorch gives it without asking."""

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        made = {key: torch.optim.Adam(n.parameters(), self.rate.peak, self.betas) for key, n in networks.items()}
        self._generator_optimizer, self._discriminator_optimizer = made["generator"], made["discriminator"]
        return made


def build(parameters: Parameters, kind: type[MDRNetTraining]) -> MDRNetTraining:
    """The training of `full` with random weights in all networks, the same at every call."""
    torch.manual_seed(0)
    m, c, p = parameters.methods.mdrnet, parameters.methods.pconv, parameters.methods.parser
    coarse = PConvInpainter(PConvUNet(c.width, c.levels))
    parser = FaceParser(BiSeNet(width=p.width, output_stride=p.output_stride), p.upscale)
    encoder = ReconstructionEncoder(ReconstructionNetwork(parameters.methods.reconstruction.width))
    return kind(
        MDRNet(m),
        PatchGAN(width=m.discriminator_width, norm=m.discriminator_norm),
        FrozenFirstStage(coarse, parser, m.coarse.paste),
        FrozenNetworks(parser=parser, perceptual=ParserFeatures(parser), encoder=encoder),
        m.losses,
        rate=LearningRate(m.schedule.lr),
        betas=m.schedule.betas,
        discriminator_lr_ratio=m.discriminator_lr_ratio,
    )


def random_batch(parameters: Parameters, batch_size: int, device: torch.device) -> dict[str, Tensor]:
    """Smooth random images (B,3,S,S) in [-1,1], each with a square hole of a quarter of its area."""
    size = parameters.image_size
    random = torch.Generator().manual_seed(1)
    image = torch.rand(batch_size, 3, size // 8, size // 8, generator=random) * 2 - 1
    image = torch.nn.functional.interpolate(image, size=(size, size), mode="bilinear")
    mask = torch.zeros(batch_size, 1, size, size)
    mask[:, :, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    return {"image": image.to(device), "mask": mask.to(device)}


def stepper(
    training: MDRNetTraining, batch: dict[str, Tensor], device: torch.device, bfloat16: bool
) -> Callable[[int], tuple[float, dict[str, float]]]:
    """A function that makes one step and returns its seconds and losses."""
    training.train()
    update = Updater(training.optimizers(), distributed.current(), device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def step(number: int) -> tuple[float, dict[str, float]]:
        update.begin(number, None)
        wait()
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=False):
            scalars = training.training_step(batch | {"images_seen": 0, "step": number}, update)
        wait()
        return time.perf_counter() - began, {key: float(value) for key, value in scalars.items()}

    return step


def measure(size: str, steps: int, device: torch.device, bfloat16: bool) -> None:
    """Time both sides at one size and print three lines."""
    profile, batch_size = SIZES[size]
    parameters = load_profile(profile)
    batch_size = batch_size or parameters.methods.mdrnet.schedule.batch_size
    computed = parameters.methods.mdrnet.first_stage.pairs > 0

    batch = random_batch(parameters, batch_size, device)
    plain = build(parameters, PlainTraining).to(device)
    suite = build(parameters, MDRNetTraining).to(device, memory_format=torch.channels_last)
    ready = {key: value.contiguous(memory_format=torch.channels_last) for key, value in batch.items()}
    if computed:
        coarse, labels = suite.first_stage(ready["image"], ready["mask"])
        ready |= {"coarse": coarse.contiguous(memory_format=torch.channels_last), "labels": labels}
    sides = {"suite": stepper(suite, ready, device, bfloat16), "plain": stepper(plain, batch, device, False)}

    first = {name: step(0)[1] for name, step in sides.items()}  # not timed: allocations, choice of kernels
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(1, steps + 1):
        # The order changes from step to step, so that neither side always finds the other's cache.
        for name in sorted(sides, reverse=number % 2 == 0):
            seconds[name].append(sides[name](number)[0])

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    apart = max(abs(first["suite"][k] - v) / max(abs(v), 1e-6) for k, v in first["plain"].items() if "memory" not in k)
    print(
        f"{size}: {parameters.image_size} px, batch {batch_size}, "
        f"c = {parameters.methods.mdrnet.size.channels}, {steps} steps"
    )
    notes = {
        "suite": f"channels last, fused Adam, first stage {'computed before' if computed else 'in the step'}, "
        + ("bfloat16" if bfloat16 else "float32"),
        "plain": "NCHW, default Adam, first stage in the step, float32",
    }
    for name, note in notes.items():
        print(f"  {name}  {1e3 * medians[name]:9.1f} ms/step  {batch_size / medians[name]:8.2f} images/s   ({note})")
    by_step = [p / s for p, s in zip(seconds["plain"], seconds["suite"], strict=True)]
    print(
        f"  ratio  {medians['plain'] / medians['suite']:.2f}x (step by step {min(by_step):.2f} to {max(by_step):.2f}); "
        f"losses of the first step differ by at most {apart:.0e} of their value"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*SIZES, "both"], default="demo")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each side")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of the suite's side")
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error("--steps is at least 1")
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    print(f"torch {torch.__version__}, {device}, {arguments.threads} thread(s)")
    for size in SIZES if arguments.size == "both" else [arguments.size]:
        measure(size, arguments.steps, device, arguments.precision == "bfloat16")
    kind = "peak GPU memory" if device.type == "cuda" else "peak resident memory"
    print(f"{kind} of this process, both sides together: {peak_memory_mb(device):.0f} MiB")


if __name__ == "__main__":
    main()
