"""Numbers in tracked files have as many digits as mean something: the last ones depend on the number of threads."""

from __future__ import annotations

import copy
import json

import numpy as np
import pandas as pd

from replication.drawing.curves import Curves
from replication.reporting.claims.judging import write_claims_csv
from replication.reporting.plot_data import write_plot_data
from replication.reporting.tables.results import paper_tables


def as_other_threads_sum(value):
    """The same numbers with another rounding near the 12th digit."""
    if isinstance(value, dict):
        return {key: as_other_threads_sum(one) for key, one in value.items()}
    return value * (1 + 3e-12) if isinstance(value, float) else value


def with_long_numbers(metrics: dict) -> dict:
    """Numbers that no short decimal holds, as means are, with an interval around each."""
    metrics = copy.deepcopy(metrics)
    for file in metrics.values():
        intervals = {}
        for bucket, values in file.items():
            if bucket == "made_by":
                continue
            file[bucket] = {name: value * 1.0123456789 for name, value in values.items()}
            intervals[bucket] = {name: [value * 0.987654321, value * 1.07] for name, value in file[bucket].items()}
        file["made_by"][0]["intervals"] = intervals
    return metrics


def test_tables_are_the_same_with_another_number_of_threads(metrics):
    metrics = with_long_numbers(metrics)
    others = as_other_threads_sum(metrics) | {}
    for name, file in metrics.items():
        others[name]["made_by"] = file["made_by"]
        others[name]["made_by"] = [as_other_threads_sum(file["made_by"][0])]
    ours, theirs = (paper_tables("showface", one) for one in (metrics, others))
    assert json.dumps(metrics) != json.dumps(others)
    for one, other in zip(ours, theirs, strict=True):
        text = one.to_csv()
        assert text == other.to_csv() and "measured" in text


def test_plots_and_claims_are_too(metrics, tmp_path):
    written = []
    for change in (lambda value: value, as_other_threads_sum):
        folder = tmp_path / str(len(written))
        values = 1 / np.arange(1.0, 601.0) * (1 if not written else 1 + 3e-12)
        steps = np.arange(1, 601)
        history = pd.DataFrame({"step": steps, "images_seen": 8 * steps, "reconstruction": values})
        found = {name: change(file) for name, file in with_long_numbers(metrics).items()}
        write_plot_data([Curves("full", "network", 0, history, {"method": "mdrnet"})], found, folder)
        claims = pd.DataFrame({"id": ["C1", "C2"], "probability": [change(1 / 3), change(2 / 3)]})
        write_claims_csv(claims, folder / "claims.csv")
        written.append({path.name: path.read_text() for path in folder.iterdir()})
    assert written[0] == written[1] and len(written[0]["mdrnet_reconstruction.csv"].splitlines()) > 10
