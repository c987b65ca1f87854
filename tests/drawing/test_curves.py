from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from replication.drawing import style
from replication.drawing.curves import Curves, curve_figures, load_curves, made_of, smooth
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


RUNS = {"full", "slots_64", "parser"}
MDRNET, PARSER = ("mdrnet", "network"), ("parser", "network")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two runs of one system and one of another with a history each, and a folder that is not a training."""
    for i, (name, method) in enumerate((("full", "mdrnet"), ("slots_64", "mdrnet"), ("parser", "parser"))):
        folder = tmp_path / "models" / name / "network" / "seed_0"
        folder.mkdir(parents=True)
        steps = np.arange(1, 41)
        history = pd.DataFrame({"step": steps, "images_seen": 8 * steps, "seconds": steps / 10})
        history["loss"] = np.exp(-steps / 10) + 0.01 * i
        history.to_csv(folder / "history.csv", index=False)
        (folder / "card.json").write_text(json.dumps({"name": name, "method": method}))
    (tmp_path / "models" / "unfinished" / "network").mkdir(parents=True)
    return tmp_path / "models"


def words(figure) -> list[str]:
    """The lines above the panels."""
    return [text.get_text() for text in figure.texts]


def test_one_figure_per_method_and_one_line_per_run(models):
    figures = curve_figures(load_curves(models, RUNS), titles={"mdrnet": "MDRNets"})
    assert set(figures) == {MDRNET, PARSER}
    (axes,) = figures[MDRNET].axes
    assert words(figures[MDRNET]) == ["Training of MDRNets", ""]
    assert axes.get_title(loc="left") == "loss"
    assert axes.get_xlabel() == "images seen"
    assert len(axes.lines) == 4  # raw and smoothed, two runs
    assert [text.get_text() for text in figures[MDRNET].legends[0].get_texts()] == ["full", "slots_64"]
    assert figures[PARSER].legends == []  # a single run is named in the title
    assert words(figures[PARSER])[0] == "Training of parser: parser"
    assert style.figure_bytes(figures[MDRNET]) == style.figure_bytes(
        curve_figures(load_curves(models, RUNS), titles={"mdrnet": "MDRNets"})[MDRNET]
    )


def test_wide_positive_ranges_get_a_logarithmic_axis(models):
    path = models / "parser" / "network" / "seed_0" / "history.csv"
    rows = "\n".join(f"{i},{8 * i},{10.0 ** -(i / 20)},{0.5 - i}" for i in range(1, 101))
    path.write_text(f"step,images_seen,falling,signed\n{rows}\n")
    axes = curve_figures(load_curves(models, RUNS))[PARSER].axes
    assert [a.get_yscale() for a in axes] == ["log", "linear"]


def test_runs_are_in_natural_order_and_columns_without_numbers_are_left_out(models):
    history = "step,loss,empty,word\n1,0.5,,a\n2,0.4,,b\n"
    for name in ("slots_512", "slots_32"):
        folder = models / name / "network" / "seed_0"
        folder.mkdir(parents=True)
        (folder / "history.csv").write_text(history)
    curves = load_curves(models, RUNS | {"slots_512", "slots_32"})
    assert [one.name for one in curves] == ["full", "parser", "slots_32", "slots_64", "slots_512"]
    assert curves[2].scalars == ["loss"]
    assert curve_figures(curves)["slots_32", "network"].axes[0].get_xlabel() == "steps"


def test_parts_have_a_figure_each_and_seeds_a_line_each(models):
    source = models / "full" / "network" / "seed_0"
    for part, k in (("network", 1), ("encoder", 0)):
        shutil.copytree(source, models / "full" / part / f"seed_{k}")
    curves = load_curves(models, {"full"})  # slots_64 left the parameters
    assert [(one.name, one.part) for one in curves] == [
        ("full", "encoder"), ("full", "network"), ("full, seed 1", "network"),
    ]  # fmt: skip
    figures = curve_figures(curves)
    assert words(figures["mdrnet", "encoder"])[0] == "Training of mdrnet, encoder: full"
    assert [text.get_text() for text in figures[MDRNET].legends[0].get_texts()] == ["full", "full, seed 1"]


def test_a_history_without_steps_is_refused_by_name(models):
    (models / "full" / "network" / "seed_0" / "history.csv").write_text("loss\n1\n")
    with pytest.raises(InputError, match=r"full.network.seed_0.history\.csv"):
        load_curves(models, RUNS)


def curve(run: str, card: dict | None = None, **columns) -> Curves:
    steps = np.arange(1, 101)
    return Curves(run, "network", 0, pd.DataFrame({"step": steps, "images_seen": 8 * steps, **columns}), card or {})


def test_what_was_trained_stands_below_the_title():
    card = {"dataset_title": "drawn faces", "training_images": 3000, "steps": 400, "seed": 0}
    runs = [curve("a", card), curve("b", card | {"steps": 1000, "seed": 1}), curve("c", card)]
    made = "data set: drawn faces; training images: 3,000; steps: 400; 1,000 for b; seeds: 0, 1"
    assert made_of(runs) == made
    (joined,) = curve_figures(
        [replace(one, history=one.history.assign(loss=1.0), card=one.card | {"method": "m"}) for one in runs],
        profile="demo",
    ).values()
    assert words(joined)[1].replace("\n", " ") == f"profile: demo; {made}"


def test_a_learning_rate_is_drawn_as_it_is_and_a_loss_smoothed():
    rate = np.where(np.arange(100) < 50, 0.002, 0.0001)
    noise = np.random.default_rng(0).normal(size=100)
    (figure,) = curve_figures([curve("a", lr=rate, encoder_learning_rate=rate, loss=noise)]).values()
    first, second, loss = figure.axes
    for axes in (first, second):
        (line,) = axes.lines
        assert np.array_equal(line.get_ydata(), rate)
    assert len(loss.lines) == 2 and loss.lines[1].get_ydata().std() < noise.std() / 2


def test_every_axis_says_what_it_measures():
    columns = {name: np.linspace(1, 2, 100) for name in ("loss", "memory_entropy", "accuracy", "lr")}
    (figure,) = curve_figures([curve("a", **columns)]).values()
    assert [axes.get_ylabel() for axes in figure.axes] == ["no unit", "nats", "share, 0 to 1", "learning rate"]
    assert all(axes.get_xlabel() == "images seen" for axes in figure.axes)


def test_runs_can_be_told_apart_without_colours():
    runs = [curve(f"run_{i}", {"method": "m"}, loss=np.linspace(2, 1, 100) + i) for i in range(24)]
    (figure,) = curve_figures(runs).values()
    (axes,) = figure.axes
    assert len(axes.lines) == 24  # the raw values of so many would hide the lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in axes.lines}) == 24
    starts = [line.get_markevery()[0] for line in axes.lines[:12]]
    assert len(set(starts)) > 6  # markers of lines that coincide stand beside each other
    assert len({(line.get_linestyle(), line.get_marker()) for line in figure.legends[0].get_lines()}) == 24
