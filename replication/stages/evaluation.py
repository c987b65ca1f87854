"""The evaluation stage: one experiment or baseline on the frozen pairs of its data set."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from replication import paths
from replication.atomic import write_json
from replication.config import Parameters
from replication.data.masks import BUCKETS, MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.device import arithmetic, choose_device
from replication.evaluation.evaluate import DECIMALS, evaluate
from replication.evaluation.perceptual_distance import PerceptualDistance
from replication.evaluation.uncertainty import Sample, interval
from replication.history.made_by import stamp
from replication.methods.opening import dataset_of, load_extractor, load_inpainter


def evaluate_experiment(parameters: Parameters, name: str) -> dict[str, Any]:
    """Measure all trainings of `name` into data/results/<name>/seed_<k>, and write reports/metrics/<name>.json.

    Returns:
        The content of the metrics file: values are means over the trainings, those of each are in `made_by`.

    Raises:
        InputError: no such experiment, or it was not trained yet.
    """
    device = choose_device(parameters.run.device)
    with arithmetic(parameters.run.deterministic, device):
        measured = [_evaluate(parameters, name, k, device) for k in range(parameters.seeds_of(name))]
    metrics = over_seeds(measured)
    for folder in (paths.RESULTS / name).iterdir():  # seeds of an earlier, longer run
        if folder.name not in {f"seed_{k}" for k in range(len(measured))}:
            shutil.rmtree(folder)
    folders = [paths.RESULTS / paths.repeat(name, k) for k in range(len(measured))]
    metrics["made_by"][0]["intervals"] = stored_intervals(folders)
    write_json(paths.METRICS / f"{name}.json", metrics)
    return metrics


def over_seeds(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics files of several trainings as one: means in the buckets, each training's values in `made_by`."""
    (first,), buckets = measured[0]["made_by"], [key for key in measured[0] if key != "made_by"]
    # A metric that one training has no value of (an SVM that did not converge) has no mean either.
    common = {b: [m for m in measured[0][b] if all(m in one[b] for one in measured)] for b in buckets}
    means = {b: {m: round(fmean(one[b][m] for one in measured), DECIMALS) for m in common[b]} for b in buckets}
    trainings = [one["made_by"][0] for one in measured]
    seeds = [training["seed"] for training in trainings]
    block = first | {"seed": seeds[0] if len(seeds) == 1 else seeds, "seeds": seeds}
    left_out = {}
    for seed, training in zip(seeds, trainings, strict=True):
        for metric, reason in training.get("protocol", {}).get("left_out", {}).items():
            everywhere = all(metric in other.get("protocol", {}).get("left_out", {}) for other in trainings)
            left_out.setdefault(metric, reason if everywhere else f"{reason} (seed {seed})")
    if left_out:
        block["protocol"] = first["protocol"] | {"left_out": left_out}
    if len(measured) > 1:
        block["weights_sha256"] = [training["weights_sha256"] for training in trainings]
        block["per_seed"] = {
            str(seed): {bucket: one[bucket] for bucket in buckets} for seed, one in zip(seeds, measured, strict=True)
        }
    return means | {"made_by": [block]}


def stored_intervals(folders: list[Path]) -> dict[str, dict[str, list[float]]]:
    """bucket -> metric -> [low, high], the 95 % intervals of one experiment's results, a folder for each seed."""
    found = {}
    for bucket in BUCKETS:
        sample = Sample.open(folders, bucket)
        intervals = {metric: interval(sample, metric) for metric in sample.metrics}
        found[bucket] = {m: [round(one.low, DECIMALS), round(one.high, DECIMALS)] for m, one in intervals.items()}
    return found


def _evaluate(parameters: Parameters, name: str, k: int, device: torch.device) -> dict[str, Any]:
    dataset = dataset_of(parameters, name)
    inpainter, card = load_inpainter(parameters, name, device, k=k)
    extractor = load_extractor(parameters)
    extractor.to(device)
    return evaluate(
        inpainter,
        FaceStore.open(paths.store(dataset)),
        MaskStore.open(paths.MASKS),
        EvaluationPairs.open(paths.pairs(dataset)),
        extractor,
        experiment=name,
        dataset=dataset,
        batch_size=parameters.evaluation.batch_size,
        device=device,
        out_folder=paths.RESULTS / paths.repeat(name, k),
        samples=parameters.evaluation.samples,
        seed=parameters.evaluation.seed,
        lpips=_lpips(parameters, device),
        made_by=stamp(
            parameters,
            method=card["method"],
            seed=card["seed"],
            dataset_title=getattr(parameters.data, dataset).title,
            dataset_source=getattr(parameters.data, dataset).source,
            training_images=card["training_images"],
            steps=card["steps"],
            images_seen=card["images_seen"],
            weights_sha256=card["weights_sha256"],
        ),
    )


def _lpips(parameters: Parameters, device: torch.device) -> PerceptualDistance | None:
    """LPIPS with the weights that the parameters name, or None: it is then left out of every result, which say so.

    Raises:
        InputError: the file or the package `lpips` is missing, or the file is another one.
    """
    if parameters.evaluation.lpips_weights is None:
        return None
    return PerceptualDistance(Path(parameters.evaluation.lpips_weights), device=device)
