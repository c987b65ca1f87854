from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from replication.drawing.curves import Curves
from replication.graph.plots import TEMPLATE, plot_definitions
from replication.methods.registry import methods
from replication.reporting.plot_data import POINTS, write_plot_data

ROOT = Path(__file__).parents[2]


@pytest.fixture
def curves():
    steps = pd.DataFrame({"step": range(1, 601)})
    history = steps.assign(images_seen=8 * steps.step, reconstruction=1 / steps.step, discriminator=2.0)
    return [
        Curves("slots_32", "network", 0, history.head(300), {"method": "mdrnet"}),
        Curves("full", "network", 0, history, {"method": "mdrnet"}),
        Curves("full", "network", 1, history, {"method": "mdrnet"}),
        Curves("parser", "network", 0, history, {"method": "parser"}),
    ]


def test_curves_are_thinned_to_means_and_keep_the_end(curves, tmp_path):
    write_plot_data(curves, {}, tmp_path)
    table = pd.read_csv(tmp_path / "mdrnet_reconstruction.csv")
    assert list(table) == ["run", "images_seen", "value"]
    assert list(table.run.unique()) == ["slots_32", "full", "full, seed 1"]  # as given, so that a legend is
    full = table[table.run == "full"]
    assert len(full) == POINTS and full.images_seen.iloc[-1] == 4800 and full.images_seen.is_monotonic_increasing
    assert full.value.iloc[0] == pytest.approx(sum(1 / step for step in range(1, 11)) / 10, rel=1e-5)
    assert set(pd.read_csv(tmp_path / "mdrnet_discriminator.csv").value) == {2.0}


def test_metrics_by_size_of_the_hole(file_of, tmp_path):
    regions = {"mouth": {"PSNR": 1.0}, "made_by": [{}]}
    metrics = {"full": file_of("full"), "pconv": file_of("pconv", quality=2), "faces": regions}
    write_plot_data([], metrics, tmp_path)
    table = pd.read_csv(tmp_path / "PSNR.csv")
    assert list(table) == ["run", "hole_percent", "value"]
    assert list(zip(table.run, table.hole_percent, strict=True)) == [
        (run, percent) for run in ("full", "pconv") for percent in (10, 30, 50)
    ]
    assert table.value.iloc[0] == 37.0
    assert len(pd.read_csv(tmp_path / "frechet.csv")) == 6 and not list(tmp_path.glob("F*.csv"))


def test_fd_and_fid_share_no_axis(file_of, tmp_path):
    write_plot_data([], {"full": file_of("full"), "pconv": file_of("pconv", frechet="FID")}, tmp_path)
    assert pd.read_csv(tmp_path / "frechet.csv").empty
    assert set(pd.read_csv(tmp_path / "FD.csv").run) == {"full"}
    assert set(pd.read_csv(tmp_path / "FID.csv").run) == {"pconv"}


def test_dvc_yaml_names_every_file_and_no_run(curves, file_of, tmp_path):
    named = [file for plot in plot_definitions() for one in plot.values() for file in one["y"]]
    for given in ((curves, {"mine": file_of("mine")}), ([], {})):
        written = write_plot_data(*given, tmp_path)
        assert [f"reports/plots/{path.name}" for path in written] == named  # empty ones too: dvc misses no file
    scalars = [f"reports/plots/{name}_{scalar}.csv" for name, one in methods().items() for scalar in one.curves]
    assert named[: len(scalars)] == scalars and "reports/plots/frechet.csv" in named
    assert "full" not in json.dumps(plot_definitions())


def test_the_template_draws_the_columns_by_run_and_revision():
    template = json.loads((ROOT / ".dvc" / "plots" / f"{TEMPLATE}.json").read_text())
    encoding = template["encoding"]
    assert template["data"] == {"values": "<DVC_METRIC_DATA>"}
    assert (encoding["x"]["field"], encoding["y"]["field"]) == ("<DVC_METRIC_X>", "<DVC_METRIC_Y>")
    assert (encoding["color"]["field"], encoding["strokeDash"]["field"]) == ("run", "rev")


def test_dvc_fills_the_template_with_every_run(curves, file_of, tmp_path):
    """As `dvc plots show` does it, with the properties that dvc.yaml has."""
    vega = pytest.importorskip("dvc_render.vega")
    write_plot_data(curves, {"mine": file_of("mine")}, tmp_path)
    (definition,) = (one for plot in plot_definitions() for t, one in plot.items() if t == "PSNR by size of the hole")
    rows = pd.read_csv(tmp_path / "PSNR.csv").assign(rev="workspace").to_dict("records")
    renderer = vega.VegaRenderer(
        rows, "plot", **definition | {"y": "value", "title": "PSNR", "template_dir": str(ROOT / ".dvc" / "plots")}
    )
    filled = renderer.get_filled_template()
    assert {row["run"] for row in filled["data"]["values"]} == {"mine"}
    assert filled["encoding"]["x"]["field"] == "hole_percent" and filled["encoding"]["y"]["title"] == "PSNR (dB)"
    assert "<DVC" not in json.dumps(filled)


@pytest.fixture
def shown(curves, file_of, tmp_path):
    """The page that `dvc plots show` writes with the template that .dvc/config names."""
    vega, html = pytest.importorskip("dvc_render.vega"), pytest.importorskip("dvc_render.html")
    write_plot_data(curves, {"mine": file_of("mine"), "<b>": file_of("<b>", quality=2)}, tmp_path)
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    renderers = []
    for definition in plot_definitions():
        ((title, one),) = definition.items()
        (file,) = one["y"]
        table = pd.read_csv(tmp_path / Path(file).name, dtype=str, keep_default_na=False)
        rows = [row | {"rev": rev} for rev in ("HEAD", "workspace") for row in table.to_dict("records")]
        more = {"y": "value", "title": title, "template_dir": str(ROOT / ".dvc" / "plots")}
        renderers.append(vega.VegaRenderer(rows, title, **one | more))
    page = ROOT / ".dvc" / config["plots"]["html_template"]
    return Path(html.render_html(renderers, tmp_path / "shown" / "index.html", html_template=page))


def test_dvcs_page_fetches_nothing(shown):
    page = shown.read_text()
    assert not re.search(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)\s*=", page) and "@import" not in page
    assert re.findall(r"https?://[^\"'\s]+", page.replace("https://vega.github.io/schema/vega-lite/v5.json", "")) == []
    assert "default-src 'none'" in page and "{" + "plot_divs}" not in page and "{" + "refresh_tag}" not in page
    assert page.count("vegaEmbed('#") == len(plot_definitions()) and "function vegaEmbed(" in page


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript here")
def test_dvcs_page_draws_a_named_line_for_each_run_and_revision(shown):
    script = """
    const html = require("fs").readFileSync(process.argv[1], "utf8");
    const source = html.match(/<script>([\\s\\S]*?)<\\/script>/)[1];
    const drawing = new Function(source + "; return drawing;")();
    const specs = [...html.matchAll(/var spec = (\\{.*\\});/g)].map((found) => JSON.parse(found[1]));
    console.log(JSON.stringify(specs.map(drawing)));
    """
    done = subprocess.run(["node", "-e", script, str(shown)], capture_output=True, text=True, check=True)
    drawn = dict(zip((title for one in plot_definitions() for title in one), json.loads(done.stdout), strict=True))
    psnr = ElementTree.fromstring(drawn["PSNR by size of the hole"])
    texts = [text.text for text in psnr.iter("text")]
    assert {"PSNR by size of the hole", "PSNR (dB)", "mine (HEAD)", "<b> (workspace)"} <= {*texts}
    lines = [group for group in psnr.iter("g") if group.get("class") == "run"]
    assert len(lines) == 4 and len({line.get("stroke") for line in lines}) == 2
    assert len({line.get("stroke-dasharray") for line in lines}) == 2
    first = lines[0].find("polyline").get("points").split()
    assert len(first) == 3 and float(first[0].split(",")[1]) < float(first[2].split(",")[1])  # PSNR falls with the hole
    assert drawn["PConv: total"] == "<p>A plot without values.</p>"  # none of its runs is here
