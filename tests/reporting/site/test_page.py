from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from replication.drawing import style
from replication.errors import InputError
from replication.papers import SHOWFACE_ROWS
from replication.reporting.costs import cost_table, load_costs
from replication.reporting.site.page import Section, build_site
from replication.reporting.tables.formats import write_table
from replication.reporting.tables.results import load_metrics, showface_tables

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
def reports(tmp_path, metrics_folder):
    (tmp_path / "figures").mkdir()
    for name in ("figure5", "figure1", "curves_mdrnet"):
        path = tmp_path / "figures" / name
        style.save_figure(drawing(), path, title=f"<{name}>", caption="a & <b>", alt='say "hi"')
    (tmp_path / "notebooks" / "evaluate").mkdir(parents=True)
    (tmp_path / "notebooks" / "evaluate" / "a & #1.html").write_text("x")
    for table in showface_tables(load_metrics(metrics_folder, set(SHOWFACE_ROWS.values()))):
        write_table(table, tmp_path / "tables")
    return tmp_path


@pytest.fixture
def page(reports, metrics_folder, costs_folder):
    def build(**more):
        costs = cost_table(load_costs(costs_folder))
        return build_site(
            reports=reports,
            tables=showface_tables(load_metrics(metrics_folder, set(SHOWFACE_ROWS.values()))),
            costs=costs,
            **more,
        ).read_text()

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
    assert {"table1", "table4", "figure-figure1", "costs", "notebooks", "reading", "provenance"} <= set(inner)


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
    assert "tables/showface_table1.csv" in files
    assert "metrics/full.json" in files
    assert all((reports / unquote(unescape(href))).is_file() for href in files)


def test_words_from_files_are_escaped(page):
    text = page()
    assert "<figure5>" not in text
    assert "&lt;figure5&gt;" in text
    assert "a &amp; &lt;b&gt;" in text


def test_the_header_says_what_was_run_and_that_it_does_not_compare(page):
    header = re.search(r"<header>.*?</header>", page(), re.DOTALL)[0]
    assert "NOT comparable with the paper" in header
    assert "it is not FID" in header
    assert "13 of 14 run" in header
    assert "0123456789ab+changes" in header


def test_figures_come_in_the_papers_order_and_curves_apart(page):
    text = page()
    places = [text.index(f'<figure id="figure-{n}"') for n in ("figure1", "figure5", "curves_mdrnet")]
    assert places == sorted(places)
    assert text.index('<section id="training"') < places[2]


def test_more_sections_are_placed_and_their_anchors_checked(page):
    assert '<section id="claims"' in page(sections=[Section("claims", "Claims & checks", "<p>yes</p>")])
    assert "Claims &amp; checks" in page(sections=[Section("claims", "Claims & checks", "<p>yes</p>")])
    for anchor in ("tables", 'x" onclick="', "1"):
        with pytest.raises(InputError, match="anchor"):
            page(sections=[Section(anchor, "t", "<p>x</p>")])


def test_an_empty_project_still_gives_a_page(tmp_path):
    text = build_site(
        reports=tmp_path, tables=showface_tables(load_metrics(tmp_path / "metrics", set(SHOWFACE_ROWS.values())))
    ).read_text()
    assert Page(text).all("img") == []
    assert "0 of 14 run" in text
    assert "No experiment of this table was run." in text
