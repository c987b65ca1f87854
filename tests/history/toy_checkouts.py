"""A git repository with invented results: images that differ much, networks that differ little."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from replication.evaluation.frechet import frechet_distance
from replication.evaluation.metrics import METRICS
from replication.evaluation.sample import Sample
from replication.evaluation.uncertainty import interval

BUCKETS = ("1-20%", "40-60%")
REPORTED = ("L1_percent", "FD", "PSNR", "SSIM")
IMAGES = 60
PARAMETERS = {"profile": "toy", "methods": {"toy": {"slots": 128}}, "evaluation": {"features": "look"}}


class Checkout:
    """A checkout at `root` with a repository in it; `evaluate` does what a stage does to its outputs."""

    def __init__(self, root: Path, *, new: bool = True) -> None:
        self.root = root
        if not new:
            return
        root.mkdir(exist_ok=True)
        self.git("init", "-q")
        (root / ".gitignore").write_text("/data/\n")
        self.write("params.yaml", PARAMETERS)
        self.lock({"data/prepared/celebahq": "0" * 32})

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        run = subprocess.run(["git", *identity, *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    def commit(self, message: str = "results") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        (self.root / name).write_text(yaml.safe_dump(dict(content)))

    def lock(self, outs: Mapping[str, str], **stages: Mapping[str, Any]) -> None:
        """Write dvc.lock. outs: hashes of outputs. stages: the parameters that further stages were run with."""
        entries = [{"path": path, "hash": "md5", "md5": digest} for path, digest in outs.items()]
        ran = {name: {"cmd": "true", "params": {"params.yaml": dict(params)}} for name, params in stages.items()}
        self.write("dvc.lock", {"schema": "2.0", "stages": {"all": {"cmd": "true", "outs": entries}, **ran}})

    def metrics(self, run: str) -> Path:
        return self.root / "reports/metrics" / f"{run}.json"

    def edit(self, run: str, change) -> None:
        """Rewrite a metrics file: `change(content, record)` alters both in place."""
        content = json.loads(self.metrics(run).read_text())
        change(content, content["made_by"][0])
        self.metrics(run).write_text(json.dumps(content))

    def evaluate(
        self,
        run: str,
        training: int,
        *,
        better: float = 0.0,
        pairs: int = 0,
        images: int = IMAGES,
        seeds: int = 1,
        intervals: bool = True,
    ) -> None:
        """Results of network number `training`, whose PSNR lies `better` dB above that of another."""
        folders = []
        for seed in range(seeds):
            folder = self.root / "data/results" / run
            folder = folder / f"seed_{seed}"
            _write_results(folder, run, 1000 * training + seed, better, pairs, images)
            folders.append(folder)
        cards = [json.loads((folder / "card.json").read_text())["metrics"] for folder in folders]
        record = cards[0]["made_by"][0] | {"seeds": list(range(seeds))}
        content: dict[str, Any] = {
            bucket: {name: round(float(np.mean([card[bucket][name] for card in cards])), 6) for name in REPORTED}
            for bucket in BUCKETS
        }
        if intervals:
            record["intervals"] = {}
            for bucket in BUCKETS:
                found = {name: interval(Sample.open(folders, bucket), name) for name in REPORTED}
                record["intervals"][bucket] = {name: [i.low, i.high] for name, i in found.items()}
        self.metrics(run).parent.mkdir(parents=True, exist_ok=True)
        self.metrics(run).write_text(json.dumps(content | {"made_by": [record]}))


def _write_results(folder: Path, run: str, training: int, better: float, pairs: int, images: int) -> None:
    features, tables, metrics = {}, [], {}
    test_set = np.random.default_rng(pairs)
    real = test_set.normal(size=(images, 4)).astype(np.float32)
    network = np.random.default_rng([training, 7])
    for bucket in BUCKETS:
        difficulty = test_set.normal(size=images)
        psnr = 25 + better + 4 * difficulty + 0.15 * network.normal(size=images)
        table = pd.DataFrame(
            {
                "bucket": bucket,
                "image_row": np.arange(images),
                "image_id": [f"{row}.png" for row in range(images)],
                "mask_row": np.arange(images),
                "ratio": 0.1,
                "L1_percent": 40 * 10 ** (-psnr / 20),
                "PSNR": psnr,
                "SSIM": 1 - 10 ** (-psnr / 25),
            }
        )
        features[bucket] = (real + (0.5 - better) * (1 + network.normal(size=real.shape))).astype(np.float32)
        metrics[bucket] = {name: float(table[name].mean()) for name in ("L1_percent", "PSNR", "SSIM")}
        metrics[bucket]["FD"] = frechet_distance(features[bucket], real)
        tables.append(table)
    words = {name: {"label": METRICS[name].label, "better": METRICS[name].better} for name in REPORTED}
    record = {
        "profile": "toy",
        "code": f"c0de{training}",
        "image_size": 64,
        "dataset": "celebahq",
        "features": "FD (toy)",
        "weights_sha256": f"weights {training}",
        "protocol": {"version": 2, "images_per_bucket": dict.fromkeys(BUCKETS, images), "metrics": words},
    }
    card = {
        "experiment": run,
        "run": run,
        "dataset": "celebahq",
        "pairs_sha256": f"pairs {pairs}",
        "samples": dict.fromkeys(BUCKETS, 0),
        "metrics": metrics | {"made_by": [record]},
    }
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_parquet(folder / "per_image.parquet", index=False)
    np.savez(folder / "features.npz", **features, real=real, real_image_row=np.arange(images))
    np.savez(folder / "samples.npz", **{bucket: np.zeros((0, 8, 8, 3), np.uint8) for bucket in BUCKETS})
    (folder / "card.json").write_text(json.dumps(card))
