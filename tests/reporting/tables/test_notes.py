"""What systems say below tables: for the tables that they name, of the rows that were measured, in every format."""

from __future__ import annotations

import re

import pytest

from replication.methods.registry import methods
from replication.papers import load_layouts, load_table
from replication.reporting.placement import rows_of
from replication.reporting.tables.formats import to_html, to_latex, to_markdown
from replication.reporting.tables.notes import notes
from replication.reporting.tables.results import result_table


def build(number: int, metrics: dict):
    layout, printed = load_layouts("showface")[number], load_table("showface", number)
    return result_table(layout, printed=printed, runs=rows_of("showface"), metrics=metrics, paper="showface")


def told(slots_read: float, patches_attended: float) -> dict:
    one = {"slots_read": slots_read, "slots": 128.0, "patches_attended": patches_attended, "patches": 256.0}
    return dict.fromkeys(("1-20%", "20-40%", "40-60%"), one)


@pytest.fixture
def measured(file_of):
    return {
        "full": file_of("full", diagnostics=told(126.4, 243.5)),
        "no_mrem_no_dmm": file_of("no_mrem_no_dmm"),
        "acting_modules": file_of("acting_modules", diagnostics=told(4.1, 96.4)),
        "class_mean": file_of("class_mean", diagnostics=told(128.0, 243.5)),
        "pconv": file_of("pconv", diagnostics={"1-20%": {"slots_read": 1.0, "slots": 2.0}}),
    }


def test_both_tables_of_the_modules_say_what_is_inert(measured):
    modules, memory = (notes(build(number, measured)) for number in (2, 4))
    assert modules[0] == (
        "A memory read (equation 4) spreads over so many slots: Full 126.4 of 128 (inert); class-mean reads 128.0 of "
        "128 (inert); T=0.1 and cosine attention 4.1 of 128 (chooses)."
    )
    assert modules[1].count("(inert)") == 2 and "cosine attention 96.4 of 256 (chooses)" in modules[1]
    assert "disentangled m=128 126.4 of 128 (inert)" in memory[0] and "acting" not in memory[0]
    assert "m=128 class-mean reads 128.0 of 128 (inert)" in memory[0]


def test_tables_that_no_system_names_and_results_that_tell_nothing_have_no_notes(measured, metrics):
    assert methods()["mdrnet"].diagnosis.tables == (2, 4)
    for number in (1, 3):
        assert notes(build(number, measured)) == []
    for number in (2, 4):
        assert notes(build(number, metrics)) == notes(build(number, {})) == []


@pytest.mark.parametrize("number", [2, 4])
def test_every_format_prints_them_below_the_table(measured, number):
    table = build(number, measured)
    markdown, html, latex = to_markdown(table), to_html(table), to_latex(table)
    for text, last_row in ((markdown, "| 40-60% |"), (html, "</table>"), (latex, r"\bottomrule")):
        below = text[text.rindex(last_row) :]
        assert "126.4 of 128 (inert)" in below and "243.5 of 256 (inert)" in below
    assert markdown.endswith(".\n") and len(re.findall(r"^- .*spreads over so many", markdown, re.MULTILINE)) == 2
    assert html.count('<ul class="notes">') == 1 and html.rstrip().endswith("</section>")
    assert latex.rstrip().endswith(r"\end{table*}")
