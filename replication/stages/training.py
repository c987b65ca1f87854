"""Training stages: one part of one run, with all its seeds, by the one loop; or one part for a data set."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from replication import distributed, paths
from replication.atomic import atomic_folder, write_json
from replication.data.loader import TrainingBatches
from replication.data.masks import MaskStore
from replication.device import arithmetic, choose_device, memory_format
from replication.errors import InputError, RunError
from replication.graph.closure import code_digest
from replication.graph.roots import part_roots
from replication.history.commit import code_commit
from replication.methods import Finished, Method, Part, Task, TrainedRun, Training
from replication.methods.opening import open_faces, open_run, weights_sha256
from replication.settings import plain
from replication.training.checkpoint import config_digest, load_weights, read_card, save_weights
from replication.training.fit import FitReport, fit
from replication.training.state import remove_other_runs

if TYPE_CHECKING:
    from replication.config import Parameters


def train_run(
    parameters: Parameters, name: str, *, part: str | None = None, only: int | None = None
) -> list[FitReport | None]:
    """Train the parts of a run in their order, each with all of its seeds; what is done already is not repeated.

    Args:
        part: just this one.
        only: just the training of this number (from 0), for machines that share the work.

    Returns:
        What each training did, None for a part that needed none; empty where torchrun was started to do it.

    Raises:
        InputError: no such run or part, fewer trainings than `only` asks for, or what a part needs is missing.
    """
    method, seeds = parameters.method_of(name), parameters.seeds_of(name)
    if only is not None and not 0 <= only < seeds:
        raise InputError(f"--repeat {only}: {name} is trained {seeds} time(s), numbered from 0; raise `seeds`")
    names = [one.name for one in method.run_parts]
    if part is not None and part not in names:
        raise InputError(f"--part {part}: {method.title} has the parts {', '.join(names)}")
    chosen = range(seeds) if only is None else [only]
    repeat = [] if only is None else ["--repeat", str(only)]
    done: list[FitReport | None] = []
    for one in method.run_parts:
        if part not in (None, one.name):
            continue
        if not one.together and distributed.current().world_size > 1:
            raise InputError(f"{name}: part {one.name} is trained by one process; run it without torchrun")
        if not (one.together and _together(parameters, "train", name, "--part", one.name, *repeat)):
            done += [train_part(parameters, name, one, k) for k in chosen]
    return done


def train_part(parameters: Parameters, name: str, part: Part, k: int) -> FitReport | None:
    """One training of one part, into data/models/<run>/<part>/seed_<k>."""
    method, seed = parameters.method_of(name), parameters.seed + k
    task = _task(parameters, method, part, parameters.settings_of(name), name, parameters.run(name).dataset, k)
    # Initial weights follow from the seed alone, whatever was drawn in this process before.
    torch.manual_seed(seed)
    made = importlib.import_module(part.module).train(task)
    if isinstance(made, Finished):
        _keep(parameters, task, method, made, k)
        return None
    return _fit(parameters, task, method, made, k)


def compute_part(parameters: Parameters, method: Method, part: Part, dataset: str) -> dict[str, Any]:
    """What a system computes once for a data set, into data/shared/<method>/<part>/<dataset>; its card.

    Raises:
        InputError: started by torchrun (one process does it), or no such data set among those of the part.
    """
    if distributed.current().world_size > 1:
        raise InputError(f"{method.name}.{part.name}: is computed by one process; run it without torchrun")
    settings, datasets = getattr(parameters.methods, method.name), parameters.datasets_of(part)
    if dataset not in datasets:
        raise InputError(f"{method.name}.{part.name}: {dataset!r} is not among {part.over} ({', '.join(datasets)})")
    task = _task(parameters, method, part, settings, f"{method.name}.{part.name}", dataset, 0)
    origin = _shared_origin(parameters, task, method, part)
    with (
        atomic_folder(paths.shared(method.name, part.name, dataset)) as folder,
        arithmetic(parameters.compute.deterministic, task.device),
    ):
        card = importlib.import_module(part.module).compute(task, folder)
        write_json(folder / "card.json", origin | card)
    return origin | card


def _task(
    parameters: Parameters, method: Method, part: Part, settings: Any, run: str, dataset: str | None, k: int
) -> Task:
    """What the part's code is given; needs are opened when it asks for them."""
    device, laid_out = choose_device(parameters.compute.device), memory_format(parameters.compute.channels_last)
    faces = open_faces(parameters, dataset) if part.data else None
    own = {one.name: one for one in method.parts}

    def open_need(need: str) -> Any:
        if need not in own:
            return open_run(parameters, parameters.needed_run(settings, need), device)
        trained = TrainedRun(
            run=run,
            dataset=dataset,
            settings=settings,
            cards={need: read_card(paths.model(paths.training(run, need, k)))},
            weights=lambda name: load_weights(paths.model(paths.training(run, name, k)))[0],
            device=device,
            open=open_need,
            memory_format=laid_out,
        )
        return importlib.import_module(own[need].module).open_part(trained)

    def shared(name: str) -> Path:
        """The folder of an own part, refused when it was made of anything else than what is here now."""
        folder, command = paths.shared(method.name, name, dataset), f"part {method.name}.{name} {dataset}"
        if not (folder / "card.json").is_file():
            raise InputError(f"{folder} is missing: run `python -m replication {command}` first")
        other = replace(task, part=own[name])
        origin, card = _shared_origin(parameters, other, method, own[name]), read_card(folder)
        differing = [key for key, value in origin.items() if card.get(key) != value]
        if differing:
            raise InputError(
                f"{folder} was made with other {', '.join(differing)}: run `python -m replication {command}` again"
            )
        return folder

    task = Task(
        run=run,
        part=part,
        dataset=dataset,
        image_size=faces.size if faces is not None else parameters.image_size,
        seed=parameters.seed + k,
        shared_seed=parameters.seed,
        settings=settings,
        faces=faces,
        masks=MaskStore.open(paths.masks(dataset)) if part.data and part.holes else None,
        device=device,
        open=open_need,
        shared=shared,
        memory_format=laid_out,
    )
    return task


def _settings(task: Task) -> dict[str, Any]:
    """The part of the settings that the part reads."""
    whole = plain(task.settings)
    return {key: whole[key] for key in task.part.settings} if task.part.settings else whole


def _inputs(parameters: Parameters, task: Task, method: Method) -> dict[str, str]:
    """SHA-256 of the contents that a part reads: faces, masks, networks of others, own parts before it."""
    found = {}
    if task.faces is not None:
        found[task.dataset] = task.faces.card["sha256"]
    if task.masks is not None:
        found["masks"] = task.masks.card["sha256"]
    own = {part.name: part for part in method.parts}
    for need in task.part.needs:
        if need not in own:
            run = parameters.needed_run(task.settings, need)
            for part in parameters.method_of(run).run_parts:
                found[f"{run}/{part.name}"] = weights_sha256(paths.training(run, part.name))
        elif own[need].per == "run":
            found[need] = weights_sha256(paths.training(task.run, need, task.seed - parameters.seed))
        else:
            found[need] = config_digest(read_card(task.shared(need)))
    return found


def _shared_origin(parameters: Parameters, task: Task, method: Method, part: Part) -> dict[str, Any]:
    """What a part for a data set follows from; one of another origin would pair faces with other people's results."""
    return {
        "settings": _settings(task),
        "seed": task.shared_seed,
        "inputs": _inputs(parameters, task, method),
        "code": code_digest(part_roots(method, part)),
    }


def _config(parameters: Parameters, task: Task, method: Method) -> dict[str, Any]:
    """What decides a training, beyond the arguments of `fit`: another value is another run."""
    return {
        "method": method.name,
        "part": task.part.name,
        "fields": sorted(task.part.fields),
        "holes": task.part.holes,
        "settings": _settings(task),
        "inputs": _inputs(parameters, task, method),
        "image_size": task.image_size,
        "code": code_digest(part_roots(method, task.part)),
    }


def _card(parameters: Parameters, task: Task, method: Method, name: str) -> dict[str, Any]:
    card = {"name": name, "run": task.run, "method": method.name, "part": task.part.name}
    if task.faces is not None:
        title = parameters.data_set(task.dataset).title
        card |= {"dataset": task.dataset, "dataset_title": title, "training_images": task.train_images}
    return card


def _keep(parameters: Parameters, task: Task, method: Method, made: Finished, k: int) -> None:
    """Store what needed no training, such as published weights under this suite's names."""
    name, group = paths.training(task.run, task.part.name, k), distributed.current()
    if group.is_main:
        card = _card(parameters, task, method, name) | dict(made.card) | {"seed": task.seed}
        save_weights(paths.model(name), made.weights, card | {"config": _config(parameters, task, method)})
        write_json(paths.COSTS / f"{name}.json", card | {"commit": code_commit()})
    group.barrier()


def _fit(parameters: Parameters, task: Task, method: Method, made: Training, k: int) -> FitReport:
    """Fit one trainable and store its weights, card and history under data/models/<run>/<part>/seed_<k>."""
    name, schedule = paths.training(task.run, task.part.name, k), made.schedule
    config, compute = _config(parameters, task, method), parameters.compute
    group = distributed.current()
    report = fit(
        made.trainable,
        _batches(task, made, group),
        steps=schedule.steps(task.train_images),
        state_root=paths.STATE,
        name=name,
        config=config,
        seed=task.seed,
        device=compute.device,
        precision=compute.precision,
        channels_last=compute.channels_last,
        compile=compute.compile,
        strict=compute.deterministic,
        checkpoint_every_s=compute.checkpoint_every_s,
        log_every_s=compute.log_every_s,
        die_with_parent=True,
    )
    if group.is_main:
        # Nothing on the card differs between two equal trainings: equal weights are then an equal folder, and what
        # depends on it is not run again. What a training cost differs by nature, and is kept apart.
        weights = made.trainable.inference_weights()
        card = _card(parameters, task, method, name) | {
            "steps": report.steps,
            "images_seen": report.images_seen,
            "seed": task.seed,
            "trained_parameters": sum(p.numel() for p in made.trainable.parameters()),
            "parameters": _parameters_of(made.trainable, weights),
            "config": config,
        }
        save_weights(paths.model(name), weights, card, report.history)
        cost = {
            "seconds": round(report.seconds, 1),
            "images_per_s": round(report.images_per_s, 1),
            "loader_wait": round(report.loader_wait, 4),
            "peak_memory_mb": round(report.peak_memory_mb),
            "device": report.device,
            "world_size": report.world_size,
            "precision": compute.precision,
            "commit": code_commit(),
        }
        write_json(paths.COSTS / f"{name}.json", {key: card[key] for key in card if key != "config"} | cost)
        # Only now: until the weights are stored, an earlier configuration's checkpoints are still worth something.
        remove_other_runs(report.state_folder)
    group.barrier()
    return report


def _batches(task: Task, made: Training, group: distributed.Distributed) -> TrainingBatches:
    size = made.schedule.batch_size
    if size % group.world_size:
        raise InputError(f"batch_size {size} cannot be shared by {group.world_size} processes: use a multiple")
    if missing := sorted(made.trainable.needs - task.part.fields):
        raise InputError(f"{task.run}: part {task.part.name} needs the field {missing[0]!r}, which it does not declare")
    return TrainingBatches(
        task.faces,
        task.masks,
        batch_size=size,
        seed=task.seed,
        fields=task.part.fields,
        rank=group.rank,
        world_size=group.world_size,
        **made.batches,
    )


def _parameters_of(trainable: torch.nn.Module, weights: dict[str, torch.Tensor]) -> int:
    """Numbers among the stored weights that were trained: no memory slots, no statistics of a norm."""
    trained = {parameter.data_ptr() for parameter in trainable.parameters()}
    return sum(tensor.numel() for tensor in weights.values() if tensor.data_ptr() in trained)


def _together(parameters: Parameters, *verb: str) -> bool:
    """Run a verb by torchrun where compute.processes asks for several processes and this is not one of them.

    Raises:
        RunError: torchrun failed; its own messages are above.
    """
    processes = parameters.compute.processes
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return False
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run([*command, "-m", "replication", *verb], check=False)
    if done.returncode:
        raise RunError(f"{' '.join(verb)} with {processes} processes failed (exit status {done.returncode})")
    return True
