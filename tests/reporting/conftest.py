"""Small invented results: metrics files and costs of trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replication.papers import load_tables
from replication.reporting.placement import rows_of

BUCKETS = {"1-20%": 0.1, "20-40%": 0.3, "40-60%": 0.5}
PRINTED = {(n, d, m) for n, t in load_tables("showface").items() for d, m in zip(t.dataset, t.method, strict=True)}
RUNS = sorted({run for row, run in rows_of("showface").items() if row in PRINTED})


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
        "image_size": 64, "images_per_bucket": 200, "training_images": 2000, "steps": 800,
        "seed": 1, "seeds": [1, 2, 3],
        "features": "FD (drawn-face attributes)", "code": "0123456789ab",
        "method": "pconv" if name.startswith("pconv") else "mdrnet", "pairs": dataset * 5,
    }  # fmt: skip
    return {**file, "made_by": [record | changes]}


@pytest.fixture
def file_of():
    """The function `metrics_file`."""
    return metrics_file


@pytest.fixture
def metrics() -> dict[str, dict]:
    """Every run but slots_512; each a little worse than the one before."""
    names = [name for name in RUNS if name != "slots_512"]
    return {name: metrics_file(name, quality=1 + 0.05 * i) for i, name in enumerate(names)}


@pytest.fixture
def metrics_folder(tmp_path: Path, metrics: dict[str, dict]) -> Path:
    folder = tmp_path / "metrics"
    folder.mkdir()
    for name, file in metrics.items():
        (folder / f"{name}.json").write_text(json.dumps(file))
    return folder


@pytest.fixture
def costs_folder(tmp_path: Path) -> Path:
    """Records of trainings as data/costs has them: two runs of MDRNets and the parser."""
    for name, method in (("full", "mdrnet"), ("slots_64", "mdrnet"), ("parser", "parser")):
        file = tmp_path / "costs" / name / "network" / "seed_0.json"
        file.parent.mkdir(parents=True)
        record = {
            "name": f"{name}/network/seed_0", "method": method, "dataset": "celebahq", "parameters": 1_234_567,
            "steps": 40, "images_seen": 320, "seconds": 90.0, "images_per_s": 3.55, "peak_memory_mb": 512, "seed": 1,
            "commit": "a<b>&c",
        }  # fmt: skip
        file.write_text(json.dumps(record))
    return tmp_path / "costs"
