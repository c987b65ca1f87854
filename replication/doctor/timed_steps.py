"""A few real steps of every training of a profile, with random weights and random images, against the clock.

Everything is held in memory: no file is read or written. The networks are those that `train` builds; published weights
are replaced by random ones, which take as long.
"""

from __future__ import annotations

import dataclasses
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from replication import distributed
from replication.backbones.frozen import FrozenNetwork
from replication.backbones.perceptual import (
    ParserFeatures,
    PerceptualFeatures,
    VGG16Features,
    VGG19Features,
    vgg_layers,
)
from replication.config import Parameters
from replication.data.drawn_faces import ATTRIBUTES
from replication.device import arithmetic, choose_device
from replication.doctor.run_time import Timings
from replication.layers.patch_gan import PatchGAN
from replication.losses.partial_convolution import PConvLoss
from replication.methods.attributes.network import AttributeFeatures, AttributeNetwork, AttributeTraining
from replication.methods.mdrnet.frozen_networks import FrozenJudges
from replication.methods.mdrnet.network import MDRNet, MDRNetInpainter, MDRNetSize, Priors
from replication.methods.mdrnet.training import LossSettings, MDRNetTraining
from replication.methods.parser.bisenet import BiSeNet, FaceParser, ParserTraining
from replication.methods.pconv.network import PConvInpainter, PConvTraining, PConvUNet
from replication.methods.reconstruction.network import (
    ReconstructionEncoder,
    ReconstructionNetwork,
    ReconstructionTraining,
)
from replication.training.schedules import LearningRate
from replication.training.trainable import Trainable
from replication.training.update import Updater

CPU_SIDE, CPU_BATCH = 128, 2
"""On a CPU, larger images and, for them, larger batches are measured at these and scaled by the number of pixels."""
BUSY_PERCENT = 30
"""Of all cores, by other programs: from there on, threads that wait for each other make a step many times slower than
it will be on a quiet machine, so the processor time of one core is measured instead."""
CORES_GAIN = 0.8
"""Share of each further core's speed that a step gains from it; measured: 1.7 times as fast on 2 cores, 64 pixels."""
STAGE_IMPORTS = 3.5
"""A stage beside its work takes some 3.5 times as long as importing torch and pandas: papermill and its kernel import
twice, then come the notebook's figures and its HTML."""


class Rehearsal:
    """The networks of a profile on a device, and how fast they are.

    Args:
        parameters: the profile.
        budget_s: seconds that all measurements together should take; building the networks comes on top.
    """

    def __init__(self, parameters: Parameters, *, budget_s: float = 10.0):
        self.parameters, self.budget_s = parameters, budget_s
        self.device = choose_device(parameters.run.device)
        self.bfloat16 = parameters.run.precision == "bfloat16"
        self.side = parameters.image_size
        if self.device.type == "cpu" and self.side > CPU_SIDE:
            self.side = max(CPU_SIDE, 2**parameters.coarse.levels)
        self.reduced = self.side < parameters.image_size
        self.area = (parameters.image_size / self.side) ** 2
        self.notes: list[str] = []
        if self.reduced:
            self.notes.append(f"steps at {self.side} pixels with {CPU_BATCH} images, scaled by pixels and images")
        self.gain, self.clock = 1.0, time.perf_counter

    def timings(self) -> Timings:
        """Measure everything."""
        threads = torch.get_num_threads()
        if self.device.type == "cpu" and threads > 1 and (busy := _busy_percent()) > BUSY_PERCENT:
            torch.set_num_threads(1)
            self.gain, self.clock = 1 + CORES_GAIN * (threads - 1), time.process_time
            self.notes.append(
                f"other programs take {busy:.0f} % of this machine: the processor time of one core was measured, and "
                f"{threads} quiet cores are counted as {self.gain:.1f}"
            )
        try:
            return self._timings()
        finally:
            torch.set_num_threads(threads)

    def _timings(self) -> Timings:
        p, switches = self.parameters, arithmetic(self.parameters.run.deterministic, self.device)
        with switches, torch.random.fork_rng():
            torch.manual_seed(0)
            parser = FaceParser(
                BiSeNet(width=p.parser.width, output_stride=int(p.parser.output_stride)), p.parser.upscale
            )
            coarse = PConvInpainter(PConvUNet(p.coarse.width, p.coarse.levels))
            mdrnet, priors = self._mdrnet(parser, coarse)
            mdrnet_step = self._step(mdrnet, p.mdrnet.schedule.batch_size, 0.3, banked=bool(p.mdrnet.bank_pairs))
            priors_image, completed_image = self._evaluation(mdrnet, priors)
            parser_step = attributes_step = None
            if p.parser.source == "train":
                training = ParserTraining(
                    BiSeNet(width=p.parser.width, output_stride=int(p.parser.output_stride)),
                    steps=100,
                    optimizer="adam",
                    upscale=p.parser.upscale,
                )
                parser_step = self._step(training, p.parser.schedule.batch_size, 0.12)
            if p.evaluation.extractor == "attributes":
                training = AttributeTraining(
                    AttributeNetwork(len(ATTRIBUTES), p.attributes.width), rate=LearningRate(1e-4)
                )
                attributes_step = self._step(training, p.attributes.schedule.batch_size, 0.08)
            reconstruction = ReconstructionTraining(
                ReconstructionNetwork(p.reconstruction.width), rate=LearningRate(1e-4)
            )
            loss = PConvLoss(self._perceptual(VGG16Features, parser), **dataclasses.asdict(p.coarse.losses))
            pconv = PConvTraining(
                PConvUNet(p.coarse.width, p.coarse.levels), loss, rate=LearningRate(1e-4), betas=(0.9, 0.99)
            )
            return Timings(
                face=_on_one_core(self._face),
                photo=_on_one_core(partial(_photo, p.image_size)) if self._any_photos() else 0.0,
                mask=_on_one_core(self._mask),
                coarse_step=self._step(pconv, p.coarse.schedule.batch_size, 0.2),
                mdrnet_step=mdrnet_step,
                reconstruction_step=self._step(reconstruction, p.reconstruction.schedule.batch_size, 0.1),
                priors_image=priors_image,
                completed_image=completed_image,
                stage=STAGE_IMPORTS * _import_seconds(),
                parser_step=parser_step,
                attributes_step=attributes_step,
                notes=tuple(self.notes),
            )

    def _any_photos(self) -> bool:
        data = self.parameters.data
        return any(getattr(data, f.name).source == "photos" for f in dataclasses.fields(data))

    # Networks

    def _perceptual(self, kind: type[VGG16Features | VGG19Features], parser: FaceParser) -> PerceptualFeatures:
        if self.parameters.perceptual.source == "parser":
            return ParserFeatures(parser)
        features = kind.__new__(kind)  # its constructor reads the published file
        last = max(kind.perceptual_layers + kind.style_layers)
        FrozenNetwork.__init__(features, vgg_layers(kind.plan, last))
        return features

    def _mdrnet(self, parser: FaceParser, coarse: PConvInpainter) -> tuple[MDRNetTraining, Priors]:
        p, m = self.parameters, self.parameters.mdrnet
        priors = Priors(coarse, parser, p.coarse.paste)
        encoder = ReconstructionEncoder(ReconstructionNetwork(p.reconstruction.width))
        generator = MDRNet(
            MDRNetSize(**dataclasses.asdict(m.size)),
            dmm=m.dmm,
            mcm=m.mcm,
            memory=dataclasses.asdict(m.memory),
            mining=dataclasses.asdict(m.mining),
            norm=m.spade_norm,
        )
        training = MDRNetTraining(
            generator,
            PatchGAN(width=m.discriminator_width, norm=m.discriminator_norm),
            priors,
            FrozenJudges(parser=parser, perceptual=self._perceptual(VGG19Features, parser), encoder=encoder),
            LossSettings(**dataclasses.asdict(m.losses)),
            rate=LearningRate(1e-4),
            betas=m.schedule.betas,
        )
        return training, priors

    def _extractor(self) -> Callable[[Tensor], Tensor]:
        if self.parameters.evaluation.extractor == "attributes":
            network = AttributeFeatures(AttributeNetwork(len(ATTRIBUTES), self.parameters.attributes.width))
            return network.to(self.device).features
        from replication.evaluation import frechet

        features = frechet.InceptionFeatures.__new__(frechet.InceptionFeatures)  # as for the VGGs
        inception = frechet._inception()
        layers = [getattr(inception, name) for stage in frechet._STAGES.values() for name in stage]
        features.network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)).eval().requires_grad_(False)
        return features.to(self.device).features

    # Clock

    def _images(self, count: int) -> dict[str, Tensor]:
        """Smooth random images with a square hole of a quarter of their area, and every label a training may want."""
        side, small = self.side, max(1, self.side // 8)
        image = nn.functional.interpolate(
            torch.rand(count, 3, small, small) * 2 - 1, size=(side, side), mode="bilinear"
        )
        mask = torch.zeros(count, 1, side, side)
        mask[:, :, side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
        parsing = torch.randint(0, 19, (count, small, small)).repeat_interleave(8, 1).repeat_interleave(8, 2)
        batch = {
            "image": image.contiguous(memory_format=torch.channels_last),
            "mask": mask,
            "parsing": parsing[:, :side, :side].to(torch.uint8),
            "attributes": torch.randint(0, 2, (count, len(ATTRIBUTES))).float(),
        }
        return {key: value.to(self.device) for key, value in batch.items()}

    def _count(self, batch_size: int) -> int:
        batch_size = max(1, batch_size // self.parameters.run.processes)
        return min(batch_size, CPU_BATCH) if self.reduced else batch_size

    def _step(self, training: Trainable, batch_size: int, share: float, *, banked: bool = False) -> float:
        """Seconds of one training step of the profile's batch and size."""
        count = self._count(batch_size)
        batch = self._images(count)
        training.to(self.device, memory_format=torch.channels_last)
        training.train()
        if banked:
            batch["coarse"], batch["labels"] = training.priors(batch["image"], batch["mask"])
        update = Updater(training.optimizers(), distributed.current(), self.device, tolerance=10**9)

        def step() -> None:
            update.begin(0, None)
            with torch.autocast(self.device.type, torch.bfloat16, self.bfloat16, cache_enabled=False):
                training.training_step(batch | {"step": 0, "images_seen": 0}, update)

        each = batch_size / self.parameters.run.processes / count
        return self._seconds(step, share) * self.area * each

    def _evaluation(self, training: MDRNetTraining, priors: Priors) -> tuple[float, float]:
        """Seconds a training pair for the priors, and a test pair for everything that evaluation does to it."""
        from replication.evaluation.metrics import METRICS
        from replication.evaluation.pixels import to_uint8
        from replication.evaluation.protocol import ALSO, select

        count = self._count(min(self.parameters.evaluation.batch_size, 16))
        batch, features = self._images(count), self._extractor()
        inpainter = MDRNetInpainter(training.generator, priors)
        image, mask = batch["image"], batch["mask"]
        names = [n for n in select(_Named(), self.side, also=ALSO, lpips=None).per_image if METRICS[n].compute]

        def first_stage() -> None:
            priors(image, mask)

        def all_of_it() -> None:
            completed, truth = to_uint8(inpainter.inpaint(image, mask)), to_uint8(image)
            target = torch.device("cpu") if self.device.type == "mps" else self.device
            completed, truth, hole = (x.to(target) for x in (completed, truth, mask))
            for name in names:
                METRICS[name].compute(completed, truth, hole)
            features(completed)

        with torch.no_grad():
            # Inception sees 299 pixels whatever the size, so scaling overstates it somewhat: on a CPU only.
            return tuple(self._seconds(f, s) * self.area / count for f, s in ((first_stage, 0.05), (all_of_it, 0.15)))

    def _seconds(self, call: Callable[[], None], share: float) -> float:
        """Seconds of a call, from as many as a share of the budget allows, without the first, which makes buffers.

        Three calls are made even beyond that share, unless they take four times as long. The median; on a busy machine
        the least, since others can only slow it down.
        """
        budget, taken, first = share * self.budget_s, [], time.perf_counter()
        while True:
            began = self.clock()
            call()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            elif self.device.type == "mps":
                torch.mps.synchronize()
            taken.append(self.clock() - began)
            next_end = (time.perf_counter() - first) * (1 + 1 / len(taken))
            if len(taken) == 12 or next_end > (4 * budget if len(taken) < 3 else budget):
                break
        typical = min if self.clock is time.process_time else statistics.median
        return typical(taken[1:] or taken) / self.gain

    # Data

    def _face(self) -> float:
        from replication.data.drawn_faces import draw_face

        taken = []
        for k in range(18):
            began = time.thread_time()
            draw_face(k, 0, distribution=("celebahq", "ffhq")[k % 2], size=self.parameters.image_size)
            taken.append(time.thread_time() - began)
        return statistics.median(taken[2:])  # the first ones make the tables of noise that all others share

    def _mask(self) -> float:
        """Seconds for a mask: drawn, or read from a file of 512 pixels and augmented."""
        size = self.parameters.image_size
        began = time.thread_time()
        if self.parameters.masks.source == "drawn":
            from replication.data.irregular_masks import draw_mask

            for k in range(12):
                draw_mask(size=size, seed=0, index=k)
            return (time.thread_time() - began) / 12
        from replication.data.nvidia_masks import augment_occlusion

        rng = np.random.default_rng(0)
        hole = np.zeros((512, 512), dtype=bool)
        hole[100:300, 100:300] = True
        for _ in range(3):
            augment_occlusion(hole, rng, size)
        return (time.thread_time() - began) / 3


def _on_one_core(call: Callable[[], float]) -> float:
    """As the workers that prepare data run it; waiting for a BLAS thread would count as work."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(1):
        return call()


def _busy_percent() -> float:
    """Share of all cores that other programs use just now, in percent; 0 where it cannot be told."""
    try:
        import psutil
    except ImportError:
        return 0.0
    return psutil.cpu_percent(interval=0.5)


class _Named:
    name = "FD (random)"


def _photo(size: int) -> float:
    """Seconds to decode a photo of 1024 x 1024 pixels and reduce it, as packing a folder does."""
    from PIL import Image

    grain = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(grain).resize((1024, 1024), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    began = time.thread_time()
    for _ in range(3):
        file.seek(0)
        Image.open(file).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    return (time.thread_time() - began) / 3


def _import_seconds() -> float:
    """Processor seconds of a fresh interpreter that imports what every stage does."""
    before = os.times()
    subprocess.run([sys.executable, "-c", "import torch, pandas"], check=False, capture_output=True, timeout=60)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
