"""The evaluation protocol in machine-readable form: what is compared, how, and on how many images.

The block travels with every number (`card.json` of an evaluation, `made_by` of a metrics file), because none
of them means anything without it: SSIM settings alone move a value by more than the papers' margins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replication.errors import InputError
from replication.evaluation.frechet import FeatureExtractor, metric_key
from replication.evaluation.metrics import METRICS
from replication.evaluation.perceptual_distance import PerceptualDistance

VERSION = 3  # raised by every change that can move a number, and by every change of this block
REPORTED = ("L1_percent", "frechet", "PSNR", "SSIM")
"""Columns of the papers' tables; "frechet" stands for FID or FD, whichever the extractor earns."""
ALSO = ("L1_hole_percent", "PSNR_hole", "SSIM_edgeconnect", "MS_SSIM", "LPIPS", "U_IDS", "P_IDS")
"""Further metrics, in the order of a metrics file; U_IDS and P_IDS become U_DS and P_DS where FID becomes FD."""


@dataclass(frozen=True)
class Selection:
    """Which metrics an evaluation reports, and why the others are left out.

    `keys`: the keys of each bucket of the metrics file, in order. `left_out`: {name: reason}, a reason being a
    clause. Together they name every metric of `REPORTED` and `ALSO` once.
    """

    keys: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    lpips: PerceptualDistance | None = None

    @property
    def per_image(self) -> tuple[str, ...]:
        """The reported metrics that every image has a value of."""
        return tuple(name for name in self.keys if METRICS[name].per_image)

    def without(self, reasons: Mapping[str, str]) -> Selection:
        """The same, with the metrics in `reasons` left out, too."""
        keys = tuple(name for name in self.keys if name not in reasons)
        return Selection(keys, {**self.left_out, **reasons}, self.lpips)


def reported_metrics(extractor: FeatureExtractor) -> tuple[str, ...]:
    """The main keys of a bucket in a metrics file, such as ("L1_percent", "FD", "PSNR", "SSIM")."""
    return tuple(metric_key(extractor) if name == "frechet" else name for name in REPORTED)


def own_name(metric: str, extractor: FeatureExtractor) -> str:
    """U_IDS and P_IDS ("inception discriminative score") lose their I with features that make no FID."""
    return metric.replace("IDS", "DS") if metric_key(extractor) == "FD" else metric


def select(
    extractor: FeatureExtractor,
    size: int,
    *,
    also: Sequence[str] = ALSO,
    lpips: PerceptualDistance | None = None,
) -> Selection:
    """What can be reported for images of `size` x `size` pixels: `REPORTED`, and of `also` what has a value.

    A name in `also` that is not in `ALSO` raises InputError, and so does a size too small for SSIM.
    """
    unknown = [name for name in also if name not in ALSO]
    if unknown:
        raise InputError(f"there is no further metric {unknown[0]!r}; there are {', '.join(ALSO)}")
    if size < METRICS["SSIM"].smallest_side:
        raise InputError(f"images of {size} x {size} pixels are too small for SSIM, whose window is 11 x 11")
    keys, left_out = list(reported_metrics(extractor)), {}
    for name in ALSO:
        side = METRICS[name].smallest_side
        if name == "LPIPS" and lpips is not None:
            side = lpips.smallest_side
        if name not in also:
            reason = "not asked for"
        elif name == "LPIPS" and lpips is None:
            reason = "no weights file was given"
        elif size < side:
            reason = f"images of {size} x {size} pixels are smaller than {side} x {side}"
        else:
            keys.append(own_name(name, extractor))
            continue
        left_out[own_name(name, extractor)] = reason
    return Selection(tuple(keys), left_out, lpips if "LPIPS" in keys else None)


def protocol(
    extractor: FeatureExtractor,
    rule: Mapping[str, Any],
    images_per_bucket: Mapping[str, int],
    selection: Selection | None = None,
) -> dict[str, Any]:
    """The protocol as JSON-ready data; `images_per_bucket` counts the evaluated pairs (bucket -> N).

    `rule` is that of the pairs (`EvaluationPairs.rule`): the protocol's "name", its "holes", what "exemplar" comes with
    an image, and "buckets": name -> (low, high] of the hole ratio, or which part of the face is the hole.
    "metrics" defines every reported metric, "left_out" gives the reason for every other one. Without `selection` the
    main metrics are described.
    """
    selection = selection or Selection(reported_metrics(extractor))
    sha256 = getattr(extractor, "sha256", None)
    return {
        "version": VERSION,
        **rule,
        "composite": True,
        "input": "holes are blanked before the method sees an image; known pixels must come back bit for bit",
        "quantisation": "composites are rounded to 8 bits before any metric",
        "seeds": "one for each pair, from the protocol's seed, its name, the bucket and the image",
        "images_per_bucket": dict(images_per_bucket),
        "real_images": "the same test images as the composites",
        "features": extractor.name,
        "features_sha256": sha256,
        "metrics": {name: _described(name, extractor, selection.lpips) for name in selection.keys},
        "left_out": dict(selection.left_out),
    }


def _described(name: str, extractor: FeatureExtractor, lpips: PerceptualDistance | None) -> dict[str, Any]:
    """A metric's entry of the catalogue, with the network that was used in its label and its weights."""
    data = METRICS[name].data()
    if name == "LPIPS" and lpips is not None:
        return data | {"label": f"LPIPS ({lpips.label})", "weights": lpips.weights}
    if METRICS[name].per_image:
        return data
    sha256 = getattr(extractor, "sha256", None)
    network = "Inception" if extractor.name == "FID" else extractor.name.removeprefix("FD (").removesuffix(")")
    label = data["label"] if extractor.name == "FID" else f"{data['label']} ({network})"
    return data | {"label": label, "weights": f"{network}, sha256 {sha256}" if sha256 else network}
