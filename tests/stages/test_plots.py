"""The stage of curves and plots, on two invented trainings."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest

from replication import paths
from replication.drawing.style import read_description
from replication.stages.costs import write_cost_tables
from replication.stages.plots import write_plots

RUNS = ("mine", "full")
PARTS = SimpleNamespace(run_parts=[SimpleNamespace(name="encoder"), SimpleNamespace(name="network")])
PARAMETERS = SimpleNamespace(
    profile="demo",
    run_names=lambda: [*RUNS, "absent"],
    measured_runs=lambda: [],
    method_of=lambda run: PARTS,
    seeds_of=lambda run: 1,
)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run, parts in (("mine", ("network", "encoder")), ("full", ("network",)), ("gone", ("network",))):
        for part in parts:
            name = paths.training(run, part)
            history = pd.DataFrame({"step": [1, 2], "images_seen": [8, 16], "generator": [1.0, 0.5]})
            paths.model(name).mkdir(parents=True)
            history.to_csv(paths.model(name) / "history.csv", index=False)
            (paths.model(name) / "card.json").write_text(json.dumps({"method": "mdrnet"}))
            cost = paths.COSTS / f"{name}.json"
            cost.parent.mkdir(parents=True)
            cost.write_text(json.dumps({"name": name, "method": "mdrnet", "seconds": 3.0}))
            again = cost.with_name("seed_1.json")  # of an earlier run with more seeds
            again.write_text(json.dumps({"name": paths.training(run, part, 1), "method": "mdrnet", "seconds": 3.0}))


def test_an_added_run_is_in_plots_and_curves_and_one_that_left_is_not(checkout):
    written = [path.as_posix() for path in write_plots(PARAMETERS)]
    table = pd.read_csv(paths.PLOTS / "mdrnet_generator.csv")
    assert list(dict.fromkeys(table.run)) == list(RUNS)  # in the order of the parameters
    assert written[-2:] == ["reports/figures/curves/mdrnet_encoder.png", "reports/figures/curves/mdrnet.png"]
    assert read_description(paths.FIGURES / "curves" / "mdrnet.png")["title"] == "Training curves: MDRNets"
    words = read_description(paths.FIGURES / "curves" / "mdrnet.png")
    assert re.fullmatch(r"[A-Z].{20,}[a-z]\.", words["caption"]) and words["alt"].endswith(".")
    assert (paths.FIGURES / "curves" / "mdrnet.svg").read_bytes().startswith(b"<?xml")
    assert pd.read_csv(paths.PLOTS / "PSNR.csv").empty  # nothing was measured yet


def test_an_added_run_is_in_the_cost_table(checkout):
    assert [path.name for path in write_cost_tables(PARAMETERS)] == ["costs.csv", "costs.md", "costs.html"]
    costs = pd.read_csv(paths.COST_TABLES / "costs.csv")
    assert list(zip(costs.run, costs.part, strict=True)) == [
        ("mine", "encoder"), ("mine", "network"), ("full", "network"),
    ]  # fmt: skip
