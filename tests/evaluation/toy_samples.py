"""Small samples: one metric of one training, and two networks that were measured on the same images."""

from __future__ import annotations

import numpy as np

from replication.evaluation.sample import Sample


def sample(values, *, pairs: str = "pairs", training: str = "a") -> Sample:
    values = np.asarray(values, np.float64)
    images = np.arange(len(values))
    return Sample({"PSNR": values}, images, run="full", bucket="1-20%", pairs_sha256=pairs, trainings=[training])


def two_networks(seed: int, better: float, images: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """PSNR of two networks on the same images, which differ far more among each other than the networks do."""
    rng = np.random.default_rng(seed)
    difficulty = 25 + 4 * rng.normal(size=images)
    return difficulty + 0.3 * rng.normal(size=images), difficulty + better + 0.3 * rng.normal(size=images)
