from __future__ import annotations

import io

import pandas as pd
import pytest

from replication.errors import InputError
from replication.reporting.costs import (
    cost_table,
    costs_csv,
    costs_html,
    costs_markdown,
    load_costs,
    write_costs,
)


def test_cards_become_rows_and_missing_values_stay_missing(costs_folder):
    cards = load_costs(costs_folder)
    assert list(cards) == ["full", "parser", "slots_64"]
    cards["full"]["parameters"] = {"generator": 10, "discriminator": 5}
    cards["full"]["seconds"] = None
    costs = cost_table(cards).set_index("name")
    assert costs.parameters["full"] == 15
    assert pd.isna(costs.seconds["full"])
    assert pd.isna(costs.device["parser"])
    assert "–" in costs_markdown(costs.reset_index())


def test_formats_print_units_totals_and_escape(costs_folder):
    costs = cost_table(load_costs(costs_folder))
    assert "1,234,567" in costs_markdown(costs)
    assert "Peak memory (MB)" in costs_markdown(costs)
    assert "3 trained networks, 4.5 min of training altogether." in costs_html(costs)
    assert "a&lt;b&gt;&amp;c" in costs_html(costs)
    assert "a<b>" not in costs_html(costs)
    assert list(pd.read_csv(io.StringIO(costs_csv(costs))).parameters) == [1_234_567] * 3


def test_files_are_written(costs_folder, tmp_path):
    paths = write_costs(cost_table(load_costs(costs_folder)), tmp_path / "tables")
    assert [path.name for path in paths] == ["costs.csv", "costs.md", "costs.html"]
    assert all(path.stat().st_size for path in paths)


def test_further_seeds_are_named_and_names_can_be_chosen(costs_folder):
    (costs_folder / "full" / "seed_1.json").write_text((costs_folder / "full" / "seed_0.json").read_text())
    assert list(load_costs(costs_folder)) == ["full", "full, seed 1", "parser", "slots_64"]
    assert list(load_costs(costs_folder, {"full"})) == ["full", "full, seed 1"]


def test_a_broken_card_is_refused_by_name(costs_folder):
    (costs_folder / "full" / "seed_0.json").write_text("[]")
    with pytest.raises(InputError, match=r"full.seed_0\.json"):
        load_costs(costs_folder)
