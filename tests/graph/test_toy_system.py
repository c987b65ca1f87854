"""A system arrives as one folder: from training to the table, the figure, the inspection and the cost table."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import replication

ROOT = Path(replication.__file__).parents[1]
TOY = Path(__file__).parent / "toy"
COPIED = ("replication", "notebooks", ".dvc/plots")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout with the toy's folder in it, the profile `smoke` with fewer images, everything run."""
    root = tmp_path_factory.mktemp("toy_checkout")
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = {path: path.read_bytes() for path in (root / "replication").rglob("*") if path.is_file()}
    shutil.copytree(TOY, root / "replication" / "methods" / "toy", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "replication", *words],
            capture_output=True,
            text=True,
            cwd=root,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
        return done.stdout

    run("profile", "smoke")
    run("pipeline")
    run("code")
    for dataset in ("celebahq", "ffhq", "attributes"):
        run("data", dataset)
    run("masks")
    run("train", "attributes")
    run("train", "toy")
    for dataset_free in ("evaluate", "inspect"):
        run(dataset_free, "toy")
    for verb in ("tables", "figures", "claims", "costs", "plots", "site"):
        run(verb)
    yield root, run
    after = {path: path.read_bytes() for path in before if path.suffix != ".json"}
    assert all(after[path] == before[path] for path in after), "a file outside the toy's folder was touched"


def stages(root: Path) -> dict:
    return yaml.safe_load((root / "dvc.yaml").read_text())["stages"]


@pytest.mark.slow
def test_the_pipeline_has_its_stages(checkout):
    root, _ = checkout
    found = stages(root)
    assert found["train_toy"]["foreach"] == "${runs.toy}" and "evaluate_toy" in found
    assert "data/code/train_toy.json" in found["train_toy"]["do"]["deps"]
    listed = json.loads((root / "data/code/train_toy.json").read_text())
    assert "replication/methods/toy/network.py" in listed and "replication/layers/pasting.py" in listed
    assert "data/models/${key}/mean" in found["train_toy"]["do"]["deps"]
    assert found["train_toy_mean"]["do"]["params"][1] == "methods.toy.schedule"
    assert "replication/methods/toy/panels.py" in json.loads((root / "data/code/inspect.json").read_text())
    others = {name: stage for name, stage in found.items() if "toy" not in name}
    assert not [name for name, stage in others.items() if "toy" in json.dumps(stage)]


@pytest.mark.slow
def test_both_parts_are_trained_in_their_order(checkout):
    root, _ = checkout
    cards = {
        part: json.loads((root / f"data/models/toy/{part}/seed_0/card.json").read_text())
        for part in ("mean", "network")
    }
    assert cards["network"]["config"]["inputs"]["mean"] == cards["mean"]["weights_sha256"]
    assert list(cards["mean"]["config"]["settings"]) == ["schedule"]


@pytest.mark.slow
def test_it_is_measured_and_stands_in_the_table(checkout):
    root, _ = checkout
    metrics = json.loads((root / "reports/metrics/toy.json").read_text())
    assert metrics["made_by"][0]["method"] == "toy"
    table = pd.read_csv(next((root / "reports/tables").rglob("*table1.csv")))
    row = table[(table.method == "Toy") & (table.mask_ratio == "20-40%") & (table.metric == "PSNR")].iloc[0]
    assert row.measured == pytest.approx(metrics["20-40%"]["PSNR"]) and pd.isna(row.paper)


@pytest.mark.slow
def test_it_has_a_column_in_the_figure_panels_and_a_line_in_the_costs(checkout):
    root, _ = checkout
    assert next((root / "reports/figures").rglob("figure5.png")).stat().st_size > 10_000
    assert {"noise.png"} < {path.name for path in (root / "inspected/toy").iterdir()}
    with (root / "reports/costs/costs.csv").open(newline="") as file:
        assert [row["part"] for row in csv.DictReader(file) if row["run"] == "toy"] == ["mean", "network"]
    curves = pd.read_csv(root / "reports/plots/toy_loss.csv")
    assert set(curves["run"]) == {"toy"}
    assert "Toy" in (root / "reports/index.html").read_text()


@pytest.mark.slow
def test_a_stale_dvc_yaml_is_refused_with_the_difference(checkout):
    root, run = checkout
    run("pipeline", "--check")
    file = root / "dvc.yaml"
    text = file.read_text()
    file.write_text(text.replace("runs.toy", "runs.tog"))
    with pytest.raises(AssertionError, match=r"`python -m replication pipeline` writes it"):
        run("pipeline", "--check")
    file.write_text(text)
