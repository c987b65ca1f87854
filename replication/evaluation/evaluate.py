"""Evaluation of one run on the frozen pairs of its protocol, the same for every method.

One row per image and bucket is kept, and the features behind the Fréchet distance, so that any later question
(confidence, paired tests, worst cases) needs no new run.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from replication.atomic import atomic_folder, write_json
from replication.data.evaluation_batches import evaluation_batches, evaluation_fields
from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.errors import InputError, RunError
from replication.evaluation.diagnostics import Diagnostics
from replication.evaluation.discriminability import NotConverged, discriminative_scores
from replication.evaluation.frechet import FeatureExtractor, frechet_distance, metric_key
from replication.evaluation.metrics import METRICS, PSNR_CAP
from replication.evaluation.perceptual_distance import PerceptualDistance
from replication.evaluation.pixels import composite, to_uint8
from replication.evaluation.protocol import ALSO, Selection, own_name, protocol, select

DECIMALS = 6  # of metrics files in git: far below any effect, above the noise between machines


class CompletesFaces(Protocol):
    """All that an evaluation knows of a method."""

    needs: frozenset[str]
    """Fields of a batch beyond image and mask, such as "exemplar"."""

    def inpaint(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> Tensor:
        """Completed images (B,3,H,W) in [-1,1] of a batch with image (B,3,H,W), mask (B,1,H,W), 1 = hole, and `needs`.

        Known pixels come back unchanged; what is drawn for an image is drawn from its own seed.
        """
        ...


class ProtocolError(RunError):
    """A method or a feature network broke the rules of the evaluation; its numbers would mean nothing."""


def evaluate(
    inpainter: CompletesFaces,
    store: FaceStore,
    masks: MaskStore | None,
    pairs: EvaluationPairs,
    extractor: FeatureExtractor,
    *,
    run: str,
    dataset: str,
    batch_size: int,
    device: str | torch.device,
    out_folder: str | Path,
    samples: int = 8,
    made_by: Mapping[str, Any],
    per_bucket: int | None = None,
    also: Sequence[str] = ALSO,
    lpips: PerceptualDistance | None = None,
) -> dict[str, Any]:
    """Complete every pair, measure the composites, write the results folder and return the metrics file.

    Hole pixels are blanked before `inpainter` sees an image, its output is pasted into the hole of the 8-bit
    original, and all metrics are computed on 8-bit values (`metrics.METRICS` defines them).

    `masks`: those of irregular pairs; others bring their own holes. `samples`: how many first composites of each bucket
    are kept. `per_bucket`: use only so many first pairs. `made_by`: what the caller knows of the run (profile, steps,
    code ...); data set, image size, counts, features, pairs and protocol are added here.
    `also`: which metrics of `protocol.ALSO` are reported beside the main ones; one that has no value (the images are
    too small, no `lpips` is given, a classifier did not converge) is named in the protocol under "left_out".

    Writes `out_folder`, whole or not at all: per_image.parquet, features.npz (each bucket: float32 (n, d);
    "real": features of the distinct test images, "real_image_row": their rows in the store), samples.npz
    (each bucket: uint8 (k, S, S, 3)) and card.json.

    A method that also has `inpaint_with_diagnostics` is asked by that: what it tells of its passes is averaged over the
    images of each bucket and kept in `made_by` under "diagnostics".

    Returns {bucket: {"L1_percent", "FID" or "FD", "PSNR", "SSIM", further metrics}, ..., "made_by": [{...}]}: means
    over images or scores of the set, finite and rounded to 6 decimals, the same keys in every bucket. They depend
    on `batch_size` only as far as the networks' arithmetic does.

    Raises InputError if pairs, faces and masks do not belong together, the pairs lack a field that the method needs, a
    bucket has fewer than 2 pairs or a metric is unknown, and ProtocolError, naming run and image, if a known pixel was
    changed or a value is not finite.
    """
    device = torch.device(device)
    brought = evaluation_fields(store, pairs)
    if missing := sorted(inpainter.needs - {"image", "mask"} - brought):
        raise InputError(
            f"{run}: needs {', '.join(missing)} with each image, which protocol {pairs.protocol!r} on {dataset} does "
            f"not bring (it brings: {', '.join(sorted(brought)) or 'image and mask alone'})"
        )
    selection = select(extractor, store.size, also=also, lpips=lpips)
    counts = {bucket: len(pairs.bucket(bucket, per_bucket)) for bucket in pairs.buckets}
    for bucket, count in counts.items():
        if count < 2:
            raise InputError(f"{run}: bucket {bucket} of {pairs.path} has {count} pairs; at least 2 are needed")
    if samples < 0:
        raise InputError(f"{run}: samples is {samples}; it must be 0 or more")

    tables, features, kept, told = [], {}, {}, {}
    for bucket in pairs.buckets:
        batches = evaluation_batches(
            store, masks, pairs, bucket, batch_size, fields=inpainter.needs, per_bucket=per_bucket
        )
        rows, vectors, pictures, diagnostics = [], [], [], Diagnostics(run)
        for batch in batches:
            completed, truth, mask = _complete(inpainter, store, batch, diagnostics, run=run, device=device)
            rows.append(_rows(selection, completed, truth, mask, batch, run))
            vectors.append(_features(extractor, completed, run))
            wanted = max(0, samples - sum(len(part) for part in pictures))
            pictures.append(completed[:wanted].permute(0, 2, 3, 1).cpu().numpy())
        table = pd.concat(rows, ignore_index=True)
        named = (("bucket", bucket), ("protocol", pairs.protocol), ("dataset", dataset), ("run", run))
        for column, value in named:
            table.insert(0, column, value)
        tables.append(table)
        features[bucket] = np.concatenate(vectors)
        kept[bucket] = np.concatenate(pictures)
        told |= {bucket: means} if (means := diagnostics.means(DECIMALS)) else {}
    per_image = pd.concat(tables, ignore_index=True)

    real_rows = np.unique(per_image["image_row"].to_numpy())
    real = _real_features(extractor, store, real_rows, batch_size, device, run)
    same_images = {
        bucket: real[np.searchsorted(real_rows, table["image_row"].to_numpy())]
        for bucket, table in zip(pairs.buckets, tables, strict=True)
    }
    scores, failed = _set_scores(selection, extractor, features, same_images)
    selection = selection.without(failed)
    metrics: dict[str, Any] = {}
    for bucket, table in zip(pairs.buckets, tables, strict=True):
        values = {name: table[name].mean() for name in selection.per_image} | scores[bucket]
        metrics[bucket] = {name: round(float(values[name]), DECIMALS) for name in selection.keys}
    metrics["made_by"] = [
        {
            **made_by,
            "dataset": dataset,
            "image_size": store.size,
            "images_per_bucket": counts[next(iter(counts))] if len(set(counts.values())) == 1 else counts,
            "features": extractor.name,
            "pairs": pairs.content_sha256,
            "protocol": protocol(extractor, pairs.rule, counts, selection),
            **({"diagnostics": told} if told else {}),
        }
    ]
    identical = {b: int((t["PSNR"] == PSNR_CAP).sum()) for b, t in zip(pairs.buckets, tables, strict=True)}
    card = {
        "run": run,
        "dataset": dataset,
        "faces_sha256": store.card["sha256"],
        "holes_sha256": pairs.holes_sha256,
        "pairs_sha256": pairs.content_sha256,
        "identical_images": identical,
        "samples": {bucket: len(pictures) for bucket, pictures in kept.items()},
        "metrics": metrics,
    }
    with atomic_folder(out_folder) as folder:
        per_image.to_parquet(folder / "per_image.parquet", index=False)
        np.savez(folder / "features.npz", **features, real=real, real_image_row=real_rows)
        np.savez(folder / "samples.npz", **kept)
        write_json(folder / "card.json", card)
    return metrics


@torch.no_grad()
def _complete(
    inpainter: CompletesFaces,
    store: FaceStore,
    batch: Mapping[str, Any],
    diagnostics: Diagnostics,
    *,
    run: str,
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor]:
    """Composites and originals, uint8 (B,3,H,W), and masks (B,1,H,W); checks the method's output."""
    image, mask = batch["image"].to(device), batch["mask"].to(device)
    # What lies under the hole is taken away here, so no method can have looked at it.
    blanked = composite(torch.zeros_like(image), image, mask)
    needed = {name: batch[name].to(device) for name in inpainter.needs - {"image", "mask"}}
    output = diagnostics.inpaint(inpainter, {**needed, "image": blanked, "mask": mask.clone()}, batch["seeds"])
    if output.shape != image.shape:
        raise ProtocolError(f"{run}: inpaint returned {tuple(output.shape)} for images {tuple(image.shape)}")
    _refuse(~torch.isfinite(output), "completed image holds NaN or infinity", batch, run)
    _refuse((output != image) & (mask == 0), "known pixels were changed", batch, run)
    # Apple's GPUs have no float64, which the metrics need.
    target = torch.device("cpu") if device.type == "mps" else device
    truth = np.ascontiguousarray(np.asarray(store.images[batch["image_rows"]]).transpose(0, 3, 1, 2))
    truth, mask = torch.from_numpy(truth).to(target), mask.to(target)
    return composite(to_uint8(output).to(target), truth, mask), truth, mask


def _rows(
    selection: Selection, completed: Tensor, truth: Tensor, mask: Tensor, batch: Mapping[str, Any], run: str
) -> pd.DataFrame:
    """One row per image: which pair it is, and its metrics."""
    values = {
        "image_row": batch["image_rows"],
        "image_id": batch["ids"],
        "mask_row": batch["mask_rows"],
        "ratio": batch["ratios"],
        "seed": batch["seeds"],
    }
    for name in selection.per_image:
        if name == "LPIPS":
            metric = selection.lpips.distance(completed, truth)
        else:
            metric = METRICS[name].compute(completed, truth, mask)
        _refuse(~torch.isfinite(metric[:, None]), f"{name} is not finite", batch, run)
        values[name] = metric.cpu().numpy()
    return pd.DataFrame(values)


def _set_scores(
    selection: Selection,
    extractor: FeatureExtractor,
    completed: Mapping[str, np.ndarray],
    real: Mapping[str, np.ndarray],
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Scores of whole buckets from their features, and the reasons why some have none in any bucket."""
    discriminative = [own_name(name, extractor) for name in ("U_IDS", "P_IDS")]
    scores: dict[str, dict[str, float]] = {}
    failed: dict[str, str] = {}
    for bucket in completed:
        scores[bucket] = {metric_key(extractor): frechet_distance(completed[bucket], real[bucket])}
        if set(discriminative) & set(selection.keys):
            try:
                pair = discriminative_scores(real[bucket], completed[bucket])
            except NotConverged as error:
                failed |= {name: f"{bucket}: {error}" for name in discriminative if name in selection.keys}
            else:
                scores[bucket] |= dict(zip(discriminative, pair, strict=True))
    return scores, failed


def _refuse(bad: Tensor, what: str, batch: Mapping[str, Any], run: str) -> None:
    """Raise ProtocolError for the first image of the batch in which `bad` (B,...) is true anywhere."""
    faulty = bad.flatten(1).any(1)
    if faulty.any():
        first = int(faulty.int().argmax())
        pixels = f" ({int(bad[first].any(0).sum())} pixels)" if bad.ndim == 4 else ""
        raise ProtocolError(f"{run}: {what} in image {batch['ids'][first]!r}{pixels}")


@torch.no_grad()
def _features(extractor: FeatureExtractor, images: Tensor, run: str) -> np.ndarray:
    features = extractor.features(images).float().cpu()
    if features.ndim != 2 or len(features) != len(images) or not torch.isfinite(features).all():
        raise ProtocolError(
            f"{run}: {extractor.name} returned features {tuple(features.shape)} for {len(images)} "
            "images; they must be finite, one row an image"
        )
    return features.numpy()


def _real_features(
    extractor: FeatureExtractor,
    store: FaceStore,
    rows: np.ndarray,
    batch_size: int,
    device: torch.device,
    run: str,
) -> np.ndarray:
    """Features of the test images, each computed once for all buckets: float32 (n, d)."""
    parts = []
    for start in range(0, len(rows), batch_size):
        images = np.asarray(store.images[rows[start : start + batch_size]]).transpose(0, 3, 1, 2)
        parts.append(_features(extractor, torch.from_numpy(np.ascontiguousarray(images)).to(device), run))
    return np.concatenate(parts)


class Results:
    """A results folder, opened for reading. Arrays are loaded when asked for.

    per_image: one row per bucket and image (run, dataset, protocol, bucket, image_row, image_id, mask_row,
    ratio, seed, and the reported metrics that an image has: L1_percent, PSNR, SSIM, L1_hole_percent ...).
    card: `card.json`, the metrics file under "metrics".
    """

    def __init__(self, folder: Path, per_image: pd.DataFrame, card: dict[str, Any]) -> None:
        self.folder = folder
        self.per_image = per_image
        self.card = card

    @property
    def buckets(self) -> tuple[str, ...]:
        return tuple(self.card["samples"])

    def bucket(self, name: str) -> pd.DataFrame:
        """The rows of one bucket, in the order of the pairs; an unknown name raises InputError."""
        if name not in self.buckets:
            raise InputError(f"{self.folder} has no bucket {name!r}; it has {', '.join(self.buckets)}")
        return self.per_image[self.per_image["bucket"] == name].reset_index(drop=True)

    def _array(self, file: str, key: str) -> np.ndarray:
        path = self.folder / file
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return arrays[key]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} has no readable array {key!r} ({error})") from error

    def features(self, bucket: str) -> np.ndarray:
        """Features of a bucket's composites, float32 (n, d), row by row those of `bucket(name)`."""
        self.bucket(bucket)
        return self._array("features.npz", bucket)

    @cached_property
    def _real(self) -> tuple[np.ndarray, np.ndarray]:
        return self._array("features.npz", "real"), self._array("features.npz", "real_image_row")

    def real_features(self, bucket: str) -> np.ndarray:
        """Features of a bucket's original images, float32 (n, d), row by row those of `features(bucket)`."""
        features, rows = self._real
        return features[np.searchsorted(rows, self.bucket(bucket)["image_row"].to_numpy())]

    def samples(self, bucket: str) -> np.ndarray:
        """The kept composites, uint8 (k, S, S, 3), of the first k pairs of a bucket."""
        self.bucket(bucket)
        return self._array("samples.npz", bucket)


def read_results(folder: str | Path) -> Results:
    """Open what `evaluate` wrote; a folder that is missing or incomplete raises InputError."""
    folder = Path(folder)
    for name in ("card.json", "per_image.parquet", "features.npz", "samples.npz"):
        if not (folder / name).is_file():
            raise InputError(f"results {folder} lack {name}; run the stage that evaluates this run")
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        per_image = pd.read_parquet(folder / "per_image.parquet")
    except (ValueError, OSError) as error:
        raise InputError(f"results {folder} cannot be read ({error})") from error
    if "experiment" in card:  # as a run was called before protocol version 3; revisions of then are compared, too
        card["run"] = card.pop("experiment")
        per_image = per_image.rename(columns={"experiment": "run"})
    return Results(folder, per_image, card)
