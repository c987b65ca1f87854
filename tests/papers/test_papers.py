from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

import replication.papers
from replication.errors import InputError
from replication.papers import (
    CLAIM_COLUMNS,
    CLAIM_KINDS,
    FIGURE_KINDS,
    PAPERS,
    TABLE_COLUMNS,
    UNKNOWN_COLUMNS,
    dataset_names,
    load_checks,
    load_claims,
    load_figures,
    load_layouts,
    load_suspicious,
    load_table,
    load_tables,
    load_unknown,
)
from replication.papers.checks import Cell, Values, listed, number, run
from replication.papers.exgan.claims import CHECKS, METRICS

FOLDER = Path(replication.papers.__file__).parent
TABLES = load_tables("exgan")
VALUES = Values(TABLES)
CLAIMS = load_claims("exgan").set_index("id")


def test_every_folder_is_a_paper():
    assert {path.parent.name for path in FOLDER.glob("*/README.md")} == set(PAPERS)
    assert {paper: len(load_claims(paper)) for paper in PAPERS} == {"showface": 27, "exgan": 7, "exegan": 0, "ebgan": 0}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_has_the_same_files(paper):
    claims, unknown = load_claims(paper), load_unknown(paper)
    assert tuple(claims.columns) == CLAIM_COLUMNS
    assert claims.id.is_unique and set(claims.kind) <= set(CLAIM_KINDS)
    assert list(load_checks(paper)) == list(claims.id)
    assert tuple(unknown.columns) == UNKNOWN_COLUMNS and len(unknown)
    assert set(unknown.kind) <= {"number", "definition", "data", "claim"}
    assert (unknown[["what", "reason", "source"]] != "").all(axis=None)
    assert list(load_suspicious(paper).columns) == [*TABLE_COLUMNS, "reason"]
    tables, layouts = load_tables(paper), load_layouts(paper)
    assert set(layouts) <= set(tables)
    for k, layout in layouts.items():
        methods = set(tables[k].method)
        assert layout.title and (layout.against is None or layout.against in methods)
        assert set(layout.heads) in (set(), methods)  # two rows of heads for all columns or for none
    figures = load_figures(paper)
    assert len({figure.name for figure in figures}) == len(figures)
    assert all(figure.title and figure.caption and figure.alt for figure in figures)
    assert all((figure.rows > 0) != (figure.kind == "panel") for figure in figures)
    assert all(figure.buckets for figure in figures if figure.kind == "panel")
    for path in (FOLDER / paper).glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        assert all(len(row) == len(head) for row in rows), path


@pytest.mark.parametrize("paper", PAPERS)
def test_every_cell_of_a_check_is_printed(paper):
    values = Values(load_tables(paper))
    for claim, check in load_checks(paper).items():
        assert not check.outcome(values).missing, claim
        assert len(set(check.cells)) == len(check.cells)


def test_what_a_paper_calls_its_data_sets():
    assert dataset_names() == {"celebahq": "CelebA-HQ", "ffhq": "FFHQ"}


def test_a_layout_or_figure_that_cannot_be_used_is_refused(tmp_path, monkeypatch):
    shutil.copytree(FOLDER / "ebgan", tmp_path / "ebgan")
    monkeypatch.setattr(replication.papers, "_FOLDER", tmp_path)
    assert load_layouts("ebgan") == {} and load_figures("ebgan") == []
    head = "number,title,methods_in_rows,against,same_schedule"
    (tmp_path / "ebgan" / "tables.csv").write_text(f"{head}\n1,Results,perhaps,,no\n")
    with pytest.raises(InputError, match=r"ebgan/tables\.csv: methods_in_rows of Table 1 must be yes or no, got"):
        load_layouts("ebgan")
    (tmp_path / "ebgan" / "figures.csv").write_text("figure,title,kind,rows,buckets,caption,alt\nf1,F,plot,1,,c,a\n")
    with pytest.raises(InputError, match=f"kind of f1 must be one of {', '.join(FIGURE_KINDS)}, got 'plot'"):
        load_figures("ebgan")


def test_an_unknown_paper_is_refused():
    with pytest.raises(InputError, match="showface, exgan, exegan, ebgan"):
        load_claims("gan")
    with pytest.raises(InputError, match=r"'ebgan' has no table1\.csv"):
        load_table("ebgan", 1)


def test_exgan_table_is_complete_and_says_where_it_is_from():
    (table,) = TABLES.values()
    assert tuple(table.columns) == (*TABLE_COLUMNS, "source")
    assert len(table) == 24 and not table.duplicated(list(TABLE_COLUMNS[:-1])).any()
    assert set(table.metric) == set(METRICS) and table.source.str.startswith("bdol/exemplar_gans README").all()
    assert VALUES[Cell(1, "Celeb-ID", "Code-based ExGAN", "eye boxes", "MSSSIM_distance")] == 7.80e-3
    assert VALUES[Cell(1, "Internal benchmark", "Non-exemplar GAN", "eye boxes", "FID")] == 11.27


@pytest.mark.parametrize("claim", list(CLAIMS.index))
def test_exgan_claim_recomputes(claim):
    assert run(CHECKS[claim], TABLES) == CLAIMS.holds_in_paper[claim]


def with_numbers(changes: dict[tuple[str, str, str], float]):
    table = TABLES[1].set_index(["dataset", "method", "metric"]).value.copy()
    for key, value in changes.items():
        table[key] = value
    return {1: TABLES[1].assign(value=table.to_numpy())}


REFERENCE, PLAIN = "Reference-based ExGAN", "Non-exemplar GAN"
BETTER = {
    ("Internal benchmark", PLAIN, "Inception"): 3.0,
    ("Celeb-ID", REFERENCE, "FID"): 15.0,
    ("Celeb-ID", REFERENCE, "Inception"): 3.74,
}
REFERENCE_WINS = {
    **{("Celeb-ID", REFERENCE, metric): 1e-3 for metric in ("L1", "MSSSIM_distance", "FID")},
}


@pytest.mark.parametrize(
    ("claim", "changes"),
    [
        ("E01", BETTER),
        ("E02", {("Celeb-ID", REFERENCE, "L1"): 8e-3}),
        ("E03", {("Internal benchmark", REFERENCE, "FID"): 9.0}),
        ("E04", {("Celeb-ID", PLAIN, "Inception"): 3.78}),
        ("E05", {("Celeb-ID", REFERENCE, "L1"): 6e-3}),
        ("E06", {("Internal benchmark", REFERENCE, "Inception"): 4.0}),
        ("E07", REFERENCE_WINS),
    ],
)
def test_other_numbers_turn_the_answer(claim, changes):
    assert run(CHECKS[claim], with_numbers(changes)) != CLAIMS.holds_in_paper[claim]


def test_exgan_evidence_names_its_numbers():
    assert CHECKS["E01"].evidence(VALUES).startswith("4 of 8 comparisons hold; not: inception score in eye boxes on")
    assert "in 1 of 4 metrics" in CHECKS["E07"].evidence(VALUES)
    assert "by inception score Non-exemplar GAN (3.960)" in CHECKS["E06"].evidence(VALUES)
    assert all(check.evidence(VALUES) for check in CHECKS.values())


def test_numbers_and_lists_in_words():
    assert [number(v) for v in (0.8, 24.0804, 0.00736, 0.0415, 0, -1.5)] == [
        "0.800", "24.080", "0.00736", "0.0415", "0.000", "-1.500",
    ]  # fmt: skip
    assert listed(["a", "b", "c"], 2) == "a; b; and 1 more"
    assert listed(["a"], 2) == "a"
