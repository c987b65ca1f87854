"""The whole pipeline by function calls, on a dozen drawn faces of 32 pixels and networks of a few channels."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from matplotlib.figure import Figure

from replication import paths
from replication.__main__ import main
from replication.config import PROFILES, Parameters, load_parameters
from replication.data.loader import gather_batch, tensor_to_images
from replication.data.masks import BUCKETS, MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.errors import InputError
from replication.evaluation.evaluate import evaluate, read_results
from replication.inspection import stage_panels as looks
from replication.inspection.pair import PANELS, inspect_pair
from replication.methods.opening import load_extractor, load_inpainter, load_pconv, load_priors
from replication.stages import data as prepare
from replication.stages import training as train
from replication.stages.evaluation import evaluate_experiment, over_seeds
from replication.stages.reports import write_cost_tables, write_figures, write_site, write_tables
from replication.training.fit import fit

FACES, TESTS = 12, 4


def small_parameters(folder: Path) -> Parameters:
    """The profile `smoke` with still smaller numbers."""
    data = yaml.safe_load((PROFILES / "smoke.yaml").read_text(encoding="utf-8"))
    for role in data["data"].values():
        role |= {"train": FACES, "test": TESTS}
    data["masks"] |= {"train": 12, "test_per_bucket": TESTS}
    data["evaluation"] |= {"pairs_per_bucket": TESTS, "batch_size": 3, "samples": 2}
    data["coarse"] |= {"width": 4, "levels": 3}
    for section in ("coarse", "parser", "reconstruction", "attributes"):
        data[section]["schedule"] |= {"batch_size": 4, "images": 8}
    data["mdrnet"]["size"] |= {"channels": 8, "width": 4, "spade_hidden": 4}
    data["mdrnet"]["schedule"] |= {"batch_size": 4, "images": 12}
    data["mdrnet"] |= {"discriminator_width": 4, "bank_pairs": 8}
    data["mdrnet"]["memory"]["slots"] = 8
    data["run"]["device"] = "cpu"
    data["experiments"]["shared_memory"]["seeds"] = 2
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_parameters(file)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Everything trained once: parameters, fit reports by name, and the trainables as they were left in memory."""
    folder = tmp_path_factory.mktemp("checkout")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    kept = {}

    def keep(trainable, batches, **options):
        kept[options["name"]] = trainable
        return fit(trainable, batches, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(prepare, "_workers", lambda: 1)
        patch.setattr(train, "fit", keep)
        p = small_parameters(folder)
        for role in ("celebahq", "ffhq", "parsing", "attributes"):
            prepare.prepare_faces(p, role)
        prepare.prepare_masks(p)
        prepare.prepare_pairs(p, "celebahq")
        reports = {
            "parser": train.train_parser(p),
            "reconstruction": train.train_reconstruction(p),
            "attributes": train.train_attributes(p),
        }
        (reports["coarse_celebahq/seed_0"],) = train.train_coarse(p, "celebahq")
        train.make_bank(p, "celebahq")
        for name in ("full", "no_mrem_no_dmm", "shared_memory"):
            for k, report in enumerate(train.train_experiment(p, name)):
                reports[f"{name}/seed_{k}"] = report
        for name in ("full", "no_mrem_no_dmm", "pconv"):
            evaluate_experiment(p, name)
        yield p, reports, kept
    torch.set_num_threads(threads)


def test_prepared_data(built):
    p, _, _ = built
    for role in ("celebahq", "ffhq", "parsing", "attributes"):
        store = FaceStore.open(paths.store(role))
        assert store.images.shape == (FACES + TESTS, 32, 32, 3) and store.size == p.image_size
        assert len(store.rows("train")) == FACES and len(store.rows("test")) == TESTS
    masks = MaskStore.open(paths.MASKS)
    assert masks.train.shape == (12, 32, 32) and masks.test.shape == (3 * TESTS, 32, 32)
    pairs = pd.read_csv(paths.pairs("celebahq"))
    assert pairs.groupby("bucket").size().to_dict() == dict.fromkeys(BUCKETS, TESTS)


def test_trained_things_are_whole_and_say_what_they_are(built):
    _, reports, _ = built
    for name, report in reports.items():
        folder = paths.model(name)
        assert {f.name for f in folder.iterdir()} == {"weights.safetensors", "card.json", "history.csv"}
        card = json.loads((folder / "card.json").read_text())
        assert card["steps"] == report.steps == (3 if card["method"] == "mdrnet" else 2)
        assert card["images_seen"] == 4 * report.steps and card["training_images"] == FACES
        assert card["name"] == name and card["seed"] == int(name.endswith("seed_1"))
        assert {"trained_parameters", "weights_sha256", "config"} <= set(card)
        cost = json.loads((paths.COSTS / f"{name}.json").read_text())
        assert {"seed", "commit", "device", "seconds", "images_per_s", "peak_memory_mb"} <= set(cost)
        history = pd.read_csv(folder / "history.csv")
        assert history["step"].iloc[-1] == report.steps and np.isfinite(history.to_numpy(float)).all()
    # One folder of state a run: a failure after the training finds its last checkpoint, older runs are gone.
    runs = [paths.STATE / name for name in reports]
    assert all(len(list(run.iterdir())) == 1 for run in runs)


def test_another_discriminator_leaves_the_generators_start_as_it_is(built, monkeypatch):
    p, _, _ = built
    monkeypatch.setattr(train, "_train", lambda parameters, name, trainable, *rest, **options: trainable)
    spectral, batch = (
        train._train_mdrnet(
            dataclasses.replace(p, mdrnet=dataclasses.replace(p.mdrnet, discriminator_norm=norm)), "full", 0
        )
        for norm in ("spectral", "batch")
    )
    assert len(list(spectral.discriminator.buffers())) != len(list(batch.discriminator.buffers()))
    starts = [trainable.generator.state_dict() for trainable in (spectral, batch)]
    assert all(torch.equal(tensor, starts[1][name]) for name, tensor in starts[0].items())


def test_the_bank_holds_what_the_frozen_networks_say(built):
    p, _, _ = built
    coarse = np.load(paths.BANKS / "celebahq" / "coarse.npy")
    labels = np.load(paths.BANKS / "celebahq" / "labels.npy")
    assert coarse.shape == (8, 32, 32, 3) and coarse.dtype == labels.dtype == np.uint8 and labels.max() < 19
    batches = train._batches(p, "celebahq", p.mdrnet.schedule, p.seed, **train._bank(p, "celebahq"))
    batch = batches.assemble(np.arange(8))
    face, parsed = load_priors(p, "celebahq")(batch["image"], batch["mask"])
    assert (face - batch["coarse"]).abs().max() <= 1.01 / 255  # rounded to 8 bits
    assert (parsed == batch["labels"]).float().mean() > 0.999


@pytest.mark.parametrize("name", ["full", "no_mrem_no_dmm"])
def test_a_network_opened_from_its_card_is_the_trained_one(built, name):
    p, _, kept = built
    inpainter, card = load_inpainter(p, name)
    trained = kept[f"{name}/seed_0"].generator
    opened = inpainter.network.state_dict()
    assert set(opened) == set(trained.state_dict())
    assert all(torch.equal(tensor, opened[key]) for key, tensor in trained.state_dict().items())
    assert (inpainter.network.memory is None) == (name == "no_mrem_no_dmm")
    assert card["parameters"] == sum(p.numel() for p in trained.parameters())


def test_the_coarse_network_opened_from_its_card_is_the_trained_one(built):
    _, _, kept = built
    opened = load_pconv("coarse_celebahq/seed_0").network.state_dict()
    for key, tensor in kept["coarse_celebahq/seed_0"].network.state_dict().items():
        assert torch.equal(tensor, opened[key]), key


def test_training_again_gives_the_same_bytes(built):
    p, _, _ = built
    folder = paths.model("full/seed_0")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(paths.STATE / "full")
    train.train_experiment(p, "full")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_finished_training_asked_for_again_keeps_its_measured_speed(built):
    p, _, _ = built
    before = json.loads((paths.COSTS / "full/seed_0.json").read_text())
    (report,) = train.train_experiment(p, "full")
    assert report.resumed_from == report.steps
    again = json.loads((paths.COSTS / "full/seed_0.json").read_text())
    assert again["images_per_s"] == before["images_per_s"] > 0 and again["seconds"] == before["seconds"]


def test_seeds_are_separate_trainings_in_another_order(built):
    p, _, kept = built
    first, second = (kept[f"shared_memory/seed_{k}"].generator.state_dict() for k in (0, 1))
    assert any(not torch.equal(first[key], second[key]) for key in first)
    batches = [train._batches(p, "celebahq", p.mdrnet.schedule, k, **train._bank(p, "celebahq")) for k in (0, 1)]
    assert batches[0].numbers(0).tolist() != batches[1].numbers(0).tolist()
    assert batches[0].bank_entry(3) == batches[1].bank_entry(3)  # one bank for all
    with pytest.raises(InputError, match=r"--repeat 2: shared_memory is trained 2 time\(s\)"):
        train.train_experiment(p, "shared_memory", 2)


def test_metrics_of_several_seeds_are_means_and_keep_each(built):
    p, _, _ = built
    metrics = evaluate_experiment(p, "shared_memory")
    (made_by,) = metrics["made_by"]
    assert made_by["seed"] == made_by["seeds"] == [0, 1] and len(set(made_by["weights_sha256"])) == 2
    each = [made_by["per_seed"][k]["20-40%"]["PSNR"] for k in ("0", "1")]
    assert metrics["20-40%"]["PSNR"] == pytest.approx(sum(each) / 2, abs=1e-6) and each[0] != each[1]
    assert {folder.name for folder in (paths.RESULTS / "shared_memory").iterdir()} == {"seed_0", "seed_1"}


def test_evaluating_twice_gives_the_same_metrics_file(built):
    p, _, _ = built
    for name in ("full", "pconv"):
        file = paths.METRICS / f"{name}.json"
        before = file.read_bytes()
        metrics = evaluate_experiment(p, name)
        assert file.read_bytes() == before and json.loads(before) == metrics


def test_metrics_and_results(built):
    for name in ("full", "no_mrem_no_dmm", "pconv"):
        metrics = json.loads((paths.METRICS / f"{name}.json").read_text())
        assert list(metrics) == [*BUCKETS, "made_by"]
        for bucket in BUCKETS:
            assert list(metrics[bucket])[:4] == ["L1_percent", "FD", "PSNR", "SSIM"]
            assert np.isfinite(list(metrics[bucket].values())).all()
        (made_by,) = metrics["made_by"]
        assert made_by["profile"] == "smoke" and made_by["dataset"] == "celebahq" and made_by["images_per_bucket"] == 4
        assert made_by["training_images"] == FACES and made_by["image_size"] == 32 and "commit" in made_by
        results = read_results(paths.RESULTS / paths.repeat(name))
        assert len(results.per_image) == 3 * TESTS and results.samples("40-60%").shape == (2, 32, 32, 3)
        mean = results.bucket("20-40%")["PSNR"].mean()
        assert metrics["20-40%"]["PSNR"] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("name", ["full", "no_mrem_no_dmm", "shared_memory", "pconv"])
def test_no_method_sees_what_lies_under_the_hole(built, name):
    p, _, _ = built
    inpainter, _ = load_inpainter(p, name)
    store, masks = FaceStore.open(paths.store("celebahq")), MaskStore.open(paths.MASKS)
    batch = gather_batch(store, store.rows("test"), np.asarray(masks.test[:TESTS]))
    image, mask = batch["image"], batch["mask"]
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    completed = inpainter.inpaint(image, mask)
    assert torch.equal(inpainter.inpaint(torch.where(mask == 1, noise, image), mask), completed)
    assert torch.equal(inpainter.inpaint(torch.where(mask == 1, float("nan"), image), mask), completed)
    assert torch.equal(torch.where(mask == 1, 0, completed), torch.where(mask == 1, 0, image))


@pytest.mark.parametrize("name", ["full", "pconv"])
def test_batch_size_and_order_change_no_number(built, name, tmp_path):
    """Networks' rounding may depend on the batch; after rounding to 8 bits nothing of it is left here."""
    p, _, _ = built
    inpainter, _ = load_inpainter(p, name)
    store, masks = FaceStore.open(paths.store("celebahq")), MaskStore.open(paths.MASKS)
    pairs, extractor = EvaluationPairs.open(paths.pairs("celebahq")), load_extractor(p)

    def measured(batch_size):
        options = {"experiment": name, "dataset": "celebahq", "device": "cpu", "made_by": {}}
        folder = tmp_path / str(batch_size)
        evaluate(inpainter, store, masks, pairs, extractor, batch_size=batch_size, out_folder=folder, **options)
        return read_results(folder).per_image

    whole = measured(TESTS)
    for batch_size in (1, 3):
        pd.testing.assert_frame_equal(measured(batch_size), whole, check_exact=True)
    # Another order: the pairs of a bucket one by one, last first.
    table = pairs.bucket("20-40%")
    rows, holes = table["image_row"].to_numpy(), np.asarray(masks.test[table["mask_row"].to_numpy()])
    forward = gather_batch(store, rows, holes)
    backward = gather_batch(store, rows[::-1], holes[::-1])
    one, other = (tensor_to_images(inpainter.inpaint(b["image"], b["mask"])) for b in (forward, backward))
    assert (one == other[::-1]).all()


def test_what_one_training_has_no_value_of_is_left_out_with_its_seed():
    def one(seed, values, left_out):
        record = {"seed": seed, "weights_sha256": str(seed), "protocol": {"version": 2, "left_out": left_out}}
        return {"1-20%": values, "made_by": [record]}

    whole = one(0, {"PSNR": 20.0, "U_DS": 0.3}, {"LPIPS": "no weights"})
    part = one(1, {"PSNR": 22.0}, {"LPIPS": "no weights", "U_DS": "not converged"})
    for measured in ([whole, part], [part, whole]):
        merged = over_seeds(measured)
        assert merged["1-20%"] == {"PSNR": 21.0}
        left_out = merged["made_by"][0]["protocol"]["left_out"]
        assert left_out == {"LPIPS": "no weights", "U_DS": "not converged (seed 1)"}


def test_seeds_of_a_longer_run_do_not_stay(built):
    p, _, _ = built
    stale = paths.RESULTS / "full" / "seed_1"
    shutil.copytree(paths.RESULTS / "full" / "seed_0", stale)
    evaluate_experiment(p, "full")
    assert not stale.exists()


def test_tables(built):
    p, _, _ = built
    written = write_tables(p)
    assert written and all(path.is_file() and path.parent == paths.TABLES for path in written)
    assert {path.suffix for path in written} >= {".csv", ".md"}
    text = "\n".join(p.read_text(encoding="utf-8") for p in written if p.suffix == ".md")
    psnr = json.loads((paths.METRICS / "full.json").read_text())["20-40%"]["PSNR"]
    assert f"{psnr:.3f}" in text or f"{psnr:.2f}" in text


def test_another_version_of_the_protocol_is_refused(built):
    p, _, _ = built
    file = paths.METRICS / "full.json"
    before = file.read_text()
    content = json.loads(before)
    content["made_by"][0]["protocol"]["version"] = 1
    file.write_text(json.dumps(content))
    try:
        with pytest.raises(
            InputError, match=r"full\.json was measured under version 1 .* run `dvc repro evaluate@full`"
        ):
            write_tables(p)
    finally:
        file.write_text(before)


@pytest.mark.parametrize("name", ["full", "no_mrem_no_dmm", "shared_memory"])
def test_inspection_draws_every_panel_that_the_network_has(built, name):
    p, _, _ = built
    inspected = inspect_pair(p, name, bucket="20-40%", pair=1)
    full = name != "no_mrem_no_dmm"
    summary = inspected.summary()
    assert [bool(summary.loc[key].iloc[0]) for key in ("memory", "correlation mining")] == [full, full]
    for panel in (inspected.overview(), inspected.spade(), inspected.error()):
        assert isinstance(panel, Figure) and panel.axes
    for panels in (inspected.memory_reads(), inspected.slot_usage(), inspected.correlation()):
        assert len(panels) == full and all(isinstance(panel, Figure) for panel in panels)


def test_panels_of_the_stages(built):
    p, _, _ = built
    for network in ("parser", "reconstruction", "attributes"):
        assert looks.prior_panel(p, network, count=3).axes
    for name in ("full", "pconv"):
        for panel in (looks.completion_panel(p, name), looks.metric_spread(name), looks.worst_panel(p, name)):
            assert panel.axes


def test_figures_and_site(built):
    p, _, _ = built
    figures = write_figures(p)
    assert {"figure2", "figure3", "figure4", "curves_mdrnet", "curves_pconv"} <= {path.stem for path in figures}
    assert all(path.is_file() for path in figures)
    write_tables(p)
    assert {path.name for path in write_cost_tables(p)} == {"costs.csv", "costs.md", "costs.html"}
    page = write_site(p)
    assert page == paths.REPORTS / "index.html"
    text = page.read_text(encoding="utf-8")
    assert "Table 4" in text and "Figure 2. Dataflow of MDRNets" in text


@pytest.mark.parametrize("name", ["full", "no_mrem_no_dmm"])
def test_inspection_without_a_notebook_writes_the_same_panels(built, name, tmp_path, capsys):
    assert main(["inspect", name, "--bucket", "20-40%", "--pair", "1", "--out", str(tmp_path)]) == 0
    panels = {*PANELS} if name == "full" else {"overview", "spade", "error"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{panel}.png" for panel in panels}
    printed = capsys.readouterr().out
    assert f"{name}/seed_0" in printed and str(tmp_path / "overview.png") in printed
    assert main(["inspect", name, "--pair", "-1"]) == 2


def test_inspection_refuses_what_is_not_there(built):
    p, _, _ = built
    for options, words in (
        ({"bucket": "60-80%"}, "bucket: must be one of 1-20%, 20-40%, 40-60%, got '60-80%'"),
        ({"pair": 4}, "pair: must be from 0 to 3 in bucket 40-60%, got 4"),
        ({"pair": -1}, "pair: must be from 0 to 3"),
        ({"pair": "three"}, "pair: must be a whole number, got 'three'"),
        ({"patch": 1.5}, "patch: must be a whole number, got 1.5"),
        ({"patch": 64}, "patch: must be -1 or from 0 to 63, got 64"),
    ):
        with pytest.raises(InputError, match="^" + words):
            inspect_pair(p, "full", **options)
    assert inspect_pair(p, "full", patch=63).correlation()


def test_what_was_not_trained_or_prepared_is_named(built):
    p, _, _ = built
    with pytest.raises(InputError, match="slots_32/seed_0 does not exist: nothing named 'slots_32/seed_0' has"):
        evaluate_experiment(p, "slots_32")
    with pytest.raises(InputError, match="nothing named 'no_mrem/seed_0' has been trained yet"):
        inspect_pair(p, "no_mrem")
    with pytest.raises(InputError, match="nothing named 'coarse_ffhq/seed_0' has been trained yet"):
        evaluate_experiment(p, "pconv_ffhq")
    with pytest.raises(InputError, match="ffhq"):
        evaluate_experiment(p, "full_ffhq")
    with pytest.raises(InputError, match=r"data/banks/ffhq is missing: run `python -m replication bank ffhq` first"):
        train.train_experiment(p, "full_ffhq")
    with pytest.raises(InputError, match=r"experiment 'ful' does not exist; did you mean 'full'\?"):
        train.train_experiment(p, "ful")
    assert not (paths.METRICS / "slots_32.json").exists()


def test_the_root_of_a_checkout_is_found_from_below(tmp_path, monkeypatch):
    (tmp_path / "replication").mkdir()
    (tmp_path / "dvc.yaml").write_text("")
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    assert paths.go_to_root() == Path.cwd() == tmp_path
    monkeypatch.chdir("/")
    with pytest.raises(InputError, match="is not inside a checkout of this suite"):
        paths.go_to_root()
