from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from replication.drawing import style
from replication.errors import InputError
from replication.methods.registry import methods
from replication.papers import PAPERS, load_figures, load_tables
from replication.reporting.placement import rows_of
from replication.reporting.site.choices import load_choices
from replication.reporting.site.page import Section, build_site
from replication.reporting.site.runs import ShownRun
from replication.reporting.tables.formats import write_table
from replication.reporting.tables.results import paper_tables

RUNS = sorted({*rows_of("showface").values(), "mine"})
MEASURED = 14  # neither slots_512 nor the rows that are added to the paper's

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects tags and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@style.styled
def drawing():
    figure = style.new_figure(1, 1)
    figure.subplots().plot([0, 1])
    return figure


@pytest.fixture
def runs(metrics, file_of):
    """Every run of ShowFace's tables, most of them measured, and one that no paper has a row for."""
    links = (("numbers", "metrics/full.json"),)
    metrics = metrics | {"mine": file_of("mine", quality=0.9)}
    return [ShownRun(name, "MDRNets", "drawn faces", "irregular", metrics.get(name), links) for name in RUNS]


@pytest.fixture
def reports(tmp_path, metrics, metrics_folder):
    for name in ("showface/figure5", "showface/figure1", "curves/mdrnet"):
        path = tmp_path / "figures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        style.save_figure(drawing(), path, title=f"<{name}>", caption="a & <b>.", alt='say "hi"')
    (tmp_path / "notebooks" / "evaluate").mkdir(parents=True)
    (tmp_path / "notebooks" / "evaluate" / "a & #1.html").write_text("x")
    for table in paper_tables("showface", metrics):
        write_table(table, tmp_path / "tables" / "showface")
    return tmp_path


@pytest.fixture
def page(reports, metrics, runs):
    tables, choices = paper_tables("showface", metrics), {"showface": load_choices("showface")}

    def build(**more):
        return build_site(reports=reports, tables=tables, runs=runs, choices=choices, **more).read_text()

    return build


def test_the_page_is_well_formed_accessible_and_equal_every_time(page):
    text = page()
    assert text == page()
    parsed = Page(text)
    assert parsed.all("html") == [{"lang": "en"}]
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(head["scope"] for head in parsed.all("th"))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = [a["href"][1:] for a in parsed.all("a") if a["href"].startswith("#")]
    assert set(inner) <= set(ids)
    wanted = {"showface-table1", "showface-table4", "figure-showface-figure1", "runs", "costs", "notebooks", "records"}
    assert wanted <= set(inner)


def test_nothing_is_fetched_from_elsewhere(page):
    parsed = Page(page())
    assert parsed.all("script") == parsed.all("link") == []
    assert all(image["src"].startswith("data:image/png;base64,") for image in parsed.all("img"))
    assert not [a for a in parsed.all("a") if re.match(r"\w+:|//", a["href"])]
    assert "url(" not in page() and "@import" not in page()


def test_links_to_files_are_relative_encoded_and_exist(page, reports):
    from html import unescape
    from urllib.parse import unquote

    text = page()
    files = [a["href"] for a in Page(text).all("a") if not a["href"].startswith("#")]
    assert "notebooks/evaluate/a%20%26%20%231.html" in files
    assert "tables/showface/table1.csv" in files
    assert "metrics/full.json" in files
    files.remove("costs/costs.html")  # of this checkout alone, so that the page cannot depend on it
    assert all((reports / unquote(unescape(href))).is_file() for href in files)


def test_words_from_files_are_escaped(page):
    text = page()
    assert "<showface/figure5>" not in text
    assert "&lt;showface/figure5&gt;" in text
    assert "a &amp; &lt;b&gt;" in text


def test_the_header_says_what_was_run_and_that_it_does_not_compare(page):
    header = re.search(r"<header>.*?</header>", page(), re.DOTALL)[0]
    assert "NOT comparable with the paper" in header
    assert "it is not FID" in header
    assert f"{MEASURED} of {len(RUNS)} measured" in header
    assert "0123456789ab" in header


def test_figures_come_in_the_papers_order_and_curves_apart(page):
    text = page()
    places = [text.index(f'<figure id="figure-{n}"') for n in ("showface-figure1", "showface-figure5", "curves-mdrnet")]
    assert places == sorted(places)
    assert text.index('<section id="training"') < places[2]


def test_more_sections_are_placed_and_their_anchors_checked(page):
    assert '<section id="claims"' in page(sections=[Section("claims", "Claims & checks", "<p>yes</p>")])
    assert "Claims &amp; checks" in page(sections=[Section("claims", "Claims & checks", "<p>yes</p>")])
    for anchor in ("tables", 'x" onclick="', "1"):
        with pytest.raises(InputError, match="anchor"):
            page(sections=[Section(anchor, "t", "<p>x</p>")])


def test_an_empty_project_still_gives_a_page(tmp_path):
    text = build_site(reports=tmp_path, tables=paper_tables("showface", {})).read_text()
    assert Page(text).all("img") == []
    assert "0 of 0 measured" in text
    assert "No run of this table was measured." in text and "No run has been measured." in text


def section(text: str, anchor: str) -> str:
    return re.search(rf'<section id="{anchor}".*?(?=<section id="|</main>)', text, re.DOTALL)[0]


def test_every_run_is_listed_with_its_metrics_and_intervals(page, runs):
    (mine,) = (one for one in runs if one.name == "mine")
    mine.metrics["made_by"][0] |= {
        "intervals": {"1-20%": {"PSNR": [37.0, 37.9]}},
        "protocol": {"metrics": {"PSNR": {"label": "PSNR", "unit": "dB", "better": "higher"}}},
    }
    text = section(page(), "runs")
    assert [name for name in RUNS if f'id="run-{name}"' in text] == RUNS
    assert '<td>37.300 <small class="spread">±0.600</small></td>' in text  # 40 - 30 x 0.1 x 0.9
    assert text.count("not measured yet") == len(RUNS) - MEASURED
    assert text.count('<th scope="row">20-40%</th>') == MEASURED
    assert '<a href="metrics/full.json">numbers</a>' in text


def test_runs_of_each_protocol_have_a_table_of_their_own(page, runs, file_of):
    faces = {"mouth": {"PSNR": 20.0}, "made_by": file_of("faces")["made_by"]}
    runs.append(ShownRun("faces", "MDRNets", "drawn faces", "regions", faces))
    text = section(page(), "runs")
    assert text.count("<table") == 2 and "Protocol regions." in text and '<th scope="row">mouth</th>' in text


def test_there_is_no_time_and_no_commit_on_the_page(page):
    text = page()
    assert 'href="costs/costs.html"' in section(text, "costs")
    records = section(text, "records")
    assert ">code</th>" in records and "commit</th>" not in records and "seconds" not in text
    assert "Time (s)" not in text and "Commit" not in text


def test_choices_stand_folded_beside_what_they_affect(page):
    text = page()
    blocks = re.split(r'(?=<section class="result" id=")', section(text, "tables"))[1:]
    assert len(blocks) == 4
    for number, block in enumerate(blocks, 1):
        wanted = [c for c in load_choices("showface") if f"table{number}" in c.places]
        assert f"Choices behind this table: {len(wanted)}</summary>" in block
        assert block.count('<table class="choicelist">') == len({choice.owner for choice in wanted})
    assert "methods.mdrnet.memory.slots" in blocks[3] and "masks.source" in blocks[0]
    assert "Choices behind this figure: 1</summary>" in section(text, "figures")
    assert "<details class=" in text and "<details open" not in text


def test_a_systems_choices_belong_to_its_paper_or_to_those_that_look_through_it():
    owners = {choice.owner for choice in load_choices("showface")}
    systems = ("mdrnet", "pconv", "parser", "reconstruction", "attributes")
    assert owners >= {"data and measurement", *(methods()[name].title for name in systems)}
    # ExGAN has no system here: what is left are the features of the Fréchet distance, which every number needs.
    assert {choice.owner for choice in load_choices("exgan")} == {
        methods()[name].title for name in ("attributes", "inception")
    }


@pytest.mark.parametrize("paper", PAPERS)
def test_every_choice_stands_beside_something_that_exists(paper):
    """That its key and its file exist is tested where the lists are."""
    places = {f"table{n}" for p in PAPERS for n in load_tables(p)} | {f.name for p in PAPERS for f in load_figures(p)}
    for choice in load_choices(paper):
        assert choice.places <= places, choice.point
        assert choice.point and choice.says and choice.chosen and choice.source
