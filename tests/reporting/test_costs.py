from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from replication.errors import InputError
from replication.reporting.costs import (
    cost_table,
    costs_csv,
    costs_html,
    costs_markdown,
    costs_page,
    load_costs,
    write_costs,
)

RUNS = ["parser", "full", "slots_64"]


def test_records_become_rows_and_missing_values_stay_missing(costs_folder):
    records = load_costs(costs_folder, RUNS)
    assert [(record["run"], record["part"]) for record in records] == [(run, "network") for run in RUNS]
    records[1]["parameters"] = {"generator": 10, "discriminator": 5}
    records[1]["peak_memory_mb"] = None
    costs = cost_table(records).set_index("run")
    assert costs.parameters["full"] == 15
    assert pd.isna(costs.peak_memory_mb["full"])
    assert pd.isna(costs.device["parser"])
    assert "–" in costs_markdown(costs.reset_index())


def test_formats_print_units_totals_and_escape(costs_folder):
    costs = cost_table(load_costs(costs_folder, RUNS))
    assert "1,234,567" in costs_markdown(costs)
    assert "Peak memory (MB)" in costs_markdown(costs)
    assert "3 trainings, 4.5 min altogether." in costs_html(costs)
    assert "a&lt;b&gt;&amp;c" in costs_html(costs)
    assert "a<b>" not in costs_html(costs)
    assert list(pd.read_csv(io.StringIO(costs_csv(costs))).parameters) == [1_234_567] * 3


def test_files_are_written(costs_folder, tmp_path):
    paths = write_costs(cost_table(load_costs(costs_folder, RUNS)), tmp_path / "tables")
    assert [path.name for path in paths] == ["costs.csv", "costs.md", "costs.html"]
    assert all(path.stat().st_size for path in paths)


def test_every_part_and_seed_has_its_row_in_the_order_of_the_runs(costs_folder):
    first = json.loads((costs_folder / "full" / "network" / "seed_0.json").read_text())
    for part, k in (("network", 10), ("network", 2), ("encoder", 0)):
        file = costs_folder / "full" / part / f"seed_{k}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(first | {"seed": k}))
    costs = cost_table(load_costs(costs_folder, ["slots_64", "full"]))
    assert list(zip(costs.run, costs.part, costs.seed, strict=True)) == [
        ("slots_64", "network", 1),
        ("full", "encoder", 0),
        ("full", "network", 1),
        ("full", "network", 2),
        ("full", "network", 10),
    ]


def test_what_needed_no_training_cost_nothing(costs_folder):
    file = costs_folder / "parser" / "network" / "seed_0.json"
    file.write_text(json.dumps({"name": "parser/network/seed_0", "method": "parser", "commit": "abc"}))
    assert [record["run"] for record in load_costs(costs_folder, RUNS)] == ["full", "slots_64"]


def test_the_page_stands_alone_and_leads_back(costs_folder):
    page = costs_page(cost_table(load_costs(costs_folder, RUNS)))
    assert page.startswith("<!DOCTYPE html>") and 'href="../index.html"' in page and "1,234,567" in page
    assert "0 trainings, 0.0 min altogether." in costs_page(cost_table([]))


def test_a_broken_record_is_refused_by_name(costs_folder):
    (costs_folder / "full" / "network" / "seed_0.json").write_text("[]")
    with pytest.raises(InputError, match=r"full.network.seed_0\.json must hold a JSON object"):
        load_costs(costs_folder, RUNS)
