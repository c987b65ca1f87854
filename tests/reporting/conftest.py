"""Small invented results: metrics files, runs, stores with samples, and tensors of the stated shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from replication.papers import SHOWFACE_ROWS

BUCKETS = {"1-20%": 0.1, "20-40%": 0.3, "40-60%": 0.5}
EXPERIMENTS = sorted(set(SHOWFACE_ROWS.values()))


def metrics_file(name: str, *, quality: float = 1.0, frechet: str = "FD", **changes) -> dict:
    """A metrics file whose numbers get worse with `quality`; `changes` override its record."""
    file: dict = {
        bucket: {
            "L1_percent": 10 * ratio * quality,
            frechet: 40 * ratio * quality,
            "PSNR": 40 - 30 * ratio * quality,
            "SSIM": 1 - 0.3 * ratio * quality,
        }
        for bucket, ratio in BUCKETS.items()
    }
    dataset = "ffhq" if name.endswith("ffhq") else "celebahq"
    record = {
        "profile": "demo", "comparable": False, "dataset": dataset,
        "dataset_title": "drawn faces, studio",
        "image_size": 64, "images_per_bucket": 200, "training_images": 2000, "steps": 800, "seed": 1,
        "features": "FD (drawn-face attributes)", "commit": "0123456789abcdef0123+changes",
        "pairs": dataset * 5,
    }  # fmt: skip
    return {**file, "made_by": [record | changes]}


@pytest.fixture
def file_of():
    """The function `metrics_file`."""
    return metrics_file


@pytest.fixture
def metrics() -> dict[str, dict]:
    """Every experiment but slots_512; each a little worse than the one before."""
    names = [name for name in EXPERIMENTS if name != "slots_512"]
    return {name: metrics_file(name, quality=1 + 0.05 * i) for i, name in enumerate(names)}


@pytest.fixture
def metrics_folder(tmp_path: Path, metrics: dict[str, dict]) -> Path:
    folder = tmp_path / "metrics"
    folder.mkdir()
    for name, file in metrics.items():
        (folder / f"{name}.json").write_text(json.dumps(file))
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two MDRNet runs and one parser with a history each, and a folder that is not a model."""
    for i, (name, method) in enumerate((("full", "mdrnet"), ("slots_64", "mdrnet"), ("parser", "bisenet"))):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        steps = np.arange(1, 41)
        history = pd.DataFrame({"step": steps, "images_seen": 8 * steps, "seconds": steps / 10})
        history["loss"] = np.exp(-steps / 10) + 0.01 * i
        history.to_csv(folder / "history.csv", index=False)
        card = {
            "name": name, "method": method, "dataset": "celebahq", "parameters": 1_234_567, "steps": 40,
            "images_seen": 320, "seconds": 90.0, "images_per_s": 3.55, "peak_memory_mb": 512, "seed": 1,
            "commit": "a<b>&c",
        }  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card))
    (tmp_path / "models" / "unfinished").mkdir()
    return tmp_path / "models"


@pytest.fixture
def costs_folder(models: Path, tmp_path: Path) -> Path:
    """The records of the trainings of `models`, as data/costs has them: MDRNets by seed, the parser alone."""
    folder = tmp_path / "costs"
    for card in models.glob("*/card.json"):
        name = card.parent.name
        file = folder / ("parser.json" if name == "parser" else f"{name}/seed_0.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(card.read_text())
    return folder


@pytest.fixture
def network() -> dict[str, np.ndarray]:
    """Random arrays of the shapes in `tensors.MDRNET`, consistent where the drawing relies on it."""
    rng = np.random.default_rng(0)
    size, grid, c, k, n, m, patches = 32, 16, 12, 3, 14, 8, 64
    mask = np.zeros((size, size), np.uint8)
    mask[8:24, 10:28] = 1
    labels = rng.integers(0, 13, (size, size)).astype(np.uint8)  # class 13 is absent

    def picture() -> np.ndarray:
        return rng.integers(0, 256, (size, size, 3)).astype(np.uint8)

    def rows(width: int) -> np.ndarray:
        weights = rng.random((n, width)) + 0.1
        return weights / weights.sum(axis=1, keepdims=True)

    attention = rng.random((patches, patches))
    present = np.array([1] * 13 + [0], np.uint8)
    tensors = {
        "image": picture(), "mask": mask, "coarse": picture(), "labels": labels, "mask_grid": mask[::2, ::2],
        "labels_grid": labels[::2, ::2], "style": rng.normal(size=(c, grid, grid)),
        "queries": rng.normal(size=(n, c)), "queries_present": present, "values": rng.normal(size=(n, c)),
        "values_present": present, "weights": rows(m), "reads": rng.normal(size=(n, c)),
        "fused": rng.normal(size=(c, grid, grid)), "mcm_query": rng.normal(size=(k, grid, grid)),
        "mcm_key": rng.normal(size=(k, grid, grid)), "mcm_value": rng.normal(size=(c, grid, grid)),
        "attention": attention / attention.sum(axis=1, keepdims=True),
        "mcm_update": rng.normal(size=(c, grid, grid)), "enhanced": rng.normal(size=(c, grid, grid)),
        "refined": picture(), "completed": picture(), "hits": rng.integers(0, 3, (n, m)).astype(float),
    }  # fmt: skip
    for block, side in ((1, 8), (2, 16), (3, 32)):
        for kind in ("gamma", "beta"):
            tensors[f"spade{block}_{kind}"] = rng.normal(size=(4, side, side))
    return tensors


@pytest.fixture
def coordination(network: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Random arrays of the shapes in `tensors.INCO2`."""
    rng = np.random.default_rng(1)
    tensors = {"real": network["image"], "inpainted": network["refined"]}
    tensors |= {key: network[key] for key in ("mask", "labels")}
    for face in ("real", "inpainted"):
        tensors[f"features_{face}"] = rng.normal(size=(5, 4, 4))
        tensors |= {f"{part}_{face}": rng.normal(size=(14, 5)) for part in ("hole", "known")}
        tensors |= {f"{kind}_{face}": rng.normal(size=(14, 14)) for kind in ("intra", "inter")}
    tensors |= {f"{kind}_valid": rng.integers(0, 2, (14, 14)) for kind in ("intra", "inter")}
    return tensors
