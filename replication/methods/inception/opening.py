"""Opening the published Inception network as a feature extractor."""

from __future__ import annotations

from pathlib import Path

from replication.evaluation.frechet import InceptionFeatures
from replication.methods import TrainedRun


def open_run(trained: TrainedRun) -> InceptionFeatures:
    """The features on the run's device."""
    features = InceptionFeatures(Path(trained.settings.weights))
    features.to(trained.device)
    return features
