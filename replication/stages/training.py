"""Training stages: priors first (parser, reconstruction, attribute network, coarse), then every MDRNet."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from replication import distributed, paths
from replication.atomic import atomic_folder, write_json
from replication.config import Parameters, Schedule
from replication.data.loader import TrainingBatches, tensor_to_images
from replication.data.masks import MaskStore
from replication.data.store import FaceStore
from replication.device import arithmetic, choose_device
from replication.errors import InputError, RunError
from replication.history.made_by import code_commit, source_digest
from replication.layers.patch_gan import PatchGAN
from replication.losses.partial_convolution import PConvLoss
from replication.methods.attributes.network import AttributeNetwork, AttributeTraining
from replication.methods.mdrnet.frozen_networks import FrozenJudges
from replication.methods.mdrnet.network import MDRNet, MDRNetSize
from replication.methods.mdrnet.training import LossSettings, MDRNetTraining
from replication.methods.parser.bisenet import PUBLISHED_SHA256, BiSeNet, ParserTraining, published_parser
from replication.methods.pconv.network import PConvTraining, PConvUNet
from replication.methods.reconstruction.network import ReconstructionNetwork, ReconstructionTraining
from replication.stages.opening import coarse_of, load_encoder, load_perceptual, load_priors
from replication.training.checkpoint import read_card, save_weights
from replication.training.fit import FitReport, fit
from replication.training.schedules import LearningRate
from replication.training.state import remove_other_runs
from replication.training.trainable import Trainable

BANK_BATCH = 32  # pairs whose coarse faces are computed at once

# What decides a training, by method; dvc.yaml names the same as dependencies.
_NETWORKS = ("backbones", "training")
_PCONV = (*_NETWORKS, "layers/partial_convolution.py", "losses", "methods/__init__.py", "methods/pconv.py")
SOURCES = {
    "bisenet": _NETWORKS,
    "reconstruction": _NETWORKS,
    "attributes": _NETWORKS,
    "pconv": _PCONV,
    "mdrnet": (*_PCONV, "layers", "methods/mdrnet.py", "methods/mdrnet_training.py"),
}


def _seed_network(seed: int) -> None:
    """Initial weights follow from the seed alone."""
    torch.manual_seed(seed)


def _rate(schedule: Schedule, train_images: int) -> LearningRate:
    return LearningRate(schedule.lr, schedule.decay, schedule.total_images(train_images))


def _train(
    parameters: Parameters,
    name: str,
    trainable: Trainable,
    batches: TrainingBatches,
    schedule: Schedule,
    *,
    method: str,
    role: str,
    seed: int,
    network: dict[str, Any],
    inputs: dict[str, str],
    settings: dict[str, Any] | None = None,
) -> FitReport:
    """Fit one trainable and store its weights, card and history under data/models/<name>.

    `network` are the constructor arguments by which the trained network is opened again; `inputs` are digests
    of everything the training read, so that a run in progress is never resumed against other data.
    """
    store = FaceStore.open(paths.store(role))
    steps = schedule.steps(len(store.rows("train")))
    run = parameters.run
    config = {
        "method": method,
        "network": network,
        "schedule": dataclasses.asdict(schedule),
        "settings": settings or {},
        "inputs": inputs,
        "image_size": parameters.image_size,
        "code": source_digest(SOURCES[method]),
    }
    group = distributed.current()
    report = fit(
        trainable,
        batches,
        steps=steps,
        state_root=paths.STATE,
        name=name,
        config=config,
        seed=seed,
        device=run.device,
        precision=run.precision,
        channels_last=run.channels_last,
        compile=run.compile,
        strict=run.deterministic,
        checkpoint_every_s=run.checkpoint_every_s,
        log_every_s=run.log_every_s,
        die_with_parent=True,
    )
    if group.is_main:
        # Nothing here differs between two equal trainings: equal weights are then an equal folder.
        card = {
            "name": name,
            "method": method,
            "dataset": role,
            "dataset_title": getattr(parameters.data, role).title,
            "training_images": len(store.rows("train")),
            "steps": report.steps,
            "images_seen": report.images_seen,
            "seed": seed,
            "trained_parameters": sum(p.numel() for p in trainable.parameters()),
            "config": config,
        }
        weights = trainable.inference_weights()
        card["parameters"] = _parameters_of(trainable, weights)
        save_weights(paths.model(name), weights, card, report.history)
        cost = {
            "seconds": round(report.seconds, 1),
            "images_per_s": round(report.images_per_s, 1),
            "loader_wait": round(report.loader_wait, 4),
            "peak_memory_mb": round(report.peak_memory_mb),
            "device": report.device,
            "world_size": report.world_size,
            "precision": run.precision,
            "commit": code_commit(),
        }
        write_json(paths.COSTS / f"{name}.json", {key: card[key] for key in card if key != "config"} | cost)
        remove_other_runs(report.state_folder)
    group.barrier()
    return report


def _parameters_of(trainable: Trainable, weights: dict[str, torch.Tensor]) -> int:
    """Numbers among the stored weights that were trained: no memory slots, no statistics of a norm."""
    trained = {parameter.data_ptr() for parameter in trainable.parameters()}
    return sum(tensor.numel() for tensor in weights.values() if tensor.data_ptr() in trained)


def _batches(
    parameters: Parameters, role: str, schedule: Schedule, seed: int, *, holes: bool = True, **more: Any
) -> TrainingBatches:
    group = distributed.current()
    if schedule.batch_size % group.world_size:
        raise InputError(
            f"batch_size {schedule.batch_size} cannot be shared by {group.world_size} processes: use a multiple"
        )
    return TrainingBatches(
        FaceStore.open(paths.store(role)),
        MaskStore.open(paths.MASKS) if holes else None,
        batch_size=schedule.batch_size,
        seed=seed,
        rank=group.rank,
        world_size=group.world_size,
        **more,
    )


def _digests(*, stores: tuple[str, ...] = (), masks: bool = False, models: tuple[str, ...] = ()) -> dict[str, str]:
    """SHA-256 of the contents a training reads."""
    digests = {role: FaceStore.open(paths.store(role)).card["sha256"] for role in stores}
    if masks:
        digests["masks"] = MaskStore.open(paths.MASKS).card["sha256"]
    return digests | {name: read_card(paths.model(name))["weights_sha256"] for name in models}


def train_parser(parameters: Parameters) -> FitReport | None:
    """The face parser: trained on data.parsing, or the published weights converted to safetensors."""
    p = parameters.parser
    network = {"width": p.width, "output_stride": int(p.output_stride), "upscale": p.upscale}
    if p.source == "published":
        return _import_parser(parameters, Path(p.weights), network)
    if FaceStore.open(paths.store("parsing")).parsing is None:
        raise InputError("data.parsing: has no parsing maps; set its parsing_folder, or source: drawn")
    _seed_network(parameters.seed)
    steps = p.schedule.steps(len(FaceStore.open(paths.store("parsing")).rows("train")))
    trainable = ParserTraining(
        BiSeNet(width=p.width, output_stride=int(p.output_stride)),
        steps=steps,
        optimizer="adam",
        lr=p.schedule.lr,
        betas=p.schedule.betas,
        warmup=min(100, steps // 10),
        upscale=p.upscale,
    )
    return _train(
        parameters,
        "parser",
        trainable,
        _batches(parameters, "parsing", p.schedule, parameters.seed, holes=False, fields=("parsing",)),
        p.schedule,
        method="bisenet",
        role="parsing",
        seed=parameters.seed,
        network=network,
        inputs=_digests(stores=("parsing",)),
    )


def _import_parser(parameters: Parameters, file: Path, network: dict[str, Any]) -> None:
    """The published weights under this pipeline's names: hash-checked, never unpickled, stored as safetensors."""
    parser = published_parser(file)
    count = sum(parameter.numel() for parameter in parser.parameters())
    card = {"name": "parser", "method": "bisenet", "parameters": count}
    card |= {"source": file.name, "source_sha256": PUBLISHED_SHA256}
    save_weights(paths.model("parser"), parser.state_dict(), card | {"config": {"network": network}})
    write_json(paths.COSTS / "parser.json", card | {"commit": code_commit()})


def train_reconstruction(parameters: Parameters) -> FitReport:
    """The autoencoder whose encoder InCo2 looks through; real faces of the CelebA-HQ role, no masks."""
    p = parameters.reconstruction
    images = len(FaceStore.open(paths.store("celebahq")).rows("train"))
    _seed_network(parameters.seed)
    return _train(
        parameters,
        "reconstruction",
        ReconstructionTraining(ReconstructionNetwork(p.width), rate=_rate(p.schedule, images), betas=p.schedule.betas),
        _batches(parameters, "celebahq", p.schedule, parameters.seed, holes=False),
        p.schedule,
        method="reconstruction",
        role="celebahq",
        seed=parameters.seed,
        network={"width": p.width},
        inputs=_digests(stores=("celebahq",)),
    )


def train_attributes(parameters: Parameters) -> FitReport | None:
    """The attribute network behind FD; a profile that uses Inception leaves a card that says so."""
    p = parameters.attributes
    if parameters.evaluation.extractor == "inception":
        with atomic_folder(paths.model("attributes")) as folder:
            note = "not trained: this profile's Frechet distance looks through Inception"
            write_json(folder / "card.json", {"name": "attributes", "method": None, "note": note})
        write_json(paths.COSTS / "attributes.json", {"name": "attributes", "method": None, "note": note})
        return None
    store = FaceStore.open(paths.store("attributes"))
    names = [c for c in store.index.columns if c.startswith("attr_")]
    if not names:
        raise InputError("data.attributes: has no attribute columns; name a table with them, or use source: drawn")
    _seed_network(parameters.seed)
    network = {"attributes": len(names), "width": p.width}
    return _train(
        parameters,
        "attributes",
        AttributeTraining(
            AttributeNetwork(**network), rate=_rate(p.schedule, len(store.rows("train"))), betas=p.schedule.betas
        ),
        _batches(parameters, "attributes", p.schedule, parameters.seed, holes=False, fields=("attributes",)),
        p.schedule,
        method="attributes",
        role="attributes",
        seed=parameters.seed,
        network=network,
        inputs=_digests(stores=("attributes",)),
    )


def train_coarse(parameters: Parameters, dataset: str) -> list[FitReport]:
    """The partial-convolution network on one data set: PConv of Table 1, and (its first training) the coarse network.

    As many trainings as the baseline has seeds; those that are done already are not repeated. Empty where
    torchrun was started to do it.
    """
    if _together(parameters, "coarse", dataset):
        return []
    return [_train_coarse(parameters, dataset, k) for k in range(parameters.coarse_seeds(dataset))]


def _train_coarse(parameters: Parameters, dataset: str, k: int) -> FitReport:
    p, seed = parameters.coarse, parameters.seed + k
    _seed_network(seed)
    images = len(FaceStore.open(paths.store(dataset)).rows("train"))
    finetune = p.schedule.total_images(images) - round(p.finetune_epochs * images)
    network = {"width": p.width, "levels": p.levels}
    trainable = PConvTraining(
        PConvUNet(**network),
        PConvLoss(load_perceptual(parameters, "vgg16"), **dataclasses.asdict(p.losses)),
        rate=_rate(p.schedule, images),
        betas=p.schedule.betas,
        finetune_from=finetune if p.finetune_epochs else None,
        finetune_lr=p.finetune_lr,
    )
    return _train(
        parameters,
        paths.repeat(f"coarse_{dataset}", k),
        trainable,
        _batches(parameters, dataset, p.schedule, seed),
        p.schedule,
        method="pconv",
        role=dataset,
        seed=seed,
        network=network,
        settings=dataclasses.asdict(p.losses)
        | {
            "finetune_epochs": p.finetune_epochs,
            "finetune_lr": p.finetune_lr,
            "perceptual": parameters.perceptual.source,
        },
        inputs=_digests(stores=(dataset,), masks=True, models=("parser",)),
    )


def _bank_origin(parameters: Parameters, dataset: str) -> dict[str, Any]:
    """What a bank's entries follow from; a bank of another origin would pair faces with other people's priors."""
    return {
        "pairs": parameters.mdrnet.bank_pairs,
        "seed": parameters.seed,
        "paste": parameters.coarse.paste,
        "inputs": _digests(stores=(dataset,), masks=True, models=("parser", coarse_of(parameters, dataset))),
    }


def make_bank(parameters: Parameters, dataset: str) -> dict[str, Any]:
    """Coarse faces and their parser labels for a fixed table of training pairs, computed once for all MDRNets.

    The coarse network and the parser are frozen and shared by every experiment; without the bank each of them
    would repeat the same passes. With mdrnet.bank_pairs 0 the bank is empty and masks are new at every step.

    Raises:
        InputError: started by torchrun; one process makes the bank.
    """
    if distributed.current().world_size > 1:
        raise InputError("bank: is made by one process; run it without torchrun")
    pairs, size, count = parameters.mdrnet.bank_pairs, parameters.image_size, BANK_BATCH
    card = _bank_origin(parameters, dataset)
    with atomic_folder(paths.BANKS / dataset) as folder:
        if pairs:
            batches = TrainingBatches(
                FaceStore.open(paths.store(dataset)),
                MaskStore.open(paths.MASKS),
                batch_size=count,
                seed=parameters.seed,
                bank=pairs,
            )
            coarse = np.lib.format.open_memmap(folder / "coarse.npy", "w+", np.uint8, (pairs, size, size, 3))
            labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint8, (pairs, size, size))
            device = choose_device(parameters.run.device)
            with arithmetic(parameters.run.deterministic, device):
                priors = load_priors(parameters, dataset, device)
                for start in range(0, pairs, count):
                    part = slice(start, min(start + count, pairs))
                    batch = batches.assemble(np.arange(part.start, part.stop))
                    image, mask = (batch[k].to(device, memory_format=torch.channels_last) for k in ("image", "mask"))
                    face, parsed = priors(image, mask)
                    coarse[part] = tensor_to_images(face)
                    labels[part] = parsed.cpu().numpy()
            card |= {"sha256": hashlib.sha256(coarse.data).hexdigest() + hashlib.sha256(labels.data).hexdigest()}
            coarse.flush()
            labels.flush()
        write_json(folder / "card.json", card)
    return card


def _bank(parameters: Parameters, dataset: str) -> dict[str, Any]:
    """Arguments of TrainingBatches that read the bank, or none.

    Raises:
        InputError: the bank is missing, or was made from other faces, masks, networks or settings.
    """
    pairs = parameters.mdrnet.bank_pairs
    if not pairs:
        return {}
    folder = paths.BANKS / dataset
    if not (folder / "coarse.npy").is_file():
        raise InputError(f"{folder} is missing: run `python -m replication bank {dataset}` first")
    origin, card = _bank_origin(parameters, dataset), read_card(folder)
    differing = [key for key, value in origin.items() if card.get(key) != value]
    if differing:
        raise InputError(
            f"{folder} was made with other {', '.join(differing)}: run `python -m replication bank {dataset}` again"
        )
    extras = {key: np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False) for key in ("coarse", "labels")}
    return {"bank": pairs, "bank_seed": parameters.seed, "extras": extras, "extra_images": ("coarse",)}


def _together(parameters: Parameters, *verb: str) -> bool:
    """Run a verb by torchrun where run.processes asks for several processes and this is not one of them.

    Raises:
        RunError: torchrun failed; its own messages are above.
    """
    processes = parameters.run.processes
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return False
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run([*command, "-m", "replication", *verb], check=False)
    if done.returncode:
        raise RunError(f"{' '.join(verb)} with {processes} processes failed (exit status {done.returncode})")
    return True


def train_experiment(parameters: Parameters, name: str, only: int | None = None) -> list[FitReport]:
    """One kind of MDRNet of `experiments`, by name, with all of its seeds; what is done already is not repeated.

    only: just the training of this number (from 0), for machines that share the work.

    Raises:
        InputError: no such experiment, or fewer trainings than `only` asks for.
    """
    seeds = parameters.seeds_of(name)
    if only is not None and not 0 <= only < seeds:
        raise InputError(f"--repeat {only}: {name} is trained {seeds} time(s), numbered from 0; raise `seeds`")
    chosen = range(seeds) if only is None else [only]
    if _together(parameters, "train", name, *([] if only is None else ["--repeat", str(only)])):
        return []
    return [_train_mdrnet(parameters, name, k) for k in chosen]


def _train_mdrnet(parameters: Parameters, name: str, k: int) -> FitReport:
    m, dataset, seed = parameters.mdrnet_of(name), parameters.experiment(name).dataset, parameters.seed + k
    network = {
        "size": dataclasses.asdict(m.size),
        "dmm": m.dmm,
        "mcm": m.mcm,
        "memory": dataclasses.asdict(m.memory),
        "mining": dataclasses.asdict(m.mining),
        "norm": m.spade_norm,
    }
    _seed_network(seed)
    discriminator = PatchGAN(width=m.discriminator_width, norm=m.discriminator_norm)
    _seed_network(seed)  # again, so that another discriminator leaves the generator's start as it is
    generator = MDRNet(**(network | {"size": MDRNetSize(**network["size"])}))
    device = choose_device(parameters.run.device)
    priors = load_priors(parameters, dataset, device)
    judges = FrozenJudges(
        parser=priors.parser, perceptual=load_perceptual(parameters, "vgg19", priors.parser), encoder=load_encoder()
    )
    trainable = MDRNetTraining(
        generator,
        discriminator,
        priors,
        judges,
        LossSettings(**dataclasses.asdict(m.losses)),
        rate=_rate(m.schedule, len(FaceStore.open(paths.store(dataset)).rows("train"))),
        betas=m.schedule.betas,
        discriminator_lr_ratio=m.discriminator_lr_ratio,
    )
    coarse = coarse_of(parameters, dataset)
    return _train(
        parameters,
        paths.repeat(name, k),
        trainable,
        _batches(parameters, dataset, m.schedule, seed, **_bank(parameters, dataset)),
        m.schedule,
        method="mdrnet",
        role=dataset,
        seed=seed,
        network=network,
        settings={
            "losses": dataclasses.asdict(m.losses),
            "discriminator": [m.discriminator_width, m.discriminator_norm, m.discriminator_lr_ratio],
            "bank_pairs": m.bank_pairs,
            "paste": parameters.coarse.paste,
            "perceptual": parameters.perceptual.source,
        },
        inputs=_digests(stores=(dataset,), masks=True, models=("parser", "reconstruction", coarse)),
    )
