"""The evaluation stage: one run on the frozen pairs of its protocol."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from replication import paths
from replication.atomic import write_json
from replication.config import Parameters
from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.settings import DataSet
from replication.data.store import FaceStore
from replication.device import arithmetic, choose_device
from replication.errors import InputError
from replication.evaluation.evaluate import DECIMALS, evaluate, read_results
from replication.evaluation.frechet import FeatureExtractor, metric_key
from replication.evaluation.perceptual_distance import PerceptualDistance
from replication.evaluation.uncertainty import Sample, interval
from replication.graph.closure import code_digest
from replication.graph.roots import evaluation_roots
from replication.history.made_by import made_by
from replication.methods.opening import open_faces, open_features, open_inpainter, settings_of_cards
from replication.stages.comparability import reasons_against
from replication.stages.protocols import check_protocol


def evaluate_run(parameters: Parameters, name: str) -> dict[str, Any]:
    """Measure all trainings of a run into data/results/<run>/seed_<k>, and write reports/metrics/<run>.json.

    Returns:
        The content of the metrics file: values are means over the trainings, those of each are in `made_by`.

    Raises:
        InputError: no such run, no protocol measures it, its data set lacks what the protocol needs or the protocol
            what the method needs, or it was not trained yet.
    """
    parameters.protocol_of(name)
    check_protocol(parameters, parameters.run(name).protocol, parameters.run(name).dataset)
    device = choose_device(parameters.compute.device)
    with arithmetic(parameters.compute.deterministic, device):
        measured = [_evaluate(parameters, name, k, device) for k in range(parameters.seeds_of(name))]
    metrics = over_seeds(measured)
    folders = [paths.results(name, k) for k in range(len(measured))]
    for folder in (paths.RESULTS / name).iterdir():  # seeds of an earlier, longer run
        if folder not in folders:
            shutil.rmtree(folder)
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
    against = dict.fromkeys(reason for training in trainings for reason in training.get("not_comparable", ()))
    if against:
        block |= {"comparable": False, "not_comparable": list(against)}
    if left_out:
        block["protocol"] = first["protocol"] | {"left_out": left_out}
    if told := [training["diagnostics"] for training in trainings if "diagnostics" in training]:
        block["diagnostics"] = {
            b: {
                name: round(fmean(one[b][name] for one in told), DECIMALS)
                for name in told[0][b]
                if all(name in one[b] for one in told)
            }
            for b in told[0]
        }
    if len(measured) > 1:
        block["weights_sha256"] = [training["weights_sha256"] for training in trainings]
        block["per_seed"] = {
            str(seed): {bucket: one[bucket] for bucket in buckets} for seed, one in zip(seeds, measured, strict=True)
        }
    return means | {"made_by": [block]}


def stored_intervals(folders: list[Path]) -> dict[str, dict[str, list[float]]]:
    """bucket -> metric -> [low, high], the 95 % intervals of one run's results, a folder for each seed."""
    found = {}
    for bucket in read_results(folders[0]).buckets:
        sample = Sample.open(folders, bucket)
        intervals = {metric: interval(sample, metric) for metric in sample.metrics}
        found[bucket] = {m: [round(one.low, DECIMALS), round(one.high, DECIMALS)] for m, one in intervals.items()}
    return found


def _evaluate(parameters: Parameters, name: str, k: int, device: torch.device) -> dict[str, Any]:
    dataset, protocol = parameters.run(name).dataset, parameters.run(name).protocol
    data = parameters.data_set(dataset)
    inpainter, card = open_inpainter(parameters, name, device, k=k)
    features = parameters.method_of(parameters.evaluation.features).name
    code = code_digest(evaluation_roots(parameters.method_of(name), [features]))
    irregular = parameters.protocols[protocol].holes == "irregular"
    faces, pairs = open_faces(parameters, dataset), EvaluationPairs.open(paths.pairs(protocol, dataset))
    masks, extractor = MaskStore.open(paths.masks(dataset)) if irregular else None, _features(parameters, device)
    against = reasons_against(
        parameters,
        name,
        faces=faces,
        masks=masks,
        pairs=pairs,
        card=card,
        settings=settings_of_cards(parameters.method_of(name), name, k),
        features=metric_key(extractor),
    )
    return evaluate(
        inpainter,
        faces,
        masks,
        pairs,
        extractor,
        run=name,
        dataset=dataset,
        batch_size=parameters.evaluation.batch_size,
        device=device,
        out_folder=paths.results(name, k),
        samples=parameters.evaluation.samples,
        lpips=_lpips(parameters, device),
        made_by=made_by(
            parameters,
            code=code,
            method=card["method"],
            seed=card["seed"],
            **about_faces(data, faces),
            comparable=not against,
            not_comparable=against,
            **{key: card.get(key) for key in ("training_images", "steps", "images_seen", "weights_sha256")},
        ),
    )


def about_faces(data: DataSet, faces: FaceStore) -> dict[str, str]:
    """What `made_by` says of the images: title and source, and of photos the filter that made them small."""
    resized = faces.card["source"].get("resize_filter")
    about = {"dataset_title": data.title, "dataset_source": data.source}
    return about if resized is None else about | {"resize_filter": resized}


def _features(parameters: Parameters, device: torch.device) -> FeatureExtractor:
    """The network behind the Fréchet distance.

    Raises:
        InputError: `evaluation.features` names a run whose network describes no pictures, or that was not trained yet.
    """
    name = parameters.evaluation.features
    extractor = None if parameters.method_of(name).inpaints else open_features(parameters, device)
    if not isinstance(extractor, FeatureExtractor):
        raise InputError(f"evaluation.features: the network of run {name!r} describes no pictures by vectors")
    return extractor


def _lpips(parameters: Parameters, device: torch.device) -> PerceptualDistance | None:
    """LPIPS with the weights that the parameters name, or None: it is then left out of every result, which say so.

    Raises:
        InputError: the file or the package `lpips` is missing, or the file is another one.
    """
    if parameters.evaluation.lpips_weights is None:
        return None
    return PerceptualDistance(Path(parameters.evaluation.lpips_weights), device=device)
