"""Where runs stand in the papers: what the systems here say, and what a new folder's files are refused for."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from replication.errors import InputError
from replication.graph.closure import closure
from replication.graph.roots import figure_roots
from replication.methods.registry import file_of, function, methods
from replication.papers import load_figures, load_tables, papers_with_figures, papers_with_tables
from replication.reporting import placement
from replication.reporting.placement import (
    FIGURE_COLUMNS,
    ROW_COLUMNS,
    Column,
    check_runs,
    columns_of,
    rows_of,
)


@pytest.fixture
def new(tmp_path, monkeypatch) -> Path:
    """The folder of one more system, which has no declaration but files."""
    systems = methods() | {"newest": None}
    monkeypatch.setattr(placement, "methods", lambda: systems)
    monkeypatch.setattr(placement, "file_of", lambda s, name: tmp_path / name if s == "newest" else file_of(s, name))
    return tmp_path


def write(folder: Path, name: str, columns: tuple[str, ...], *rows: str) -> None:
    (folder / name).write_text("\n".join([",".join(columns), *rows]) + "\n")


def test_rows_of_the_systems_are_printed_ones():
    rows, printed = rows_of("showface"), set()
    for number, table in load_tables("showface").items():
        printed |= {(number, d, m) for d, m in zip(table.dataset, table.method, strict=True)}
    ours = {row: run for row, run in rows.items() if row in printed}
    assert len(ours) == 17
    # Tables 2 to 4 are measured whole; of Table 1, the rows whose method is implemented.
    assert {row for row in printed if row[0] > 1} <= set(rows)
    assert set(ours.values()) == {
        *("full", "no_mrem_no_dmm", "no_mrem", "no_semantic", "no_intra", "no_inter", "slots_32", "slots_64"),
        *("slots_256", "slots_512", "shared_memory", "full_ffhq", "pconv", "pconv_ffhq"),
    }
    # The controls, which no paper prints, stand behind the modules and the memories that they are of.
    assert {row[0]: row[2] for row in rows if row not in printed} == {
        2: "T=0.1 and cosine attention",
        4: "m=128 random start",
    }
    assert [run for row, run in rows.items() if row not in printed] == [
        *("class_mean", "uniform_attention", "cosine_mining", "acting_modules"),
        *("class_mean", "low_temperature", "random_start"),
    ]
    assert rows_of("exgan") == {}


def test_every_figure_has_a_run_and_panels_say_who_draws_them():
    assert papers_with_figures() == papers_with_tables() == ["showface"]
    for figure in load_figures("showface"):
        columns = columns_of("showface", figure.name)
        assert columns and all(bool(one.draw) == (figure.kind == "panel") for one in columns)
    assert [one.title for one in columns_of("showface", "figure5")] == ["PConv", "PConv", "Ours", "Ours"]
    columns = [one for figure in load_figures("showface") for one in columns_of("showface", figure.name)]
    assert {one.run for one in columns if one.draw} == {"full"}


def test_panels_are_drawn_by_functions_of_a_system_that_the_stage_depends_on():
    modules = closure(figure_roots())
    assert {"replication.stages.figures", "replication.methods.mdrnet.inpainter"} <= set(modules)
    for figure in load_figures("showface"):
        for column in columns_of("showface", figure.name):
            if column.draw:
                assert list(inspect.signature(function(column.draw)).parameters) == ["inside", "subtitle"]
                assert column.draw.partition(":")[0] in modules
    assert "replication.methods.mdrnet.network" not in closure(["replication.stages.tables"])


def test_a_new_folder_puts_a_row_into_a_table_and_a_column_into_a_figure(new):
    write(new, "rows.csv", ROW_COLUMNS, "showface,1,CelebA-HQ,DSI,dsi", "showface,1,CelebA-HQ,Copy-paste,copy")
    write(new, "figures.csv", FIGURE_COLUMNS, "showface,figure5,CelebA-HQ,DSI,dsi,")
    rows = rows_of("showface")
    assert (rows[1, "CelebA-HQ", "DSI"], rows[1, "CelebA-HQ", "Copy-paste"]) == ("dsi", "copy") and len(rows) == 26
    assert columns_of("showface", "figure5")[-1] == Column("CelebA-HQ", "DSI", "dsi", "")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("showfac,1,FFHQ,DSI,dsi", r"methods/newest/rows.csv, row 2: 'showfac' is no paper; did you mean 'showface'\?"),
        ("showface,9,FFHQ,DSI,dsi", r"row 2: showface has no Table '9' \(allowed: 1, 2, 3, 4\)"),
        ("showface,one,FFHQ,DSI,dsi", "row 2: showface has no Table 'one'"),
        ("showface,1,FFHQ,PConv,dsi", "PConv on FFHQ in Table 1 of showface is pconv_ffhq of pconv already"),
        ("showface,1,FFQH,DSI,dsi", r"row 2: 'FFQH' is no data set of the papers; did you mean 'FFHQ'\? \(allowed: "),
        ("showface,1,FFHQ,DSI", r"rows.csv: every row must have 5 values"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(new, row, sentence):
    write(new, "rows.csv", ROW_COLUMNS, row)
    with pytest.raises(InputError, match=sentence):
        rows_of("showface")


def test_a_row_of_a_run_that_does_not_exist_is_refused_with_its_file_and_row(new):
    write(new, "rows.csv", ROW_COLUMNS, "showface,1,CelebA-HQ,DSI,dsi", "showface,1,FFHQ,DSI,dsi_fhq")
    check_runs(["dsi", "dsi_fhq"])
    words = (
        r"^methods/newest/rows\.csv, row 3: 'dsi_fhq' is a run neither of params\.yaml nor of a profile of newest; did"
    )
    with pytest.raises(InputError, match=words):
        check_runs(["dsi", "dsi_ffhq"])
    (new / "rows.csv").unlink()
    write(new, "figures.csv", FIGURE_COLUMNS, "showface,figure5,CelebA-HQ,DSI,dsi,")
    with pytest.raises(InputError, match=r"^methods/newest/figures\.csv, row 2: 'dsi' is a run neither"):
        check_runs(["full"])


def test_a_run_of_a_profile_is_known_where_the_parameters_do_without_it():
    check_runs([])  # `smoke` without `full` reports it as not run


def test_figures_that_cannot_be_used_are_refused(new):
    write(new, "figures.csv", FIGURE_COLUMNS, "showface,figure9,FFHQ,DSI,dsi,")
    with pytest.raises(InputError, match=r"newest/figures\.csv, row 2: showface has no figure 'figure9'; did"):
        columns_of("showface", "figure5")
    write(new, "figures.csv", FIGURE_COLUMNS, "showface,figure5,CelebA,DSI,dsi,")
    with pytest.raises(InputError, match=r"row 2: 'CelebA' is no data set of the papers; did you mean 'CelebA-HQ'\?"):
        columns_of("showface", "figure5")
    write(new, "figures.csv", ROW_COLUMNS)
    with pytest.raises(InputError, match=r"figures\.csv: must have the columns paper,figure,dataset,column,run,draw"):
        columns_of("showface", "figure5")
