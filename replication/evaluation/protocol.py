"""The evaluation protocol in machine-readable form: what is compared, how, and on how many images.

The block travels with every number (`card.json` of an evaluation, `made_by` of a metrics file), because none
of them means anything without it: SSIM settings alone move a value by more than the papers' margins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from replication.data.masks import BUCKETS
from replication.evaluation.frechet import FeatureExtractor, metric_key
from replication.evaluation.metrics import METRICS

VERSION = 1  # raised by every change that can move a number
REPORTED = ("L1_percent", "frechet", "PSNR", "SSIM")
"""Columns of the papers' tables; "frechet" stands for FID or FD, whichever the extractor earns."""


def reported_metrics(extractor: FeatureExtractor) -> tuple[str, ...]:
    """Keys of a bucket in a metrics file, such as ("L1_percent", "FD", "PSNR", "SSIM")."""
    return tuple(metric_key(extractor) if name == "frechet" else name for name in REPORTED)


def protocol(extractor: FeatureExtractor, images_per_bucket: Mapping[str, int]) -> dict[str, Any]:
    """The protocol as JSON-ready data; `images_per_bucket` counts the evaluated pairs (bucket -> N)."""
    keys = ("label", "unit", "better", "definition", "reference")
    metrics = {name: asdict(METRICS[name]) for name in reported_metrics(extractor)}
    return {
        "version": VERSION,
        "composite": True,
        "input": "holes are blanked before the method sees an image; known pixels must come back bit for bit",
        "quantisation": "composites are rounded to 8 bits before any metric",
        "buckets": {name: list(BUCKETS[name]) for name in images_per_bucket},
        "images_per_bucket": dict(images_per_bucket),
        "real_images": "the same test images as the composites",
        "features": extractor.name,
        "features_sha256": getattr(extractor, "sha256", None),
        "metrics": {name: {key: metric[key] for key in keys} for name, metric in metrics.items()},
    }
