"""A few real steps of every training of a profile, with random weights and random images, against the clock.

No file is read, and none written but in a temporary folder. The networks are those that each system's `train` builds;
published weights are replaced by random ones, which take as long.
"""

from __future__ import annotations

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
from torch import Tensor

from replication import distributed
from replication.config import Parameters
from replication.data.loader import OPTIONAL_FIELDS, TrainingBatches, gather_batch
from replication.device import arithmetic, choose_device, memory_format
from replication.doctor.amounts import is_computed, schedules, typical_run
from replication.doctor.run_time import Each, Step, Timings
from replication.doctor.stand_ins import StandIns
from replication.methods import Method, Part, Training
from replication.methods.registry import methods
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
COMPUTED_AT_ONCE, EVALUATED_AT_ONCE = 32, 16
"""Images that are computed for a data set, and completed for an evaluation, in one measured call."""


class TimedSteps:
    """The networks of a profile on a device, and how fast they are.

    Args:
        parameters: the profile.
        budget_s: seconds that all measurements together should take; building the networks comes on top.
    """

    def __init__(self, parameters: Parameters, *, budget_s: float = 10.0):
        self.parameters, self.budget_s = parameters, budget_s
        self.device = choose_device(parameters.compute.device)
        self.laid_out = memory_format(parameters.compute.channels_last)
        self.bfloat16 = parameters.compute.precision == "bfloat16"
        self.notes: list[str] = []
        if any(self.reduced(name) for name in parameters.data):
            sides = sorted({self.side(name) for name in parameters.data if self.reduced(name)})
            words = ", ".join(map(str, sides))
            self.notes.append(f"steps at {words} pixels with {CPU_BATCH} images, scaled by pixels and images")
        self.gain, self.clock = 1.0, time.perf_counter

    def side(self, dataset: str) -> int:
        """Pixels at which a data set's images are measured: on a CPU, the fewest from `CPU_SIDE` that all runs take."""
        own = self.parameters.image_size_of(dataset)
        if self.device.type != "cpu":
            return own
        settings = [self.parameters.settings_of(name) for name in self.parameters.run_names()]
        sides = (side for side in range(CPU_SIDE, own, 32) if not any([*each.misfits(side)] for each in settings))
        return next(sides, own)

    def reduced(self, dataset: str) -> bool:
        """Whether a data set's images are measured at fewer pixels than they have."""
        return self.side(dataset) < self.parameters.image_size_of(dataset)

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
        p = self.parameters
        most = CPU_BATCH if any(self.reduced(name) for name in p.data) else COMPUTED_AT_ONCE
        with (
            arithmetic(p.compute.deterministic, self.device),
            torch.random.fork_rng(),
            StandIns(p, self.device, size_of=self.side, items=most) as stand_ins,
        ):
            torch.manual_seed(0)
            trained, computed, measured = self._wanted()
            share = 1 / max(1, len(trained) + len(computed) + len(measured))
            steps = {}
            for one, part, run in trained:
                if isinstance(made := stand_ins.made(run, part), Training):
                    steps[one.name, part.name] = self._step(stand_ins, run, part, made, share)
            items = {(one.name, part.name): self._item(stand_ins, one, part, share) for one, part in computed}
            completed = {one.name: self._evaluation(stand_ins, run, share) for one, run in measured}
            return Timings(
                face=_on_one_core(self._face),
                photo=_on_one_core(partial(_photo, p.image_size)) if self._any_photos() else 0.0,
                mask=_on_one_core(self._mask),
                stage=STAGE_IMPORTS * _import_seconds(),
                steps=steps,
                items=items,
                completed=completed,
                notes=tuple(self.notes),
            )

    def _wanted(self) -> tuple[list[tuple[Method, Part, str]], list[tuple[Method, Part]], list[tuple[Method, str]]]:
        """Parts to train, each with the run that stands for its system; parts to compute; systems to measure."""
        p, trained, computed, measured = self.parameters, [], [], []
        for one in methods().values():
            if not (runs := p.run_names(one.name)):
                continue
            trained += [(one, part, typical_run(p, runs)) for part in one.run_parts]
            computed += [(one, part) for part in one.parts if is_computed(p, one, part)]
            if inpainted := [run for run in runs if p.run(run).protocol is not None]:
                measured.append((one, typical_run(p, inpainted)))
        return trained, computed, measured

    def _any_photos(self) -> bool:
        return any(data.source == "photos" for data in self.parameters.data.values())

    # Networks

    def _count(self, batch_size: int, dataset: str) -> int:
        batch_size = max(1, batch_size // self.parameters.compute.processes)
        return min(batch_size, CPU_BATCH) if self.reduced(dataset) else batch_size

    def _on_device(self, batch: dict) -> dict:
        def moved(value: Tensor) -> Tensor:
            value = value.to(self.device)
            return value.to(memory_format=self.laid_out) if value.ndim == 4 else value

        return {key: moved(value) if isinstance(value, Tensor) else value for key, value in batch.items()}

    def _step(self, stand_ins: StandIns, run: str, part: Part, made: Training, share: float) -> Step:
        """One training step of a part, for the batch of its schedule."""
        dataset, schedule = self.parameters.run(run).dataset, made.schedule
        size, count = self.side(dataset), self._count(schedule.batch_size, dataset)
        task = stand_ins.task(run, part)
        batches = TrainingBatches(task.faces, task.masks, batch_size=count, seed=0, fields=part.fields, **made.batches)
        batch, training = self._on_device(batches.batch(0)), made.trainable
        training.to(self.device, memory_format=self.laid_out)
        training.train()
        update = Updater(training.optimizers(), distributed.current(), self.device, tolerance=10**9)

        def step() -> None:
            update.begin(0, None)
            with torch.autocast(self.device.type, torch.bfloat16, self.bfloat16, cache_enabled=False):
                training.training_step(batch | {"step": 0, "images_seen": 0}, update)

        each = schedule.batch_size / self.parameters.compute.processes / count
        keys = schedules(self.parameters.settings_of(run))
        key = next((key for key, value in keys.items() if value is schedule), None)
        key = key or next((key for key, value in keys.items() if value == schedule), None)
        return Step(self._seconds(step, share) * each, size, schedule, key)

    def _item(self, stand_ins: StandIns, one: Method, part: Part, share: float) -> Each:
        """One item of what a part computes for a data set."""
        dataset = self.parameters.datasets_of(part)[0]
        compute, items = stand_ins.computing(one, part, dataset)
        compute()  # opens the networks
        return Each(self._seconds(compute, share) / items, self.side(dataset))

    def _evaluation(self, stand_ins: StandIns, run: str, share: float) -> Each:
        """A test pair, and everything that evaluation does to it."""
        from replication.evaluation.metrics import METRICS
        from replication.evaluation.pixels import to_uint8
        from replication.evaluation.protocol import ALSO, select

        p, dataset = self.parameters, self.parameters.run(run).dataset
        count, size = self._count(min(p.evaluation.batch_size, EVALUATED_AT_ONCE), dataset), self.side(dataset)
        inpainter, features = stand_ins.opened(run), stand_ins.opened(p.evaluation.features)
        rows, holes = np.arange(count), stand_ins.masks(size).test[:count]
        fields = inpainter.needs & set(OPTIONAL_FIELDS)
        batch = self._on_device(gather_batch(stand_ins.faces(size), rows, holes, fields=fields))
        batch["exemplar"] = batch["image"].roll(1, 0)
        names = [n for n in select(_Named(), size, also=ALSO, lpips=None).per_image if METRICS[n].compute]

        def all_of_it() -> None:
            completed, truth = to_uint8(inpainter.inpaint(batch, range(count))), to_uint8(batch["image"])
            target = torch.device("cpu") if self.device.type == "mps" else self.device
            completed, truth, hole = (x.to(target) for x in (completed, truth, batch["mask"]))
            for name in names:
                METRICS[name].compute(completed, truth, hole)
            features.features(completed)

        with torch.no_grad():
            # Inception sees 299 pixels whatever the size, so scaling overstates it somewhat: on a CPU only.
            return Each(self._seconds(all_of_it, share) / count, size)

    # Clock

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
