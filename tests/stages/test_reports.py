"""Reports of trained and measured runs: tables, figures, plots, costs, the site, and what notebooks show of a run."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from replication import paths
from replication.__main__ import main
from replication.drawing.style import read_description
from replication.errors import InputError
from replication.evaluation.protocol import VERSION
from replication.inspection.pair import inspect_pair, method_panels, tensor_pages
from replication.inspection.stage_panels import completion_panel, metric_spread, training_panel, worst_panel
from replication.papers import load_figures
from replication.stages.claims import write_claims
from replication.stages.costs import write_cost_tables
from replication.stages.figures import write_figures
from replication.stages.plots import write_plots
from replication.stages.site import write_site
from replication.stages.tables import write_tables

METRICS_READERS = {
    "tables": lambda p: write_tables(p, "showface"),
    "figures": lambda p: write_figures(p, "showface"),
    "claims": write_claims,
    "plots": write_plots,
    "site": write_site,
}


def test_tables(own):
    written = write_tables(own.parameters, "showface")
    assert written and all(path.is_file() and path.parent == paths.TABLES / "showface" for path in written)
    assert {path.suffix for path in written} == {".csv", ".md", ".html", ".tex"}
    text = "\n".join(path.read_text(encoding="utf-8") for path in written if path.suffix == ".md")
    for run in ("full", "pconv"):
        psnr = json.loads((paths.METRICS / f"{run}.json").read_text())["20-40%"]["PSNR"]
        assert f"{psnr:.3f}" in text, run
    table = pd.read_csv(paths.TABLES / "showface" / "table2.csv")
    changes = table.query("run == 'no_mrem_no_dmm' and metric == 'PSNR'")
    assert len(changes) == 3 and changes.change.notna().all() and (changes.change_low < changes.change_high).all()
    again = {path: path.read_bytes() for path in written}
    assert {path: path.read_bytes() for path in write_tables(own.parameters, "showface")} == again


@pytest.mark.parametrize("report", METRICS_READERS)
def test_another_version_of_the_protocol_is_refused_by_every_report(own, report):
    file = paths.METRICS / "full.json"
    content = json.loads(file.read_text())
    content["made_by"][0]["protocol"]["version"] = VERSION - 1
    file.write_text(json.dumps(content))
    words = rf"full\.json was measured under version {VERSION - 1} .* run `dvc repro evaluate_mdrnet@full`$"
    with pytest.raises(InputError, match=words):
        METRICS_READERS[report](own.parameters)
    assert not list(paths.REPORTS.glob("*.*"))


def test_figures_and_curves(own):
    """Of figures that compare runs on FFHQ, which nothing was trained on here, CelebA-HQ's half is drawn."""
    figures = write_figures(own.parameters, "showface")
    assert [path.stem for path in figures] == [figure.name for figure in load_figures("showface")]
    assert all(path.is_file() and path.parent == paths.FIGURES / "showface" for path in figures)
    words = {path.stem: read_description(path) for path in figures}
    assert words["figure2"]["title"] == "Figure 2. Dataflow of MDRNets"
    assert words["figure2"]["caption"].startswith("Real tensors of the trained network: full, image ")
    written = write_plots(own.parameters)
    curves = {path.stem for path in written if path.suffix == ".png"}
    assert curves == {"parser", "reconstruction", "attributes", "pconv", "mdrnet"}
    table = pd.read_csv(paths.PLOTS / "mdrnet_generator.csv")
    assert set(table.run) == {"full", "no_mrem_no_dmm", "shared_memory", "shared_memory, seed 1"}
    assert set(pd.read_csv(paths.PLOTS / "PSNR.csv").run) == set(own.measured)


def test_costs_have_a_row_for_every_training(own):
    assert [path.name for path in write_cost_tables(own.parameters)] == ["costs.csv", "costs.md", "costs.html"]
    costs = pd.read_csv(paths.COST_TABLES / "costs.csv")
    assert len(costs) == len(own.reports) == 8 and (costs.run == "shared_memory").sum() == 2
    assert (costs.images_per_s > 0).all()


def test_the_site_joins_them(own):
    p = own.parameters
    write_tables(p, "showface")
    write_figures(p, "showface")
    write_plots(p)
    write_claims(p)
    page = write_site(p)
    assert page == paths.REPORTS / "index.html"
    text = page.read_text(encoding="utf-8")
    assert "Table 4" in text and "Figure 2. Dataflow of MDRNets" in text and '<section id="claims"' in text
    assert f"Runs</b> {len(own.measured)} of {len(p.measured_runs())} measured" in text
    first = page.read_bytes()
    write_cost_tables(p)
    assert write_site(p).read_bytes() == first  # what trainings cost is on a page of its own


# What notebooks and the verb show of trained runs; tests/inspection has what is drawn


@pytest.mark.parametrize("name", ["full", "no_mrem_no_dmm"])
def test_inspection_without_a_notebook_writes_the_same_panels(own, name, tmp_path, capsys):
    out = tmp_path / "panels"
    assert main(["inspect", name, "--bucket", "20-40%", "--pair", "1", "--out", str(out)]) == 0
    inside = inspect_pair(own.parameters, name, bucket="20-40%", pair=1)
    panels = [panel.name for panel in method_panels(inside)] + [f"tensors_{page}" for page in tensor_pages(inside)]
    assert "overview" in panels and ("memory_reads" in panels) == (name == "full")
    assert {path.name for path in out.iterdir()} == {f"{panel}.png" for panel in panels}
    printed = capsys.readouterr().out
    assert f"{name}/network/seed_0" in printed and str(out / "overview.png") in printed
    assert main(["inspect", name, "--pair", "-1"]) == 2
    assert capsys.readouterr().err == "error: pair: must be from 0 to 3 in bucket 40-60%, got -1\n"


def test_stages_show_their_own_results(built):
    for name in ("parser", "reconstruction", "attributes", "full", "pconv"):
        assert training_panel(built.parameters, name).axes
    for name in ("full", "pconv"):
        assert completion_panel(built.parameters, name).axes
        assert metric_spread(name).axes and worst_panel(built.parameters, name).axes


def test_the_numbers_of_all_runs_or_of_some(own, capsys):
    assert main(["metrics"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n{path.stem} " in text for path in paths.METRICS.glob("*.json"))
    run = next(paths.METRICS.glob("*.json")).stem
    assert main(["metrics", run]) == 0 and f"\n{run} " in capsys.readouterr().out
    assert main(["metrics", f"{run}x"]) == 2
    assert f"'{run}x' has no metrics file in reports/metrics; did you mean '{run}'?" in capsys.readouterr().err
