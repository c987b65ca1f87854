"""Panels that a stage's notebook shows of its own result, on test faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from replication import paths
from replication.config import Parameters
from replication.data.evaluation_batches import evaluation_batches
from replication.data.loader import gather_batch, tensor_to_images
from replication.data.masks import BUCKETS, MaskStore
from replication.data.pairs import EvaluationPairs
from replication.drawing import style
from replication.drawing.pictures import Tile, masked_input, picture_grid, psnr_words
from replication.evaluation.evaluate import read_results
from replication.methods.opening import open_faces, open_inpainter, trained_run
from replication.methods.registry import function


def training_panel(parameters: Parameters, run: str) -> Figure | None:
    """What a freshly trained run makes of test faces: completions, or what its system declares to show; else None.

    Raises:
        InputError: no such run, or it was not trained yet.
    """
    one, dataset = parameters.method_of(run), parameters.run(run).dataset
    if one.inpaints:
        return completion_panel(parameters, run)
    if one.training_panel is None or dataset is None:
        return None
    return function(one.training_panel)(trained_run(parameters, run), open_faces(parameters, dataset))


def completion_panel(parameters: Parameters, run: str, per_bucket: int = 2) -> Figure:
    """Test faces completed by a trained run, `per_bucket` for every bucket of the protocol that measures it.

    With irregular holes and no exemplar, these are the first test faces under the first test masks: what the training
    read too, so that the picture of a training follows from nothing else. Other protocols show their pairs.

    Raises:
        InputError: no such run, it completes no faces, or it was not trained yet.
    """
    inpainter, _ = open_inpainter(parameters, run)
    own, rows = parameters.run(run), []
    protocol = parameters.protocol_of(run)
    usual = protocol.holes == "irregular" and protocol.exemplar == "none"
    batches = _first_faces if usual else _first_pairs
    for batch in batches(parameters, run, per_bucket, inpainter.needs):
        completed = tensor_to_images(inpainter.inpaint(batch, batch["seeds"]))
        truths, holes = tensor_to_images(batch["image"]), batch["mask"][:, 0].numpy().astype(np.uint8)
        for face, truth, hole in zip(completed, truths, holes, strict=True):
            rows.append(_row(truth, hole, face, psnr_words(face, truth)))
    return _two_wide(rows, f"{run}: test faces of {parameters.data_set(own.dataset).title}")


def _first_faces(parameters: Parameters, run: str, count: int, needs: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The first test faces, others for each bucket, under the first test masks of each bucket."""
    dataset = parameters.run(run).dataset
    store, masks = open_faces(parameters, dataset), MaskStore.open(paths.masks(dataset))
    faces = store.rows("test")
    for number, bucket in enumerate(BUCKETS):
        rows = faces[np.arange(count * number, count * (number + 1)) % len(faces)]
        holes = np.asarray(masks.test[masks.rows("test", bucket=bucket)[:count]])
        batch = gather_batch(store, rows[: len(holes)], holes, fields=needs)
        yield batch | {"seeds": list(range(len(holes)))}


def _first_pairs(parameters: Parameters, run: str, count: int, needs: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The first pairs of each bucket of the run's protocol."""
    store, masks, pairs = _measured_on(parameters, run)
    for bucket in pairs.buckets:
        yield next(evaluation_batches(store, masks, pairs, bucket, count, fields=needs))


def _measured_on(parameters: Parameters, run: str) -> tuple[Any, MaskStore | None, EvaluationPairs]:
    """Faces, irregular masks where the protocol has them, and frozen pairs that a run is measured on.

    Raises:
        InputError: no protocol measures it, or something was not prepared.
    """
    protocol, own = parameters.protocol_of(run), parameters.run(run)
    masks = MaskStore.open(paths.masks(own.dataset)) if protocol.holes == "irregular" else None
    pairs = EvaluationPairs.open(paths.pairs(own.protocol, own.dataset))
    return open_faces(parameters, own.dataset), masks, pairs


@style.styled
def metric_spread(run: str) -> Figure:
    """Histograms over images of every per-image metric, by bucket."""
    results = read_results(paths.results(run))
    units = {"L1_percent": "L1 (% of full range)", "PSNR": "PSNR (dB)", "SSIM": "SSIM (1 = identical)"}
    figure = style.new_figure(7.6, 2.4, layout="constrained")
    for axes, (metric, words) in zip(figure.subplots(1, 3), units.items(), strict=True):
        values = results.per_image[metric]
        bins = np.linspace(values.min(), values.max() + 1e-9, 40)
        for bucket in results.buckets:
            axes.hist(results.bucket(bucket)[metric], bins, histtype="step", label=bucket)
        axes.set(xlabel=words, ylabel="images" if metric == "L1_percent" else "")
    figure.axes[0].legend(title="hole ratio")
    figure.suptitle(f"{run}: spread over test images")
    return figure


def worst_panel(parameters: Parameters, run: str, count: int = 4) -> Figure:
    """The kept samples of the last bucket, with the largest holes, that have the lowest PSNR."""
    store, masks, pairs = _measured_on(parameters, run)
    results = read_results(paths.results(run))
    bucket = results.buckets[-1]
    completed = results.samples(bucket)
    kept = next(evaluation_batches(store, masks, pairs, bucket, len(completed)))
    truths, holes = tensor_to_images(kept["image"]), kept["mask"][:, 0].numpy().astype(np.uint8)
    table = results.bucket(bucket).iloc[: len(completed)].sort_values("PSNR", kind="stable").head(count)
    rows = [_row(truths[k], holes[k], completed[k], f"PSNR {pair.PSNR:.1f} dB") for k, pair in table.iterrows()]
    return _two_wide(rows, f"{run}: lowest PSNR among the {len(completed)} kept samples of {bucket}")


def _row(truth: np.ndarray, hole: np.ndarray, completed: np.ndarray, note: str) -> list[Tile]:
    return [Tile(masked_input(truth, hole), f"hole {hole.mean():.0%}"), Tile(completed, note), Tile(truth)]


def _two_wide(rows: Sequence[list[Tile]], title: str) -> Figure:
    """Two pairs side by side keep the panel in one screen."""
    wide = [left + right for left, right in zip(rows[::2], rows[1::2], strict=False)] or rows
    columns = ["masked input", "completed", "ground truth"] * (len(wide[0]) // 3)
    return picture_grid(wide, columns=columns, title=title)
