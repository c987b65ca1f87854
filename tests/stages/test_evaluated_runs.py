"""Trained runs measured on their frozen pairs: what is written, and what must not change a number."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from replication import paths
from replication.data.evaluation_batches import evaluation_batches
from replication.data.loader import gather_batch, tensor_to_images
from replication.data.masks import BUCKETS, MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.evaluation.evaluate import evaluate, read_results
from replication.evaluation.protocol import VERSION
from replication.methods.opening import open_features, open_inpainter
from replication.stages.evaluation import evaluate_run
from replication.training.checkpoint import read_card

RUNS = ("full", "no_mrem_no_dmm", "shared_memory", "pconv")


def stores():
    """Faces, masks and pairs of the protocol."""
    pairs = EvaluationPairs.open(paths.pairs("irregular", "celebahq"))
    return FaceStore.open(paths.store("celebahq")), MaskStore.open(paths.masks("celebahq")), pairs


def measured(name: str) -> dict:
    return json.loads((paths.METRICS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["full", "no_mrem_no_dmm", "pconv"])
def test_metrics_and_results(built, name):
    metrics = measured(name)
    assert list(metrics) == [*BUCKETS, "made_by"]
    for bucket in BUCKETS:
        assert list(metrics[bucket])[:4] == ["L1_percent", "FD", "PSNR", "SSIM"]
        assert np.isfinite(list(metrics[bucket].values())).all()
    (made_by,) = metrics["made_by"]
    assert made_by["profile"] == "smoke" and made_by["dataset"] == "celebahq" and made_by["images_per_bucket"] == 4
    assert made_by["training_images"] == built.faces and made_by["image_size"] == 32 and made_by["code"]
    assert made_by["protocol"]["version"] == VERSION and made_by["protocol"]["name"] == "irregular"
    assert made_by["method"] == built.parameters.method_of(name).name
    assert made_by["weights_sha256"] == read_card(paths.model(paths.training(name, "network")))["weights_sha256"]
    assert "commit" not in made_by and "seconds" not in made_by  # equal results, equal files
    results = read_results(paths.results(name))
    assert len(results.per_image) == 3 * built.tests and results.samples("40-60%").shape == (2, 32, 32, 3)
    mean = results.bucket("20-40%")["PSNR"].mean()
    assert metrics["20-40%"]["PSNR"] == pytest.approx(mean, abs=1e-6)
    low, high = made_by["intervals"]["20-40%"]["PSNR"]
    assert low < mean < high


def test_metrics_of_several_seeds_are_means_and_keep_each(built):
    metrics = measured("shared_memory")
    (made_by,) = metrics["made_by"]
    assert made_by["seed"] == made_by["seeds"] == [0, 1] and len(set(made_by["weights_sha256"])) == 2
    each = [made_by["per_seed"][k]["20-40%"]["PSNR"] for k in ("0", "1")]
    assert metrics["20-40%"]["PSNR"] == pytest.approx(sum(each) / 2, abs=1e-6) and each[0] != each[1]
    assert {folder.name for folder in (paths.RESULTS / "shared_memory").iterdir()} == {"seed_0", "seed_1"}
    for k in (0, 1):
        own = read_results(paths.results("shared_memory", k)).bucket("20-40%")["PSNR"].mean()
        assert each[k] == pytest.approx(own, abs=1e-6)


@pytest.mark.parametrize("name", ["full", "pconv", "shared_memory"])
def test_evaluating_twice_gives_the_same_metrics_file(own, name):
    file = paths.METRICS / f"{name}.json"
    before = file.read_bytes()
    file.unlink()
    shutil.rmtree(paths.RESULTS / name)
    metrics = evaluate_run(own.parameters, name)
    assert file.read_bytes() == before and json.loads(before) == metrics


def test_seeds_of_a_longer_run_do_not_stay(own):
    stale = paths.results("full", 1)
    shutil.copytree(paths.results("full", 0), stale)
    evaluate_run(own.parameters, "full")
    assert not stale.exists() and paths.results("full", 0).is_dir()


@pytest.mark.parametrize("name", RUNS)
def test_no_method_sees_what_lies_under_the_hole(built, name):
    inpainter, _ = open_inpainter(built.parameters, name)
    batch = next(evaluation_batches(*stores(), "40-60%", built.tests, fields=inpainter.needs))
    image, mask, seeds = batch["image"], batch["mask"], batch["seeds"]
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    completed = inpainter.inpaint(batch, seeds)
    for hidden in (noise, torch.tensor(float("nan"))):
        other = batch | {"image": torch.where(mask == 1, hidden, image)}
        assert torch.equal(inpainter.inpaint(other, seeds), completed)
    assert torch.equal(torch.where(mask == 1, 0, completed), torch.where(mask == 1, 0, image))
    assert completed.abs().max() <= 1


@pytest.mark.parametrize("name", ["full", "pconv"])
def test_batch_size_and_order_change_no_number(built, name, tmp_path):
    """Networks' rounding may depend on the batch: here and there a value falls on the other side of an 8-bit level."""
    inpainter, _ = open_inpainter(built.parameters, name)
    (store, masks, pairs), extractor = stores(), open_features(built.parameters)

    def per_image(batch_size):
        options = {"run": name, "dataset": "celebahq", "device": "cpu", "made_by": {}}
        folder = tmp_path / str(batch_size)
        evaluate(inpainter, store, masks, pairs, extractor, batch_size=batch_size, out_folder=folder, **options)
        return read_results(folder).per_image

    whole = per_image(built.tests)
    for batch_size in (1, 3):
        pd.testing.assert_frame_equal(per_image(batch_size), whole, rtol=0, atol=1e-3)
    # Another order: the pairs of a bucket, last first.
    table = pairs.bucket("20-40%")
    rows, holes, seeds = table["image_row"].to_numpy(), pairs.holes(table, masks), table["seed"].tolist()
    forward, backward = gather_batch(store, rows, holes), gather_batch(store, rows[::-1], holes[::-1])
    one = tensor_to_images(inpainter.inpaint(forward, seeds))
    other = tensor_to_images(inpainter.inpaint(backward, seeds[::-1]))
    apart = np.abs(one.astype(int) - other[::-1])
    assert apart.max() <= 1 and apart.mean() < 1e-3
    assert np.abs(one.astype(int) - other).max() > 50  # these are other images
