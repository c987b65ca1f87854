from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from replication.errors import InputError
from replication.papers import (
    TABLE_COLUMNS,
    load_claims,
    load_layouts,
    load_suspicious,
    load_table,
    load_tables,
    measured_tables,
)
from replication.papers.checks import Cell, Comparison, Conjunction, MissingValue, Values, run
from replication.papers.showface.claims import (
    CHECKS,
    COMPARISONS,
    METRICS,
    RATIOS,
    RULES,
    is_unimodal,
    second_best_gain,
)

TABLES = load_tables("showface")
CLAIMS = load_claims("showface").set_index("id")
VALUES = Values(TABLES)


def check(claim: str, tables) -> bool:
    return run(CHECKS[claim], tables)


def _cells_won(claim: str) -> tuple[int, int]:
    """(cells of the better method that win all their comparisons, cells)."""
    won: dict[Cell, bool] = {}
    for comparison in COMPARISONS[claim]:
        won[comparison.better] = won.get(comparison.better, True) and comparison.holds(VALUES)
    return sum(won.values()), len(won)


def test_tables_have_every_printed_number():
    assert {number: len(table) for number, table in TABLES.items()} == {1: 168, 2: 36, 3: 48, 4: 72}
    for number, table in TABLES.items():
        assert tuple(table.columns) == TABLE_COLUMNS
        assert (table.table == number).all()
        assert not table.duplicated(list(TABLE_COLUMNS[:-1])).any()
        assert table.value.notna().all()
        assert set(table.metric) == set(METRICS)
        assert set(table.mask_ratio) == set(RATIOS)
        complete = table.groupby(["dataset", "method"]).size()
        assert (complete == 12).all()


def test_printed_targets():
    # Table 1, Ours, spot-checked by hand against the paper
    assert VALUES[Cell(1, "CelebA-HQ", "Ours", "20-40%", "FID")] == 6.410
    assert VALUES[Cell(1, "FFHQ", "Ours", "40-60%", "PSNR")] == 23.575
    assert VALUES[Cell(2, "CelebA-HQ", "w/o MREM", "1-20%", "FID")] == 2.221
    assert VALUES[Cell(3, "CelebA-HQ", "w/o L_intra", "40-60%", "PSNR")] == 24.171
    assert VALUES[Cell(4, "CelebA-HQ", "disentangled m=512", "40-60%", "PSNR")] == 24.901


def test_every_claim_has_a_check():
    assert len(CLAIMS) == 27
    assert list(CHECKS) == list(CLAIMS.index)
    assert not set(COMPARISONS) & set(RULES)
    assert CLAIMS.holds_in_paper.dtype == bool


@pytest.mark.parametrize("claim", list(CLAIMS.index))
def test_claim_recomputes_from_the_tables(claim):
    assert run(CHECKS[claim], TABLES) == CLAIMS.holds_in_paper[claim]


@pytest.mark.parametrize(
    ("claim", "won"),
    [("C09", 12), ("C10", 11), ("C12", 11), ("C13", 12), ("C14", 11), ("C15", 12), ("C18", 8), ("C19", 11)],
)
def test_number_of_cells_behind_a_claim(claim, won):
    assert _cells_won(claim) == (won, 12)


def test_sizes_of_the_other_claims():
    assert len(COMPARISONS["C16"]) == 36
    assert len(COMPARISONS["C24"]) == 14 * 4 * 2
    assert len({comparison.better for comparison in COMPARISONS["C23"]}) == 6
    assert len(COMPARISONS["C27"]) == 2 * 72


@pytest.mark.parametrize("claim", [f"C0{i}" for i in range(1, 9)])
def test_quoted_gain_is_the_exact_one(claim):
    comparison = COMPARISONS[claim][0]
    cell = comparison.better
    gain = second_best_gain(VALUES, cell.dataset, cell.mask_ratio, cell.metric)
    assert round(gain, 3) == comparison.margin
    assert f"{comparison.margin:.3f}" in CLAIMS.statement[claim]


def test_relative_gains_of_the_note_on_c11():
    gains = [100 * second_best_gain(VALUES, "FFHQ", ratio, "FID", relative=True) for ratio in RATIOS]
    assert [round(gain, 1) for gain in gains] == [23.8, 14.2, 2.8]
    gains = [second_best_gain(VALUES, "CelebA-HQ", ratio, "PSNR") for ratio in RATIOS]
    assert [round(gain, 3) for gain in gains] == [2.356, 1.846, 1.687]


def test_l1_over_memory_size_is_unimodal_and_fid_is_not():
    assert [is_unimodal(VALUES, ratio, "L1_percent") for ratio in RATIOS] == [True] * 3
    assert [is_unimodal(VALUES, ratio, "FID") for ratio in RATIOS] == [True, False, False]


def test_rules_can_hold():
    """A rule that is False on the paper must be able to be True: repair the cells it objects to."""

    def repaired(number: int, changes: dict[tuple[str, str, str], float]) -> dict[int, pd.DataFrame]:
        table = TABLES[number].set_index(["method", "mask_ratio", "metric"]).value.copy()
        for cell, value in changes.items():
            table[cell] = value
        return TABLES | {number: TABLES[number].assign(value=table.to_numpy())}

    assert check("C21", repaired(4, {("disentangled m=512", "40-60%", "PSNR"): 23.901}))
    smooth = {
        ("disentangled m=256", "20-40%", "FID"): 7.0,
        ("disentangled m=256", "40-60%", "FID"): 13.0,
        ("disentangled m=256", "20-40%", "PSNR"): 28.5,
        ("disentangled m=512", "40-60%", "PSNR"): 23.9,
        ("disentangled m=512", "40-60%", "SSIM"): 0.790,
    }
    assert check("C22", repaired(4, smooth))
    two = TABLES[1][(TABLES[1].mask_ratio != "1-20%") | (TABLES[1].method != "CTSDG")]
    agreeing = TABLES[1][(TABLES[1].mask_ratio == "1-20%") & (TABLES[1].method == "CTSDG")].assign(value=0.9)
    assert check("C26", TABLES | {1: pd.concat([two, agreeing])})
    # Gains that grow with the hole in every series satisfy C11.
    ours = TABLES[1].method == "Ours"
    better = {"L1_percent": 0.1, "FID": 0.1, "PSNR": 99.0, "SSIM": 1.0}
    large = ours & (TABLES[1].mask_ratio == "40-60%")
    grown = TABLES[1].assign(value=TABLES[1].value.mask(large, TABLES[1].metric.map(better)))
    assert check("C11", TABLES | {1: grown})
    moved = TABLES[2].assign(value=TABLES[2].value + 0.001)
    assert not check("C20", TABLES | {2: moved})


def test_ties_are_not_wins_and_margins_are_met_at_printed_precision():
    a, b = Cell(1, "x", "a", "1-20%", "PSNR"), Cell(1, "x", "b", "1-20%", "PSNR")

    def values(better: float, worse: float) -> Values:
        rows = [(1, "x", m, "1-20%", "PSNR", v) for m, v in (("a", better), ("b", worse))]
        return Values({1: pd.DataFrame(rows, columns=list(TABLE_COLUMNS))})

    assert not Comparison(a, b).holds(values(2.0, 2.0))
    assert Comparison(a, b).holds(values(2.0001, 2.0))
    assert Comparison(a, b, 1.303).holds(values(23.575, 22.272))
    assert not Comparison(a, b, 1.303).holds(values(23.574, 22.272))


def test_missing_cells_are_not_run_unless_already_refuted():
    rows = {(1, "CelebA-HQ", "Ours"): "full", (2, "CelebA-HQ", "Full"): "full", (2, "CelebA-HQ", "w/o MREM"): "no_mrem"}
    metrics = {
        "full": {r: {"L1_percent": 1.0, "FD": 1.0, "PSNR": 30.0, "SSIM": 0.9} for r in RATIOS} | {"made_by": [{}]},
        "no_mrem": {r: {"L1_percent": 2.0, "FD": 2.0, "PSNR": 29.0, "SSIM": 0.8} for r in RATIOS},
    }
    tables = measured_tables(rows, metrics)
    assert len(tables[2]) == 24
    assert len(tables[1]) == 12
    assert check("C14", tables)  # FD stands in for FID
    with pytest.raises(MissingValue, match="w/o MREM \\+ w/o DMM"):
        check("C12", tables)
    with pytest.raises(MissingValue):
        check("C11", tables)
    metrics["no_mrem"]["1-20%"]["FD"] = 0.5
    assert not check("C12", measured_tables(rows, metrics))
    metrics["no_mrem"]["1-20%"]["FD"] = float("nan")
    with pytest.raises(MissingValue, match="FID"):
        check("C14", measured_tables(rows, metrics))


def test_layouts_are_the_papers():
    layouts = load_layouts("showface")
    assert list(layouts) == [1, 2, 3, 4]
    assert [layout.methods_in_rows for layout in layouts.values()] == [True, False, False, False]
    assert [layout.against for layout in layouts.values()] == [None, "Full", "Full", "disentangled m=128"]
    assert [layout.same_schedule for layout in layouts.values()] == [False, True, True, True]
    assert list(layouts[4].heads.values()) == [
        *(("Disentangled", f"m={m}") for m in (32, 64, 128, 256, 512)),
        ("Non-Disentangled", "same volume as m=128"),
    ]


def test_unknown_paper_and_table_are_refused():
    with pytest.raises(InputError, match="showface"):
        load_table("nothing", 1)
    with pytest.raises(InputError, match="has no table9"):
        load_table("showface", 9)


def with_cell(cell: Cell, value: float) -> dict[int, pd.DataFrame]:
    """The printed tables with one number changed."""
    table = TABLES[cell.table]
    here = (table[["dataset", "method", "mask_ratio", "metric"]] == list(cell[1:])).all(axis=1)
    assert here.sum() == 1
    return TABLES | {cell.table: table.assign(value=table.value.mask(here, value))}


@pytest.mark.parametrize("claim", [c for c in COMPARISONS if CLAIMS.holds_in_paper[c]])
def test_every_comparison_counts(claim):
    """Swapping any pair of numbers turns a claim that holds into one that does not."""
    one_check = CHECKS[claim]
    values = {cell: VALUES[cell] for cell in one_check.cells}
    assert isinstance(one_check, Conjunction) and one_check.outcome(VALUES).possible
    for comparison in one_check.comparisons:
        a, b = comparison.better, comparison.worse
        assert not one_check.outcome(Values.of(values | {a: values[b], b: values[a]})).possible, comparison


@pytest.mark.parametrize(
    ("claim", "repairs"),
    [
        ("C10", {Cell(1, "FFHQ", "CTSDG", "1-20%", "L1_percent"): 0.471}),
        ("C12", {Cell(2, "CelebA-HQ", "Full", "1-20%", "FID"): 2.220}),
        ("C14", {Cell(2, "CelebA-HQ", "Full", "1-20%", "FID"): 2.220}),
        ("C19", {Cell(4, "CelebA-HQ", "disentangled m=128", "40-60%", "SSIM"): 0.801}),
        ("C27", {Cell(1, "FFHQ", "CTSDG", "1-20%", "L1_percent"): 0.471}),
    ],
)
def test_one_other_number_would_bear_the_claim_out(claim, repairs):
    ((cell, value),) = repairs.items()
    assert not check(claim, TABLES)
    assert check(claim, with_cell(cell, value))


def test_draws_give_the_same_answers_as_tables_one_by_one():
    rng = np.random.default_rng(0)
    cells = sorted({cell for one_check in CHECKS.values() for cell in one_check.cells})
    draws = {cell: VALUES[cell] * (1 + rng.normal(0, 2e-4, 40)) for cell in cells}
    answers = {claim: CHECKS[claim].outcome(Values.of(draws)).possible for claim in CHECKS}
    for i in range(40):
        one = Values.of({cell: values[i] for cell, values in draws.items()})
        for claim, one_check in CHECKS.items():
            assert np.broadcast_to(answers[claim], 40)[i] == one_check.outcome(one).possible, (claim, i)
    # Some claims hang on the last digit, so that the draws disagree about them.
    assert any(0 < answers[claim].mean() < 1 for claim in ("C01", "C18", "C19"))


def test_evidence_names_the_numbers_that_decide():
    assert CHECKS["C01"].evidence(VALUES) == (
        "Advantage over the best of the others: 0.963 (L1 at 40-60%: Ours 2.937, CTSDG 3.900)."
    )
    assert CHECKS["C10"].evidence(VALUES) == "71 of 72 comparisons hold; not: L1 at 1-20%: Ours 0.470, CTSDG 0.419."
    assert "; narrowest: PSNR at 40-60%: Full 24.177, w/o L_intra 24.171." in CHECKS["C15"].evidence(VALUES)
    assert "7 of 7 on CelebA-HQ (1.350), 1 of 7 on FFHQ (0.419)" in CHECKS["C26"].evidence(VALUES)
    assert "In 5 of 8 series" in CHECKS["C11"].evidence(VALUES)
    assert "7 of 12 curves" in CHECKS["C22"].evidence(VALUES)
    assert all(one_check.evidence(VALUES) for one_check in CHECKS.values())


def test_quotes_name_their_place_and_amounts_are_those_with_a_margin():
    assert CLAIMS["where"].str.contains("Table|Section").all()
    derived = CLAIMS.statement.str.startswith("(")
    assert (CLAIMS.quote == "").equals(derived)
    amounts = {claim for claim, parts in COMPARISONS.items() if all(part.margin for part in parts)}
    assert set(CLAIMS.index[CLAIMS.kind == "amount"]) == amounts == {f"C0{i}" for i in range(1, 9)}


def test_suspicious_numbers_are_those_of_the_tables():
    rows = load_suspicious("showface")
    assert len(rows) == 8 and (rows.reason != "").all()
    for row in rows.itertuples():
        assert VALUES[Cell(row.table, row.dataset, row.method, row.mask_ratio, row.metric)] == row.value


def test_papers_do_not_import_torch():
    code = "import sys, replication.papers.showface.claims; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
