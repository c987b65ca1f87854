"""Reports that git has are never written anew from less than they were made of; runs that are gone are `not run`."""

from __future__ import annotations

import copy
import inspect
import shutil
from pathlib import Path

import pandas as pd
import pytest

from replication import paths, verbs
from replication.__main__ import main
from replication.command_line import parser
from replication.config import parameters_of
from replication.errors import InputError
from replication.papers import load_figures
from replication.reporting.claims.judging import read_claims_csv
from replication.stages.claims import write_claims
from replication.stages.figures import write_figures
from replication.stages.plots import CURVES, write_plots
from replication.stages.site import write_site
from replication.stages.tables import write_tables

REPORTS = ("tables", "figures", "claims", "plots")
"""Verbs that write files which git has, from what the pipeline made."""
OTHERS = {
    "code": "data/code, which git does not have",
    "compare-losses": "nothing",
    "costs": "reports/costs, which git does not have",
    "data": "data, which git does not have",
    "diff": "files that the user names",
    "doctor": "nothing",
    "download": "data, which git does not have",
    "evaluate": "reports/metrics, after the run was measured",
    "execute": "what its notebook writes, by the functions of these verbs",
    "inspect": "inspected, which git does not have",
    "masks": "data, which git does not have",
    "metrics": "nothing",
    "part": "data, which git does not have",
    "pipeline": "what follows from the declarations alone",
    "profile": "params.yaml; an edited one is kept",
    "provenance": "nothing",
    "site": "reports/index.html, which git does not have",
    "sources": "nothing",
    "sources-changed": "nothing",
    "train": "data, which git does not have",
}
"""All other verbs, and what they write."""


def reports() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in sorted(paths.REPORTS.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def _reported_once(_once, tmp_path_factory) -> Path:
    folder = shutil.copytree(_once.folder, tmp_path_factory.mktemp("reported") / "checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for verb in REPORTS:
            assert main([verb]) == 0
    return folder


@pytest.fixture
def reported(_reported_once, one_thread, tmp_path, monkeypatch):
    """A checkout in which every report was written."""
    monkeypatch.chdir(shutil.copytree(_reported_once, tmp_path / "checkout"))


def test_every_verb_was_looked_at():
    (choices,) = [action.choices for action in parser()._actions if action.dest == "verb"]
    assert {*REPORTS, *OTHERS} == set(choices) and all(inspect.getdoc(getattr(verbs, verb)) for verb in REPORTS)


@pytest.mark.parametrize("verb", REPORTS)
def test_a_clone_without_data_keeps_its_reports(reported, verb, capsys):
    """git has metrics and reports; results and weights are in DVC's cache, which a clone does not have."""
    before = reports()
    shutil.rmtree("data")
    capsys.readouterr()
    assert main([verb]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and "run `dvc repro`" in error
    assert reports() == before


@pytest.mark.parametrize("verb", REPORTS)
def test_a_profile_of_which_nothing_was_made_keeps_the_reports_of_another(reported, verb, capsys):
    shutil.rmtree("data")
    shutil.rmtree(paths.METRICS)
    before = reports()
    assert main([verb]) == 2 and "here" in capsys.readouterr().err
    assert reports() == before


@pytest.mark.parametrize("verb", ["tables", "claims", "plots"])
def test_one_run_that_is_missing_is_named(reported, verb, capsys):
    (paths.METRICS / "no_mrem_no_dmm.json").unlink()
    for folder in (paths.RESULTS, paths.MODELS):
        shutil.rmtree(folder / "no_mrem_no_dmm")
    before = reports()
    assert main([verb]) == 2
    assert "no_mrem_no_dmm, of which there is no result here: run `dvc repro`, take such" in capsys.readouterr().err
    assert reports() == before
    target = {"tables": paths.TABLES / "showface", "claims": paths.CLAIMS, "plots": paths.PLOTS}[verb]
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert main([verb]) == 0 and target.exists()  # what there is


def test_a_figure_whose_run_is_missing_stays(reported, capsys):
    (paths.METRICS / "full.json").unlink()
    shutil.rmtree(paths.RESULTS / "full")
    before = reports()
    assert main(["figures"]) == 2
    assert "figure1.png reports full, full_ffhq, of which there is no result here" in capsys.readouterr().err
    assert reports() == before


def test_reports_of_a_composition_without_full_say_not_run(own, capsys):
    """The profile `smoke` without the run that most tables, figures and claims compare with."""
    content = copy.deepcopy(own.content)
    content["runs"]["mdrnet"].pop("full")
    with pytest.raises(InputError, match=r"^inspected: 'full' is no run that completes faces"):
        parameters_of(content)
    content["inspected"] = []
    p = parameters_of(content)
    write_tables(p, "showface")
    table = pd.read_csv(paths.TABLES / "showface" / "table2.csv").query("metric == 'PSNR'").set_index("method")
    assert table.loc["Full"].measured.isna().all() and table.loc["w/o MREM + w/o DMM"].measured.notna().all()
    assert "not run" in Path(paths.TABLES / "showface" / "table2.md").read_text()
    capsys.readouterr()
    drawn = [path.stem for path in write_figures(p, "showface")]
    assert "figure6" in drawn and not {"figure2", "figure3", "figure4"} & set(drawn)
    told = capsys.readouterr().out.splitlines()
    titles = {figure.title for figure in load_figures("showface") if figure.name not in drawn}
    assert {line.partition(": not run (")[0] for line in told} == titles
    write_claims(p)
    claims = read_claims_csv(paths.CLAIMS).set_index("id")
    assert claims.loc["C12"].verdict == "not run" and "run full was not measured" in claims.loc["C12"].measured_evidence
    write_plots(p)
    assert {path.stem for path in CURVES.iterdir()} >= {"mdrnet", "pconv"}
    page = write_site(p).read_text(encoding="utf-8")
    assert 'id="run-full"' not in page and "not run" in page and "Dataflow of MDRNets" not in page
