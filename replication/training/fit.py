"""The one training loop: resumable to the bit, loud about NaN, the same for every network."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.optim import Optimizer

from replication import distributed
from replication.atomic import write_json
from replication.data.prefetch import Prefetcher
from replication.device import arithmetic, choose_device, peak_memory_mb, reset_peak_memory
from replication.errors import InputError
from replication.training.checkpoint import Position, load_checkpoint, save_checkpoint
from replication.training.history import History
from replication.training.state import (
    Stop,
    ancestors_to_watch,
    end_with,
    furthest_other_run,
    locked,
    state_path,
    stop_on_signals,
)
from replication.training.status import Status
from replication.training.step_values import channels_last_of, gather, mean_of, numbers, plain_ids, seed_step
from replication.training.trainable import Trainable
from replication.training.update import NonFiniteError, Updater

PRECISIONS = ("float32", "bfloat16")
HISTORY_ROWS = 2000
"""Lines of a history by default: enough for any curve, and small beside the weights."""
CHECKPOINT_SHARE = 0.02
"""Checkpoints by time are spread so that writing them takes at most this share of a run."""


class Batches(Protocol):
    """What the loop needs from `replication.data.loader.TrainingBatches`."""

    batch_size: int
    """Images per step, of all ranks together."""

    def batch(self, step: int) -> dict[str, Any]:
        """This rank's part of the CPU batch of a step, a function of `step` alone."""


@dataclass(frozen=True)
class FitReport:
    """What a finished `fit` did.

    Attributes:
        steps: steps of the whole run.
        images_seen: images of all ranks over the whole run.
        seconds: wall-clock seconds of training, over all resumed parts.
        images_per_s: of all ranks, in this process's part, its first step (warm-up, compilation) left out;
            0.0 if this part had fewer than two steps.
        loader_wait: share of this part's time spent waiting for batches, 0..1.
        peak_memory_mb: see `replication.device.peak_memory_mb`.
        resumed_from: step at which this part began, or None for a fresh run.
        skipped_updates: updates left out because of a non-finite value.
        device: where it ran.
        world_size: processes.
        history: the JSONL history; `history.to_csv` and `checkpoint.save_weights` read it.
        state_folder: where the checkpoints are; may be deleted when the weights are saved.
    """

    steps: int
    images_seen: int
    seconds: float
    images_per_s: float
    loader_wait: float
    peak_memory_mb: float
    resumed_from: int | None
    skipped_updates: int
    device: str
    world_size: int
    history: Path
    state_folder: Path


def fit(
    trainable: Trainable,
    batches: Batches,
    *,
    steps: int,
    state_root: str | Path,
    name: str,
    config: Mapping[str, Any],
    seed: int,
    device: str = "auto",
    precision: str = "float32",
    channels_last: bool = True,
    compile: bool = False,
    strict: bool = False,
    checkpoint_every_s: float = 60.0,
    checkpoint_steps: int | None = None,
    history_every: int | None = None,
    log_every_s: float = 10.0,
    keep_going_on_nan: int = 0,
    die_with_parent: bool = False,
) -> FitReport:
    """Train to `steps`, going on from the last checkpoint of the same configuration if there is one.

    Killed at any point, even by SIGKILL during the writing of a checkpoint, and started again with the same
    arguments on the same machine (and number of threads), it ends with the same weights, optimiser states and
    history (its column `seconds` aside) as an undisturbed run, bit for bit; on a GPU this needs `strict`. It
    holds because a batch is a function of the step, and all random numbers of a step are seeded from (seed,
    step, rank), so that neither has a state to store.

    Several processes (torchrun) share `state_root` and the batches; rank 0 alone writes.

    Args:
        trainable: networks and step; afterwards it holds the trained weights, on the device.
        batches: see `Batches`.
        steps: of the whole run, counted from its beginning.
        state_root: folder of all runs in progress, usually `.state`.
        name: the run's name; its folder is `<state_root>/<name>/<digest>`.
        config: JSON values that decide the result (data, method, widths, learning rates, code version ...).
            The arguments of this function that decide it are added here. A changed value is another run.
        seed: of every random number drawn inside `training_step` (torch, NumPy, Python).
        device: see `replication.device.choose_device`.
        precision: "float32", or "bfloat16" for autocast around `training_step`; weights stay float32.
        channels_last: NHWC memory for 4-d weights and batch tensors.
        compile: torch.compile the trainable's `compiled_modules()`.
        strict: deterministic algorithms where torch has them (a warning where not), no TF32, no cuDNN search.
        checkpoint_every_s: seconds between checkpoints, stretched if writing them would take over 2 %.
        checkpoint_steps: checkpoint at multiples of this many steps instead.
        history_every: steps per line of the history, each the mean over its steps; None: some 2,000 lines.
        log_every_s: seconds between status lines.
        keep_going_on_nan: updates with a non-finite loss or gradient that are skipped before the run stops.
        die_with_parent: end within 2 s when a dvc or papermill that this run belongs to dies
            (`state.ancestors_to_watch`).

    Raises:
        InputError: impossible argument, state folder in use by another process, checkpoint not writable.
        NonFiniteError: a loss or gradient was not finite; names step, optimiser and image ids, which are also
            written to `nan_batch.json` in the state folder.
        KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and a checkpoint written.
    """
    # 1. Check the arguments, before anything is made, loaded or locked.
    _check_arguments(precision, {"steps": steps, "history_every": history_every, "checkpoint_steps": checkpoint_steps})
    place = choose_device(device)
    group = distributed.current()
    history_every = history_every or max(1, steps // HISTORY_ROWS)
    # Whatever of the arguments changes a weight or a line of the history joins the configuration, whose digest
    # names the folder: another value is another run, never the continuation of this one. What only changes when
    # something is written or printed (checkpoints, status lines, the watch) stays out, and so does the device:
    # they may change between two parts of one run.
    config = dict(config) | {
        "fit": {
            "seed": seed,
            "steps": steps,
            "images_per_step": batches.batch_size,
            "history_every": history_every,
            "precision": precision,
            "channels_last": channels_last,
            "compile": compile,
            "strict": strict,
            "keep_going_on_nan": keep_going_on_nan,
            "world_size": group.world_size,
        }
    }
    folder = state_path(state_root, name, config)

    # Everything that must be undone goes on this stack, whichever way the run ends. It is undone in reverse, so
    # the lock, taken first, is given up last: by then nothing of this process writes to the folder any more.
    with contextlib.ExitStack() as stack:
        # 2. Lock the folder, and watch for whoever wants the run to end.
        if group.is_main:  # rank 0 alone writes, and its lock would refuse the other ranks of the same run
            stack.enter_context(locked(folder, config))
        stack.enter_context(arithmetic(strict, place, compile))
        stop = Stop()
        stack.enter_context(stop_on_signals(stop))
        # A `kill -9` of dvc or papermill sends its children nothing: without the watch the training would go on
        # unseen, keep the lock, and refuse the repetition that its user starts next.
        stack.enter_context(end_with(ancestors_to_watch() if die_with_parent else [], stop))

        # 3. Networks, then their past.
        optimizers = _prepare_networks(trainable, group, place, channels_last=channels_last, compiled=compile)
        position = _resume(folder, trainable, optimizers, config, group)
        first, seconds_before = position.step, position.seconds
        history = None
        if group.is_main:
            history = History(folder / "history.jsonl", keep_until=first)
            stack.callback(history.close)
        status = Status(name, steps, log_every_s, place, speak=group.is_main)
        _say_what_is_resumed(status, position, history, folder)
        if not position.step and (other := furthest_other_run(folder)) is not None:
            status.say(f"{name}: begins from zero: {other.told(config)}")
        update = Updater(
            optimizers,
            group,
            place,
            tolerance=keep_going_on_nan,
            skipped=position.skipped,
            should_stop=lambda: stop.reason is not None,
        )

        # 4. The loop: a batch, its seed, the step, the bookkeeping, now and then a checkpoint.
        prefetcher = stack.enter_context(Prefetcher(batches, first, steps, place))
        reset_peak_memory(place)  # what loading took is no part of what the training took
        begun = warmed_at = time.perf_counter()
        checkpoints = _CheckpointClock(checkpoint_every_s, checkpoint_steps, begun)
        status.start(first)
        stopping = False

        for step in range(first, steps):
            # Batch. `images_seen` is the clock of every schedule; it is counted here, because a schedule that
            # counted its own calls would be one more state to restore.
            batch = next(prefetcher)
            if channels_last:
                batch = {key: channels_last_of(value) for key, value in batch.items()}
            batch |= {"step": step, "images_seen": position.images_seen}

            # Seed. Anew at every step: then a checkpoint need not hold the states of torch's, NumPy's and
            # Python's generators on every rank and device, and a step that draws more numbers than it used to
            # does not shift the numbers of all steps after it.
            seed_step(seed, step, group.rank, place)

            # Step.
            update.begin(step, plain_ids(batch.get("ids")))
            try:
                # No cache of cast weights: it would outlive the optimiser step between a discriminator's and
                # a generator's half, and a cast made under no_grad would cut later gradients off.
                with torch.autocast(place.type, torch.bfloat16, precision == "bfloat16", cache_enabled=False):
                    scalars = trainable.training_step(batch, update)
            except NonFiniteError as error:
                # No checkpoint of this step is written: the newest one is from before the damage.
                if group.is_main:
                    write_json(folder / "nan_batch.json", error.particulars | {"seed": seed})
                raise

            # Bookkeeping: where the run stands, and what it says of itself.
            position.step = step + 1
            position.images_seen += batches.batch_size
            position.skipped = update.skipped
            position.pending.append(gather(scalars, group, place))
            if step == first:
                warmed_at = time.perf_counter()  # speed is counted from here: the first step allocates and compiles
            now = time.perf_counter()
            position.seconds = seconds_before + now - begun
            last = position.step == steps
            # All ranks must leave the loop after the same step, or the others would wait for ever in the next
            # collective; so with several the wish travels with the gradients (`Updater`) and counts once it has
            # reached everyone.
            stopping = update.stop_agreed if group.world_size > 1 else stop.reason is not None
            if status.due():
                # Reading the scalars waits for the device; the numbers replace them, so that it waits once.
                latest = position.pending[-1] = numbers(position.pending[-1])
                status.show(position.step, position.images_seen, latest, prefetcher.waited)
            if position.step % history_every == 0 or last:
                # A line is the mean over its steps, because the loss of one step says more about its few images
                # than about the network. The steps since the last line are kept, not a running sum: they go
                # through a checkpoint in mid-line unchanged, and the mean does not show that there was one.
                row = mean_of([numbers(scalars) for scalars in position.pending])
                if history is not None:
                    history.append(position.step, position.images_seen, position.seconds, row)
                position.pending = []

            # Checkpoint, by rank 0 for all: networks, optimisers and scalars are the same on every rank.
            if history is not None and (checkpoints.due(position.step, now) or last or stopping):
                position.pending = [numbers(scalars) for scalars in position.pending]
                # Lines before the checkpoint: the other way round a power cut could leave a checkpoint whose lines
                # are gone, and the steps that they tell of would not be done again.
                history.sync()
                position.history_rows = history.rows
                save_checkpoint(folder, trainable, optimizers, position, config)
                checkpoints.written(now)
            if stopping:
                break

        # 5. The end: stopped on the way, or done.
        if stopping and position.step < steps:
            group.barrier()  # torchrun ends the others when one has ended: not before rank 0 has written
            reason = stop.reason or "asked by another rank"
            message = f"{name}: stopped after step {position.step} of {steps} ({reason})"
            status.say(f"{message}; the same command goes on from there")
            # Not a return: whoever called would take half-trained networks for finished ones.
            raise KeyboardInterrupt(message)
        end = time.perf_counter()
        timed = position.step - first - 1  # without the step that warmed up
        speed = {
            "images_per_s": timed * batches.batch_size / (end - warmed_at) if timed > 0 else 0.0,
            "loader_wait": prefetcher.waited / (end - begun) if timed > 0 else 0.0,
            "peak_memory_mb": peak_memory_mb(place),
        }
        speed = _remembered(speed, folder / "speed.json", keep=group.is_main and timed > 0)
        report = FitReport(
            steps=steps,
            images_seen=position.images_seen,
            seconds=position.seconds,
            **speed,
            resumed_from=first or None,
            skipped_updates=position.skipped,
            device=str(place),
            world_size=group.world_size,
            history=folder / "history.jsonl",
            state_folder=folder,
        )
        status.say(
            f"{name}: {steps} steps, {report.images_seen} images in {report.seconds:.1f} s"
            + (f", {report.images_per_s:.1f} images/s" if timed > 0 else "")
        )
        group.barrier()  # whoever reads the history now, on any rank, finds it whole
        return report


def _check_arguments(precision: str, counts: Mapping[str, int | None]) -> None:
    if precision not in PRECISIONS:
        raise InputError(f'precision is "{precision}": allowed are {" and ".join(PRECISIONS)}')
    for key, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{key} is {value}: it must be at least 1")


def _prepare_networks(
    trainable: Trainable,
    group: distributed.Distributed,
    place: torch.device,
    *,
    channels_last: bool,
    compiled: bool,
) -> dict[str, Optimizer]:
    """Put the networks on their device, the same on every rank, and make their optimisers.

    The order matters: an optimiser holds the parameters that it is given, so whatever replaces a parameter or
    a module (the move to the device, joint batch norms) comes before it.
    """
    trainable.to(place, memory_format=torch.channels_last if channels_last else torch.preserve_format)
    trainable.train()
    group.sync_batch_norm(trainable, place)
    group.broadcast_module(trainable)
    if compiled:
        for module in trainable.compiled_modules():
            module.compile()  # in place: a wrapper would put `_orig_mod.` before every name in the checkpoint
    return trainable.optimizers()


def _resume(folder: Path, trainable, optimizers, config, group: distributed.Distributed) -> Position:
    """Load the newest intact checkpoint into networks and optimisers, the same one on every rank."""
    # Rank 0 chooses and tells the others its step. If each chose for itself, one that finds the newest file
    # damaged, or does not see it yet on a shared disk, would train on from an older step than the others.
    position = load_checkpoint(folder, trainable, optimizers, config) if group.is_main else None
    step = group.broadcast_number(position.step if position is not None else 0)
    if step and not group.is_main:
        position = load_checkpoint(folder, trainable, optimizers, config, step=step)
        if position is None:
            raise InputError(f"rank {group.rank} does not see the checkpoint of step {step}: {folder} must be shared")
    return position or Position()


def _say_what_is_resumed(status: Status, position: Position, history: History | None, folder: Path) -> None:
    if position.step:
        status.say(f"{status.name}: going on from the checkpoint of step {position.step} in {folder}")
    if history is not None and history.rows < position.history_rows:
        # No reason to stop: the weights do not depend on the history. But a curve with a gap must be explained.
        status.say(f"{status.name}: {position.history_rows - history.rows} lines of {history.path} are lost")


class _CheckpointClock:
    """When the next checkpoint is due: at multiples of `every_steps`, or, where that is None, by time.

    By time, because the work that a kill loses is measured in it, whatever a step takes. The interval grows where
    a slow disk or a large network would make writing cost more than `CHECKPOINT_SHARE` of the run.
    """

    def __init__(self, every_s: float, every_steps: int | None, now: float):
        self.every_s, self.every_steps = every_s, every_steps
        self._written_at, self._cost_s = now, 0.0

    def due(self, step: int, now: float) -> bool:
        if self.every_steps is not None:
            return step % self.every_steps == 0
        return now - self._written_at >= max(self.every_s, self._cost_s / CHECKPOINT_SHARE)

    def written(self, began: float) -> None:
        """A checkpoint whose writing began at `began` is on the disk."""
        self._written_at = time.perf_counter()
        self._cost_s = self._written_at - began


def _remembered(speed: dict[str, float], path: Path, *, keep: bool) -> dict[str, float]:
    """The speed of this part, written to `path` if it is worth keeping, or else the one that is kept there.

    A finished run that is asked for again trains nothing, and says what it measured when it did.
    """
    if keep:
        write_json(path, speed)
    elif path.is_file():
        speed = json.loads(path.read_text(encoding="utf-8"))
    return speed
