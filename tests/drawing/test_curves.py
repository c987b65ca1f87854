from __future__ import annotations

import numpy as np
import pytest

from replication.drawing import style
from replication.drawing.curves import curve_figures, load_runs, smooth
from replication.errors import InputError


def test_smoothing_keeps_constants_length_and_gaps_out():
    assert smooth(np.full(50, 3.0)) == pytest.approx(np.full(50, 3.0))
    with_gap = np.full(20, 2.0)
    with_gap[5] = np.nan
    assert smooth(with_gap, share=0.2) == pytest.approx(np.full(20, 2.0))
    noise = np.random.default_rng(0).normal(size=200)
    assert smooth(noise).std() < noise.std() / 2
    for count in (1, 2, 3):
        assert len(smooth(np.arange(float(count)))) == count


def test_one_figure_per_method_and_one_line_per_run(models):
    figures = curve_figures(load_runs(models))
    assert set(figures) == {"mdrnet", "bisenet"}
    (axes,) = figures["mdrnet"].axes
    assert axes.get_title(loc="left") == "loss"
    assert axes.get_xlabel() == "images seen"
    assert len(axes.lines) == 4  # raw and smoothed, two runs
    assert [text.get_text() for text in figures["mdrnet"].legends[0].get_texts()] == ["full", "slots_64"]
    assert figures["bisenet"].legends == []  # a single run is named in the title
    assert "parser" in figures["bisenet"].get_suptitle()
    assert style.figure_bytes(figures["mdrnet"]) == style.figure_bytes(curve_figures(load_runs(models))["mdrnet"])


def test_wide_positive_ranges_get_a_logarithmic_axis(models):
    path = models / "parser" / "history.csv"
    rows = "\n".join(f"{i},{8 * i},{10.0 ** -(i / 20)},{0.5 - i}" for i in range(1, 101))
    path.write_text(f"step,images_seen,falling,signed\n{rows}\n")
    axes = curve_figures(load_runs(models))["bisenet"].axes
    assert [a.get_yscale() for a in axes] == ["log", "linear"]


def test_runs_are_in_natural_order_and_columns_without_numbers_are_left_out(models):
    history = "step,loss,empty,word\n1,0.5,,a\n2,0.4,,b\n"
    for name in ("slots_512", "slots_32"):
        (models / name).mkdir()
        (models / name / "history.csv").write_text(history)
    runs = load_runs(models)
    assert list(runs) == ["full", "parser", "slots_32", "slots_64", "slots_512"]
    assert runs["slots_32"].scalars == ["loss"]
    assert curve_figures(runs)["slots_32"].axes[0].get_xlabel() == "steps"


def test_a_history_without_steps_is_refused_by_name(models):
    (models / "full" / "history.csv").write_text("loss\n1\n")
    with pytest.raises(InputError, match=r"full.history\.csv"):
        load_runs(models)
