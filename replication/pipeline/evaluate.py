"""The evaluation stage: one experiment or baseline on the frozen pairs of its data set."""

from __future__ import annotations

from typing import Any

from replication.atomic import write_json
from replication.config import Parameters
from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.device import choose_device
from replication.evaluation.evaluate import evaluate
from replication.pipeline import paths
from replication.pipeline.provenance import stamp
from replication.pipeline.trained import dataset_of, load_extractor, load_inpainter


def evaluate_experiment(parameters: Parameters, name: str) -> dict[str, Any]:
    """Measure `name`, write data/results/<name> and reports/metrics/<name>.json, return the latter's content.

    Raises:
        InputError: no such experiment, or it was not trained yet.
    """
    dataset = dataset_of(parameters, name)
    device = choose_device(parameters.run.device)
    inpainter, card = load_inpainter(parameters, name, device)
    extractor = load_extractor(parameters)
    extractor.to(device)
    metrics = evaluate(
        inpainter,
        FaceStore.open(paths.store(dataset)),
        MaskStore.open(paths.MASKS),
        EvaluationPairs.open(paths.pairs(dataset)),
        extractor,
        experiment=name,
        dataset=dataset,
        batch_size=parameters.evaluation.batch_size,
        device=device,
        out_folder=paths.RESULTS / name,
        samples=parameters.evaluation.samples,
        seed=parameters.evaluation.seed,
        made_by=stamp(
            parameters,
            method=card["method"],
            dataset_title=getattr(parameters.data, dataset).title,
            dataset_source=getattr(parameters.data, dataset).source,
            training_images=card["training_images"],
            steps=card["steps"],
            images_seen=card["images_seen"],
            weights_sha256=card["weights_sha256"],
        ),
    )
    write_json(paths.METRICS / f"{name}.json", metrics)
    return metrics
