"""The figures stage: which figures are drawn, by whom, and where they go."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from replication import paths
from replication.config import Run
from replication.drawing import style
from replication.drawing.style import read_description
from replication.errors import InputError
from replication.evaluation.protocol import VERSION
from replication.inspection import pair
from replication.papers import load_figures, papers_with_figures
from replication.reporting.figures.comparison import CHOICE
from replication.reporting.placement import Column
from replication.stages import figures as stage
from replication.stages import measured

drawn_words: list[str] = []


@style.styled
def drawn(inside=None, *, subtitle: str = ""):
    """A figure that says what it was given."""
    drawn_words.append(subtitle)
    figure = style.new_figure(2, 1)
    figure.text(0, 0, f"{inside} {subtitle}")
    return figure


@pytest.fixture
def parameters(tmp_path, monkeypatch):
    """A checkout without results, in which a run `full` is measured by a protocol."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "subtitle", lambda parameters, runs: f"runs: {', '.join(runs)}")
    monkeypatch.setattr(stage, "reportable", lambda parameters: {})
    return SimpleNamespace(
        profile="demo",
        measured_runs=lambda: ["full"],
        run_names=lambda: ["full"],
        run=lambda name: Run(dataset="celebahq", protocol="irregular"),
        data_set=lambda name: SimpleNamespace(source="drawn"),
    )


def test_panels_are_drawn_of_one_opened_pair_by_the_function_that_the_system_names(parameters, monkeypatch):
    opened, called = [], []
    inside = SimpleNamespace(title="full, image 7, 40-60%")

    def inspect_pair(parameters, run, *, bucket, pair):
        opened.append((run, bucket, pair))
        return inside

    def function(reference):
        called.append(reference)
        return drawn

    monkeypatch.setattr(pair, "inspect_pair", inspect_pair)
    monkeypatch.setattr(stage, "function", function)
    assert stage.write_figures(parameters, "showface") == [] and opened == []  # `full` was not measured yet
    paths.results("full").mkdir(parents=True)
    (paths.results("full") / "card.json").touch()
    written = stage.write_figures(parameters, "showface")
    # No samples were kept: of ShowFace's figures only those that open the network are drawn.
    panels = [figure.name for figure in load_figures("showface") if figure.kind == "panel"]
    assert [path.as_posix() for path in written] == [f"reports/figures/showface/{name}.png" for name in panels]
    assert opened == [("full", "40-60%", 0)] * 3
    assert [reference.rpartition(":")[2] for reference in called] == panels
    words = read_description(written[0])
    assert words["title"] == "Figure 2. Dataflow of MDRNets"
    assert words["caption"].startswith("Real tensors of the trained network: full, image 7, 40-60%. Feature maps are")
    for path in written:
        assert path.with_suffix(".svg").read_bytes().startswith(b"<?xml")
    assert set(drawn_words) == {"runs: full"}


def test_a_header_names_only_what_its_figure_shows(parameters, monkeypatch):
    """Of the runs that were measured: those in it, and none of the others."""
    record = {"profile": "demo", "dataset": "celebahq", "protocol": {"version": VERSION}}
    found = {name: {"made_by": [record | {"steps": steps}]} for name, steps in (("full", 400), ("pconv", 1000))}
    monkeypatch.setattr(measured, "measured", lambda parameters: found)
    assert "400" in measured.subtitle(parameters, ["full"]) and "pconv" not in measured.subtitle(parameters, ["full"])
    assert "1,000 for pconv" in measured.subtitle(parameters, ["full", "pconv", "absent"])


@pytest.mark.parametrize("paper", papers_with_figures())
def test_every_caption_ends_in_a_full_sentence(paper):
    for planned in load_figures(paper):
        for words in (planned.caption, planned.alt, f"{planned.caption} {CHOICE}"):
            assert re.fullmatch(r"[A-ZO].{20,}[^.\s]\.", words, re.DOTALL), planned.name


def test_a_panel_of_a_run_that_is_not_measured_is_left_out(parameters):
    parameters.measured_runs = lambda: []
    assert stage.write_figures(parameters, "showface") == []
    assert (paths.FIGURES / "showface").is_dir()  # an out of the stage all the same


def test_two_systems_cannot_draw_one_panel(parameters, monkeypatch):
    monkeypatch.setattr(stage, "columns_of", lambda paper, figure: [Column("FFHQ", "", "full", "m:f")] * 2)
    monkeypatch.setattr(stage, "load_figures", lambda paper: [f for f in load_figures(paper) if f.name == "figure2"])
    with pytest.raises(InputError, match="Dataflow of MDRNets: has room for one run, and 2 name it"):
        stage.write_figures(parameters, "showface")


def test_a_paper_without_figures_is_refused(parameters):
    with pytest.raises(InputError, match=r"paper 'exgan' has no figures to be drawn .*\(allowed: showface\)"):
        stage.write_figures(parameters, "exgan")
