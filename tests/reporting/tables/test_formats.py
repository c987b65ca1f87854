from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from replication.drawing.escaping import html_text, latex_text, markdown_text
from replication.evaluation.verdicts import Change
from replication.papers import load_layouts, load_table
from replication.reporting.placement import rows_of
from replication.reporting.tables.captions import change_sentence, header_lines
from replication.reporting.tables.formats import (
    table_grid,
    to_html,
    to_latex,
    to_markdown,
    write_table,
)
from replication.reporting.tables.results import result_table

LAYOUTS, ROWS = load_layouts("showface"), rows_of("showface")

NASTY = r"a<b> & \c_{d} 5% $x$ #1 ~ ^ |*`"


def certain(metrics: dict, trainings: int = 3):
    """Differences of measured numbers without any doubt."""

    def change(reference: str, run: str, bucket: str, metric: str) -> Change:
        value = metrics[run][bucket][metric] - metrics[reference][bucket][metric]
        return Change(value, value - 0.1, value + 0.1, 1e-9 if value else 1.0, True, 200, trainings)

    return change


def build(number: int, metrics: dict, *, runs: dict | None = None, **more):
    more = {"differences": certain(metrics)} | more
    printed = load_table("showface", number)
    return result_table(LAYOUTS[number], printed=printed, runs=runs or ROWS, metrics=metrics, paper="showface", **more)


@pytest.fixture(params=LAYOUTS)
def table(request, metrics):
    return build(request.param, metrics)


def test_layout_is_the_papers(metrics):
    grids = {n: table_grid(build(n, metrics)) for n in LAYOUTS}
    assert len(grids[1].body) == 14  # 7 methods on 2 data sets
    assert [head.text for head in grids[1].head[1]] == ["1-20%", "20-40%", "40-60%"] * 4
    assert [head.text for head in grids[2].head[0]] == ["w/o MREM + w/o DMM", "w/o MREM", "Full"]
    assert [(h.text, h.span) for h in grids[4].head[0]] == [("Disentangled", 5), ("Non-Disentangled", 1)]
    assert [h.text for h in grids[4].head[1]] == [
        "m=32", "m=64", "m=128", "m=256", "m=512", "same volume as m=128",
    ]  # fmt: skip
    for grid in grids.values():
        width = sum(head.span for head in grid.head[0])
        assert all(len(values) == width for _, values in grid.body)
        assert all(sum(head.span for head in heads) == width for heads in grid.head)


def test_every_format_says_that_the_numbers_do_not_compare_and_what_fd_is(table):
    for text in (to_html(table), to_markdown(table), to_latex(table)):
        assert "NOT comparable with the paper" in text
        assert "drawn faces" in text
        assert "it is not FID" in text
        assert "drawn-face attributes" in text
        assert "FD (paper: FID)" in text


def test_the_papers_own_setting_has_no_such_sentence(file_of):
    change = {"profile": "paper", "comparable": True, "image_size": 256, "features": "FID", "frechet": "FID"}
    metrics = {"full": file_of("full", **change)}
    table = build(2, metrics)
    assert table.conditions.notice == ""
    assert "NOT comparable" not in to_html(table)
    assert "FID ↓" in to_markdown(table)


def test_not_run_is_written_in_every_format(metrics):
    table = build(4, metrics)
    assert to_html(table).count("not run</span>") == 12 * 2  # values and changes
    assert to_markdown(table).count("| not run (") == 12 * 2
    assert to_latex(table).count(r"\shortstack{not run\\") == 12 * 2
    assert "Not run: disentangled m=512." in to_markdown(table)


def test_html_is_well_formed_with_scoped_headers_and_full_rows(table):
    root = ElementTree.fromstring(to_html(table).replace("<br>", "<br/>"))
    assert root.get("id") == f"showface-table{table.layout.number}"
    for head in root.iter("th"):
        assert head.get("scope") in {"col", "row", "colgroup", "rowgroup"}
    for grid in root.iter("table"):
        assert grid.find("caption") is not None
        widths, pending = set(), []
        for row in grid.iter("tr"):  # cells of a row, with those that reach down from rows above
            width = sum(int(cell.get("colspan", 1)) for cell in row) + len(pending)
            pending = [left - 1 for left in pending if left > 1]
            pending += [int(c.get("rowspan", 1)) - 1 for c in row if int(c.get("rowspan", 1)) > 1]
            widths.add(width)
        assert len(widths) == 1
    assert root.findall(".//strong")


def test_markdown_rows_have_one_width(table):
    for block in re.findall(r"(?:^\|.*\n)+", to_markdown(table), flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_latex_rows_have_one_width(table):
    for tabular in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", to_latex(table), re.DOTALL):
        columns, body = tabular
        for line in body.splitlines():
            if " & " in line:
                spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
                assert line.count(" & ") + 1 + sum(n - 1 for n in spans) == len(columns)
    assert to_latex(table).count("{") == to_latex(table).count("}")


def test_rows_that_are_firm_are_named(file_of):
    def lines(**seeds) -> str:
        table = build(2, {name: file_of(name, seeds=own) for name, own in seeds.items()})
        return " ".join(header_lines(table))

    assert "No row was trained 3 times. Trained less often" in lines(full=[0], no_mrem=[0, 1])
    mixed = lines(full=[0, 1, 2], no_mrem=[0])
    assert "so that a difference speaks of methods: Full." in mixed
    assert "so that a difference is one between these networks: w/o MREM." in mixed
    assert "less often" not in lines(full=[0, 1, 2], no_mrem=[0, 1, 2])


def test_the_block_of_changes_counts_by_what_may_be_said(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=1.5)}
    once = change_sentence(build(2, metrics, differences=certain(metrics, trainings=1)))
    assert "both have one; by what may be said of them: 11 of the 12 larger than the images explain, with" in once
    assert "11 of the 12 in bold" in change_sentence(build(2, metrics))
    assert "**+2.500**" not in to_markdown(build(2, metrics, differences=certain(metrics, trainings=1)))
    assert "**+2.500**" in to_markdown(build(2, metrics))


def test_special_characters_from_files_are_escaped_everywhere(file_of):
    metrics = {"full": file_of("full", dataset_title=NASTY, features=f"FD ({NASTY})", code=NASTY)}
    table = build(2, metrics)
    assert "a<b>" not in to_html(table)
    assert "a&lt;b&gt; &amp;" in to_html(table)
    assert r"\&" in to_latex(table)
    assert r"5\% \$x\$ \#1" in to_latex(table)
    assert r"\<b\>" in to_markdown(table)


def test_escapes():
    assert latex_text("50% & L_intra_x") == r"50\% \& $\mathcal{L}_{\mathrm{intra}}$\_x"
    assert latex_text("\\{}") == r"\textbackslash{}\{\}"
    assert html_text('<a href="x">&') == "&lt;a href=&quot;x&quot;&gt;&amp;"
    assert html_text("w/o L_sem") == "w/o <i>L</i><sub>sem</sub>"
    assert markdown_text("a|b_c") == r"a\|b\_c"


def test_best_and_signs_are_marked(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=1.5)}
    table = build(2, metrics)
    assert "| 5.000" not in to_markdown(table)
    assert "**5.000** (_2.937_)" in to_markdown(table)
    assert "**+2.500** [+2.400, +2.600] (+0.022) ✓" in to_markdown(table)
    assert "in 11 of the 12 cells where both have one" in to_markdown(table)
    assert '<span class="agrees" role="img" aria-label="same sign as the paper">✓</span>' in to_html(table)
    assert r"\shortstack{\textbf{5.000}\\{\scriptsize \underline{2.937}}}" in to_latex(table)


def test_a_change_shows_both_ends_of_its_interval(metrics):
    """± the longer arm of a lopsided one would reach over zero where the cell is beyond chance."""
    table = build(2, metrics, differences=lambda *_: Change(0.1, 0.002, 0.9, 0.01, True, 200, 3))
    for text in (to_html(table), to_markdown(table), to_latex(table)):
        assert text.count("[+0.002, +0.900]") == 24 and "±0." not in text.split("Change against Full")[-1]


def test_write_table_writes_four_files_with_equal_bytes_every_time(table, tmp_path):
    first = [path.read_bytes() for path in write_table(table, tmp_path)]
    assert [p.suffix for p in write_table(table, tmp_path)] == [".csv", ".md", ".html", ".tex"]
    assert first == [path.read_bytes() for path in write_table(table, tmp_path)]
    assert len(pd.read_csv(tmp_path / f"table{table.layout.number}.csv")) > 30


def test_a_row_that_the_paper_does_not_have_is_marked_everywhere(file_of):
    runs = ROWS | {(n, "CelebA-HQ", "Copy-paste"): "mine" for n in (1, 2, 4)}
    metrics = {"full": file_of("full"), "mine": file_of("mine", quality=0.5)}
    for number, added in ((1, "Copy-paste on CelebA-HQ"), (2, "Copy-paste"), (4, "Copy-paste")):
        table = build(number, metrics, runs=runs)
        for text in (to_html(table).replace("</b>", ":"), to_markdown(table), to_latex(table)):
            assert f"Added here, not in the paper: {added}." in text
        grid = table_grid(table)
        heads = [head.text for row in grid.head for head in row] + [h.text for stub, _ in grid.body for h in stub if h]
        if number == 4:  # a third group beside the paper's two
            assert [(h.text, h.span) for h in grid.head[0]][2:] == [("not in the paper", 1)]
            assert heads.count("Copy-paste") == 1
        else:
            assert heads.count("Copy-paste (not in the paper)") == 1
    assert "| CelebA-HQ (measured: drawn faces) | Copy-paste (not in the paper) | **0.500** (–) |" in to_markdown(
        build(1, metrics, runs=runs)
    )
