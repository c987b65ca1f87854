from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from replication.atomic import write_json
from replication.data.masks import BUCKETS, bucket_of, write_mask_store
from replication.data.pair_rules import PairRule
from replication.data.pairs import EvaluationPairs, write_pairs
from replication.data.store import Chunk, write_store
from replication.errors import InputError
from replication.evaluation.discriminability import NotConverged, discriminative_scores
from replication.evaluation.evaluate import ProtocolError, evaluate, read_results
from replication.evaluation.frechet import frechet_distance
from replication.evaluation.sample import Sample

SIZE = 16
COUNT = 7
KEYS = ["L1_percent", "FD", "PSNR", "SSIM", "L1_hole_percent", "PSNR_hole", "U_DS", "P_DS"]


def _rectangles(rng: np.random.Generator, count: int) -> np.ndarray:
    """Distinct rectangular holes, `count` for each bucket."""
    found: dict[str, dict[bytes, np.ndarray]] = {bucket: {} for bucket in BUCKETS}
    while min(len(masks) for masks in found.values()) < count:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        (y0, y1), (x0, x1) = (np.sort(rng.integers(0, SIZE + 1, 2)) for _ in range(2))
        mask[y0:y1, x0:x1] = 1
        bucket = bucket_of(mask.mean())
        if bucket and len(found[bucket]) < count:
            found[bucket][mask.tobytes()] = mask
    return np.stack([mask for masks in found.values() for mask in masks.values()])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT + 2, SIZE, SIZE, 3), dtype=np.uint8)
    rows = pd.DataFrame({"id": [f"face{i}" for i in range(COUNT + 2)], "split": ["train"] * 2 + ["test"] * COUNT})
    rows["identity"] = [f"person{i // 2}" for i in range(COUNT + 2)]  # the last one has a single test image
    points = {"left_eye": (5, 6), "right_eye": (11, 6), "nose": (8, 9), "mouth_left": (6, 12), "mouth_right": (10, 12)}
    for name, (x, y) in points.items():
        rows[f"{name}_x"], rows[f"{name}_y"] = float(x), float(y)
    store = write_store(folder / "faces", name="toy", size=SIZE, chunks=[Chunk(images, rows)], source={})
    masks = _rectangles(rng, 2 * COUNT)
    masks = write_mask_store(folder / "masks", size=SIZE, train=[masks[::2]], test=[masks[1::2]], source={})
    return store, masks, write_pairs(folder / "pairs.csv", store, masks, seed=5)


class Smear:
    """Fills each hole with the mean of the known pixels of the same image, per channel, plus a gradient."""

    needs = frozenset[str]()

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def raw(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        known = 1 - mask
        mean = (image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
        return mean + torch.linspace(-1.2, 1.2, image.shape[-1])  # leaves [-1, 1] at the sides

    def inpaint(self, batch, seeds) -> torch.Tensor:
        image, mask = batch["image"], batch["mask"]
        self.seen.append((image * mask).abs().sum())
        return torch.where(mask > 0, self.raw(image, mask), image)


class Means:
    """Channel means and spreads: six features."""

    name = "FD (channel moments)"

    def __init__(self) -> None:
        self.images = 0

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.images += len(images)
        x = images.double() / 255
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1).float()


def _evaluate(data, folder, *, inpainter=None, extractor=None, **changes):
    arguments = {
        "run": "full",
        "dataset": "celebahq",
        "batch_size": 3,
        "device": "cpu",
        "out_folder": folder,
        "samples": 4,
        "made_by": {"profile": "smoke", "steps": 12, "code": "abc"},
    }
    return evaluate(inpainter or Smear(), *data, extractor or Means(), **(arguments | changes))


@pytest.fixture(scope="module")
def evaluated(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "full"
    metrics = _evaluate(data, folder)
    return metrics, read_results(folder)


def test_metrics_file_has_the_agreed_form(evaluated, tmp_path):
    metrics, _ = evaluated
    assert list(metrics) == [*BUCKETS, "made_by"]
    for bucket in BUCKETS:
        assert list(metrics[bucket]) == KEYS
        assert all(isinstance(value, float) and math.isfinite(value) for value in metrics[bucket].values())
    (made_by,) = metrics["made_by"]
    assert made_by["profile"] == "smoke"
    assert (made_by["dataset"], made_by["image_size"], made_by["images_per_bucket"]) == (
        "celebahq",
        SIZE,
        COUNT,
    )
    assert made_by["features"] == "FD (channel moments)"
    assert made_by["protocol"]["composite"] is True
    assert (made_by["protocol"]["version"], made_by["protocol"]["name"]) == (3, "irregular")
    assert made_by["protocol"]["buckets"] == {bucket: list(ratios) for bucket, ratios in BUCKETS.items()}
    assert list(made_by["protocol"]["metrics"]) == KEYS
    assert set(made_by["protocol"]["left_out"]) == {"SSIM_edgeconnect", "MS_SSIM", "LPIPS"}
    write_json(tmp_path / "full.json", metrics)  # refuses NaN
    assert json.loads((tmp_path / "full.json").read_text()) == metrics


class Telling(Smear):
    """Tells the share of the hole of each image."""

    def inpaint_with_diagnostics(self, batch, seeds):
        return self.inpaint(batch, seeds), {"hole": batch["mask"].mean((1, 2, 3))}


def test_what_a_method_tells_of_its_passes_is_kept_and_moves_no_number(evaluated, data, tmp_path):
    metrics, results = evaluated
    told = _evaluate(data, tmp_path / "full", inpainter=Telling())
    diagnostics = told["made_by"][0].pop("diagnostics")
    assert told == metrics and "diagnostics" not in metrics["made_by"][0]
    for bucket in BUCKETS:
        assert diagnostics[bucket] == {"hole": pytest.approx(results.bucket(bucket)["ratio"].mean(), abs=1e-6)}
    kept = read_results(tmp_path / "full").card["metrics"]["made_by"][0]["diagnostics"]
    assert kept == diagnostics


def test_errors_grow_with_the_hole(evaluated):
    # ShowFace claim C24, a check of the evaluator itself
    metrics, _ = evaluated
    small, middle, large = (metrics[bucket] for bucket in BUCKETS)
    assert small["L1_percent"] < middle["L1_percent"] < large["L1_percent"]
    assert small["FD"] < middle["FD"] < large["FD"]
    assert small["PSNR"] > middle["PSNR"] > large["PSNR"]
    assert small["SSIM"] > middle["SSIM"] > large["SSIM"]


def test_results_recompute_from_the_pairs(data, evaluated):
    store, masks, pairs = data
    metrics, results = evaluated
    assert results.buckets == tuple(BUCKETS)
    for bucket in BUCKETS:
        rows, table = results.bucket(bucket), pairs.bucket(bucket)
        assert list(rows.columns[:4]) == ["run", "dataset", "protocol", "bucket"]
        assert set(rows["run"]) == {"full"} and set(rows["protocol"]) == {"irregular"}
        for column in ("image_row", "image_id", "mask_row", "ratio", "seed"):
            assert rows[column].tolist() == table[column].tolist()
        images, holes = store.images[table.image_row], masks.test[table.mask_row]
        image = torch.from_numpy(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        mask = torch.from_numpy(holes[:, None].astype(np.float32))
        raw = Smear().raw(image * (1 - mask), mask).permute(0, 2, 3, 1).numpy()
        filled = np.clip(np.round((raw + 1) * 127.5), 0, 255)
        expected = np.where(holes[..., None] == 1, filled, images).astype(np.uint8)
        assert (results.samples(bucket) == expected[:4]).all()
        difference = np.abs(expected.astype(float) - images)
        assert rows["L1_percent"].to_numpy() == pytest.approx(100 * difference.mean((1, 2, 3)) / 255)
        # Outside the hole nothing differs, so the two L1 columns are tied by the ratio.
        assert (rows["L1_hole_percent"] * rows["ratio"]).to_numpy() == pytest.approx(rows["L1_percent"].to_numpy())
        hole_psnr = rows["PSNR_hole"] - 10 * np.log10(rows["ratio"])
        assert hole_psnr.to_numpy() == pytest.approx(rows["PSNR"].to_numpy())
        assert metrics[bucket]["PSNR"] == pytest.approx(rows["PSNR"].mean(), abs=1e-6)
        features = Means().features(torch.from_numpy(expected).permute(0, 3, 1, 2)).numpy()
        assert np.abs(results.features(bucket) - features).max() < 1e-6
        originals = Means().features(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
        assert np.abs(results.real_features(bucket) - originals).max() < 1e-6
        assert metrics[bucket]["FD"] == pytest.approx(frechet_distance(features, originals), abs=1e-5)
        scores = discriminative_scores(results.real_features(bucket), results.features(bucket))
        assert (metrics[bucket]["U_DS"], metrics[bucket]["P_DS"]) == pytest.approx(scores, abs=1e-6)
        for name in ("L1_percent", "SSIM", "L1_hole_percent", "PSNR_hole"):
            assert metrics[bucket][name] == pytest.approx(rows[name].mean(), abs=1e-6)


def test_numbers_do_not_depend_on_the_batch_size(data, evaluated, tmp_path):
    metrics, results = evaluated
    for batch_size in (1, 7, 50):
        assert _evaluate(data, tmp_path / "other", batch_size=batch_size) == metrics
        other = read_results(tmp_path / "other")
        pd.testing.assert_frame_equal(other.per_image, results.per_image, check_exact=True)
        assert (other.samples("40-60%") == results.samples("40-60%")).all()


class Sampler(Smear):
    """Fills each hole with noise drawn from the image's own seed, as a diffusion model or a GAN with a code does."""

    def raw(self, image, mask, seeds=()):
        noise = [torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(noise).clamp(-1, 1)

    def inpaint(self, batch, seeds):
        image, mask = batch["image"], batch["mask"]
        assert len(seeds) == len(image)
        return torch.where(mask > 0, self.raw(image, mask, seeds), image)


def test_what_a_sampler_draws_depends_on_neither_batches_nor_order(data, tmp_path):
    store, masks, pairs = data
    key = ["bucket", "image_row"]
    metrics = _evaluate(data, tmp_path / "1", inpainter=Sampler(), batch_size=1)
    first = read_results(tmp_path / "1").per_image
    for batch_size in (3, 5):
        assert _evaluate(data, tmp_path / "r", inpainter=Sampler(), batch_size=batch_size) == metrics
        pd.testing.assert_frame_equal(read_results(tmp_path / "r").per_image, first, check_exact=True)
    shuffled = EvaluationPairs(pairs.path, pairs.table.sample(frac=1, random_state=3), pairs.card)
    assert shuffled.table["image_row"].tolist() != pairs.table["image_row"].tolist()
    _evaluate((store, masks, shuffled), tmp_path / "r", inpainter=Sampler(), batch_size=3)
    other = read_results(tmp_path / "r").per_image
    pd.testing.assert_frame_equal(
        other.sort_values(key, ignore_index=True), first.sort_values(key, ignore_index=True), check_exact=True
    )
    table = pairs.table.assign(seed=pairs.table["seed"] + 1)
    _evaluate((store, masks, EvaluationPairs(pairs.path, table, pairs.card)), tmp_path / "r", inpainter=Sampler())
    assert (read_results(tmp_path / "r").per_image["PSNR"] != first["PSNR"]).all(), "the seeds decide what is drawn"


class Copying(Smear):
    """Fills the hole with what the exemplar has there."""

    needs = frozenset({"exemplar", "landmarks"})

    def __init__(self):
        super().__init__()
        self.fields: set[frozenset[str]] = set()

    def raw(self, image, mask, exemplar=None):
        return exemplar

    def inpaint(self, batch, seeds):
        self.fields.add(frozenset(batch))
        assert batch["landmarks"].shape == (len(seeds), 5, 2)
        return torch.where(batch["mask"] > 0, batch["exemplar"], batch["image"])


def test_a_method_gets_what_it_needs_and_no_more(data, tmp_path):
    store = data[0]
    rule = PairRule("eyes", "eye_boxes", exemplar="same_identity")
    pairs = write_pairs(tmp_path / "pairs.csv", store, None, seed=5, rule=rule)
    copying = Copying()
    metrics = _evaluate((store, None, pairs), tmp_path / "r", inpainter=copying)
    assert copying.fields == {frozenset({"image", "mask", "exemplar", "landmarks"})}
    assert list(metrics) == ["eyes", "made_by"]
    block = metrics["made_by"][0]["protocol"]
    assert (block["name"], block["holes"], block["exemplar"]) == ("eyes", "eye_boxes", "same_identity")
    assert block["images_per_bucket"] == {"eyes": COUNT - 1}
    results = read_results(tmp_path / "r")
    rows, table = results.bucket("eyes"), pairs.bucket("eyes")
    holes, images, others = pairs.own_holes[:4], store.images[table.image_row], store.images[table.exemplar_row]
    assert (results.samples("eyes") == np.where(holes[..., None] == 1, others[:4], images[:4])).all()
    assert set(rows["protocol"]) == {"eyes"} and rows["ratio"].tolist() == table["ratio"].tolist()
    # What uncertainty reads are the metrics alone, without the numbers that name a pair.
    assert Sample.open([tmp_path / "r"], "eyes").metrics[:3] == ("L1_percent", "PSNR", "SSIM")


def test_regions_are_buckets(data, tmp_path):
    store = data[0]
    rule = PairRule("parts", "regions", regions=("nose", "face"))
    pairs = write_pairs(tmp_path / "pairs.csv", store, None, seed=5, rule=rule)
    metrics = _evaluate((store, None, pairs), tmp_path / "r")
    assert list(metrics) == ["nose", "face", "made_by"] and read_results(tmp_path / "r").buckets == ("nose", "face")
    assert metrics["nose"]["L1_percent"] < metrics["face"]["L1_percent"]


def test_a_need_that_the_protocol_does_not_bring_is_refused_before_any_work(data, tmp_path):
    extractor, copying = Means(), Copying()
    sentence = (
        r"^full: needs exemplar with each image, which protocol 'irregular' on celebahq does not bring "
        r"\(it brings: identity, landmarks\)$"
    )
    with pytest.raises(InputError, match=sentence):
        _evaluate(data, tmp_path / "r", inpainter=copying, extractor=extractor)
    assert not copying.fields and not extractor.images and not list(tmp_path.iterdir())


def test_results_of_before_runs_were_called_runs(evaluated, tmp_path):
    """Revisions of then are compared with those of now."""
    folder = tmp_path / "old"
    shutil.copytree(evaluated[1].folder, folder)
    card = json.loads((folder / "card.json").read_text())
    card["experiment"] = card.pop("run")
    (folder / "card.json").write_text(json.dumps(card))
    table = pd.read_parquet(folder / "per_image.parquet").rename(columns={"run": "experiment"})
    table.drop(columns=["protocol", "seed"]).to_parquet(folder / "per_image.parquet")
    old, new = (Sample.open([path], "20-40%") for path in (folder, evaluated[1].folder))
    assert (old.run, old.metrics, old.trainings) == (new.run, new.metrics, new.trainings) and old.run == "full"
    assert old.value("FD") == new.value("FD") and old.value("PSNR") == new.value("PSNR")


def test_files_are_the_same_in_every_run(data, evaluated, tmp_path):
    _evaluate(data, tmp_path / "again")
    for file in sorted(path.name for path in (tmp_path / "again").iterdir()):
        assert (tmp_path / "again" / file).read_bytes() == (evaluated[1].folder / file).read_bytes()


def test_method_never_sees_the_hole_and_real_images_are_described_once(data, tmp_path):
    inpainter, extractor = Smear(), Means()
    _evaluate(data, tmp_path / "r", inpainter=inpainter, extractor=extractor)
    assert all(total == 0 for total in inpainter.seen)
    assert extractor.images == 3 * COUNT + COUNT


def test_fewer_pairs_and_samples_than_asked(data, tmp_path):
    metrics = _evaluate(data, tmp_path / "r", per_bucket=2, samples=5)
    assert metrics["made_by"][0]["images_per_bucket"] == 2
    assert read_results(tmp_path / "r").samples("1-20%").shape == (2, SIZE, SIZE, 3)
    _evaluate(data, tmp_path / "r", samples=0)
    assert read_results(tmp_path / "r").samples("1-20%").shape == (0, SIZE, SIZE, 3)
    with pytest.raises(InputError, match="full: bucket 1-20%"):
        _evaluate(data, tmp_path / "r", per_bucket=1)


def test_perfect_method(data, tmp_path):
    faces = torch.from_numpy(data[0].images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)

    class Oracle:
        """Knows the faces by heart and recognises each by its known pixels."""

        needs = frozenset()

        def inpaint(self, batch, seeds):
            image, mask = batch["image"], batch["mask"]
            return next(face[None] for face in faces if torch.equal(face * (1 - mask[0]), image[0]))

    metrics = _evaluate(data, tmp_path / "r", inpainter=Oracle(), batch_size=1)
    perfect = {"L1_percent": 0.0, "FD": 0.0, "PSNR": 100.0, "SSIM": 1.0}
    # Of two equal pictures none is the more real one.
    assert metrics["1-20%"] == perfect | {"L1_hole_percent": 0.0, "PSNR_hole": 100.0, "U_DS": 0.5, "P_DS": 0.0}
    assert read_results(tmp_path / "r").card["identical_images"] == dict.fromkeys(BUCKETS, COUNT)


class Faulty(Smear):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def inpaint(self, batch, seeds):
        return self.fault(super().inpaint(batch, seeds), batch["mask"])


def _touch_known(output, mask):
    y, x = (mask[1, 0] == 0).nonzero()[0].tolist()
    output[1, 2, y, x] += 2**-20  # less than one of 256 levels: rounding would hide it
    return output


def _nan_in_hole(output, mask):
    output[-1][mask[-1].expand(3, -1, -1) > 0] = math.nan
    return output


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_touch_known, r"full: known pixels were changed in image 'face3' \(1 pixels\)"),
        (_nan_in_hole, "full: completed image holds NaN or infinity in image 'face4'"),
        (lambda output, mask: output[:, :1], "full: inpaint returned"),
    ],
)
def test_faulty_methods_are_refused_and_leave_nothing(data, tmp_path, fault, message):
    with pytest.raises(ProtocolError, match=message):
        _evaluate(data, tmp_path / "r", inpainter=Faulty(fault))
    assert not list(tmp_path.iterdir())


def test_method_that_writes_into_its_input_is_caught(data, tmp_path):
    class Overwriting(Smear):
        def inpaint(self, batch, seeds):
            batch["image"].fill_(0.5)
            batch["mask"].fill_(1)
            return batch["image"]

    with pytest.raises(ProtocolError, match="known pixels"):
        _evaluate(data, tmp_path / "r", inpainter=Overwriting())


class Difference:
    """Stands for a perceptual distance: the share of values that differ."""

    label, weights, smallest_side = "AlexNet", "weights.pth", 12

    def distance(self, a, b):
        return (a != b).double().mean((1, 2, 3))


def test_further_metrics_are_chosen_and_named(data, tmp_path):
    metrics = _evaluate(data, tmp_path / "r", also=("LPIPS", "P_IDS"), lpips=Difference())
    assert list(metrics["1-20%"]) == ["L1_percent", "FD", "PSNR", "SSIM", "LPIPS", "P_DS"]
    rows = read_results(tmp_path / "r").bucket("1-20%")
    assert list(rows.columns[9:]) == ["L1_percent", "PSNR", "SSIM", "LPIPS"]
    assert metrics["1-20%"]["LPIPS"] == pytest.approx(rows["LPIPS"].mean(), abs=1e-6)
    assert (rows["LPIPS"] <= rows["ratio"]).all() and rows["LPIPS"].min() > 0.5 * rows["ratio"].min()
    block = metrics["made_by"][0]["protocol"]
    assert block["metrics"]["LPIPS"]["weights"] == "weights.pth"
    assert block["left_out"]["U_DS"] == "not asked for"
    with pytest.raises(InputError, match="'SSIM51'"):
        _evaluate(data, tmp_path / "r", also=("SSIM51",))


def test_a_distance_that_is_not_finite_is_refused(data, tmp_path):
    class Broken(Difference):
        def distance(self, a, b):
            return super().distance(a, b) * torch.tensor([1.0, math.nan, 1.0])[: len(a)]

    with pytest.raises(ProtocolError, match=r"full: LPIPS is not finite in image 'face3'$"):
        _evaluate(data, tmp_path / "r", lpips=Broken())


def test_scores_without_an_optimum_are_left_out_of_every_bucket(data, tmp_path, monkeypatch):
    calls = []

    def second_fails(real, completed):
        calls.append(real)
        if len(calls) == 2:
            raise NotConverged("no optimum")
        return 0.25, 0.5

    monkeypatch.setattr("replication.evaluation.evaluate.discriminative_scores", second_fails)
    metrics = _evaluate(data, tmp_path / "r")
    assert all(list(metrics[bucket]) == KEYS[:-2] for bucket in BUCKETS)
    left_out = metrics["made_by"][0]["protocol"]["left_out"]
    assert left_out["U_DS"] == left_out["P_DS"] == "20-40%: no optimum"


def test_faulty_features_are_refused(data, tmp_path):
    class Broken(Means):
        def features(self, images):
            return super().features(images) * math.nan

    with pytest.raises(ProtocolError, match="channel moments"):
        _evaluate(data, tmp_path / "r", extractor=Broken())

    class SelfStyled(Means):
        name = "FID"

    with pytest.raises(InputError, match="verified"):
        _evaluate(data, tmp_path / "r", extractor=SelfStyled())


def test_reading_names_what_is_missing(evaluated, tmp_path):
    with pytest.raises(InputError, match=r"card\.json"):
        read_results(tmp_path)
    with pytest.raises(InputError, match="60-80%"):
        evaluated[1].features("60-80%")
