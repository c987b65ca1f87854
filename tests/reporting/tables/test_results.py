from __future__ import annotations

import io
import json
import math

import pandas as pd
import pytest

from replication.errors import InputError
from replication.evaluation.verdicts import Change, Standing
from replication.papers import load_layouts, load_table, papers_with_tables
from replication.reporting.placement import rows_of
from replication.reporting.tables.results import CSV_COLUMNS, load_metrics, paper_tables, result_table

LAYOUTS, ROWS = load_layouts("showface"), rows_of("showface")


def change_of(value: float, *, p: float = 1e-9, images: int = 200, trainings: int = 3) -> Change:
    return Change(value, value - 0.1, value + 0.1, p if value else 1.0, True, images, trainings)


def certain(metrics: dict, **about):
    """Differences of measured numbers without any doubt."""

    def change(reference: str, run: str, bucket: str, metric: str) -> Change:
        return change_of(metrics[run][bucket][metric] - metrics[reference][bucket][metric], **about)

    return change


def build(number: int, metrics: dict, *, runs: dict | None = None, **more):
    more = {"differences": certain(metrics)} | more
    printed = load_table("showface", number)
    return result_table(LAYOUTS[number], printed=printed, runs=runs or ROWS, metrics=metrics, paper="showface", **more)


def test_every_printed_row_is_kept_and_the_ones_that_were_not_run_say_so(metrics):
    table = build(4, metrics)
    assert len(table.cells) == 72
    states = table.cells.groupby("method").status.unique()
    assert list(states["disentangled m=512"]) == ["not run"]
    assert list(states["disentangled m=32"]) == ["measured"]
    assert set(build(1, metrics).cells.query("method == 'ICT'").status) == {"not run"}


def test_nothing_run_still_prints_the_paper():
    for number in LAYOUTS:
        table = build(number, {})
        assert set(table.cells.status) == {"not run"}
        assert table.cells.paper.notna().all()
        assert not table.cells.best_measured.any()
        assert table.conditions.items == ()


def test_best_is_direction_aware(file_of):
    metrics = {"full": file_of("full", quality=1.0), "no_mrem": file_of("no_mrem", quality=1.5)}
    cells = build(2, metrics).cells
    assert set(cells[cells.best_measured].method) == {"Full"}
    assert cells.best_measured.sum() == 12  # 4 metrics x 3 ratios, lower and higher is better alike


@pytest.mark.parametrize("about", [{"p": 0.2}, {"trainings": 1}, {"trainings": 2}, {"images": 29}])
def test_the_best_number_is_no_best_method_while_its_lead_is_in_doubt(file_of, about):
    metrics = {name: file_of(name, quality=1 + 0.1 * i) for i, name in enumerate(("full", "no_mrem", "no_mrem_no_dmm"))}
    assert build(2, metrics).cells.best_measured.sum() == 12
    assert not build(2, metrics, differences=certain(metrics, **about)).cells.best_measured.any()
    assert not build(2, metrics, differences=None).cells.best_measured.any()

    def one_rival_in_doubt(reference, run, bucket, metric):
        doubt = about if reference == "no_mrem" else {}
        return change_of(metrics[run][bucket][metric] - metrics[reference][bucket][metric], **doubt)

    assert not build(2, metrics, differences=one_rival_in_doubt).cells.best_measured.any()


def test_equal_numbers_lead_nothing_and_share_the_papers_mark(file_of):
    metrics = {name: file_of(name) for name in ("full", "no_mrem")}
    assert not build(2, metrics).cells.best_measured.any()
    cells = build(4, metrics).cells.query("mask_ratio == '40-60%' and metric == 'SSIM'")
    assert list(cells[cells.best_paper].method) == ["disentangled m=128", "non-disentangled (same volume as m=128)"]


def test_a_single_measured_value_is_not_called_best(file_of):
    assert not build(2, {"full": file_of("full")}).cells.best_measured.any()


def test_the_papers_best_includes_its_exception():
    cells = build(2, {}).cells
    worst = cells[(cells.mask_ratio == "1-20%") & (cells.metric == "FID")]
    assert list(worst[worst.best_paper].method) == ["w/o MREM"]  # claim C14: 2.221 beats Full's 2.369


@pytest.mark.parametrize(
    "change",
    [{"profile": "smoke"}, {"image_size": 32}, {"images_per_bucket": 50}, {"pairs": "other"}, {"steps": 3}],
)
def test_rows_that_do_not_compare_are_not_ranked_and_the_header_says_why(file_of, change):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=2, **change)}
    table = build(2, metrics)
    assert not table.conditions.comparable_rows
    assert not table.cells.best_measured.any()
    assert any("no_mrem" in text for text in table.conditions.differences)


def test_other_code_of_the_same_system_is_mentioned_but_ranked(file_of):
    table = build(2, {"full": file_of("full"), "no_mrem": file_of("no_mrem", code="fff")})
    assert table.conditions.comparable_rows
    (text,) = table.conditions.differences
    assert text == "runs differ in code: 0123456789ab for full; fff for no_mrem (of mdrnet)"
    # Two systems share only a part of their code.
    assert build(1, {"full": file_of("full"), "pconv": file_of("pconv", code="fff")}).conditions.differences == ()


def test_different_systems_may_train_for_different_steps(file_of):
    metrics = {"full": file_of("full"), "pconv": file_of("pconv", steps=3)}
    assert build(1, metrics).conditions.comparable_rows


def test_fd_and_fid_are_never_ranked_or_subtracted(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=2, frechet="FID")}
    table = build(2, metrics)
    frechet = table.cells[table.cells.metric == "FID"]
    assert table.frechet == "FD/FID"
    assert not frechet.best_measured.any()
    changes = table.changes.query("metric == 'FID' and method == 'w/o MREM'")
    assert changes.measured.isna().all()
    assert (changes.agreement == "").all()


def test_changes_against_full_compare_signs(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=1.5)}
    changes = build(2, metrics).changes.query("method == 'w/o MREM'").set_index(["mask_ratio", "metric"])
    row = changes.loc[("40-60%", "L1_percent")]
    assert row.measured == pytest.approx(2.5)
    assert row.paper == pytest.approx(2.959 - 2.937)
    assert row.agreement == "agrees"
    # Without MREM the paper's FID at 1-20% is better than Full's; here it is worse.
    assert changes.loc[("1-20%", "FID")].agreement == "differs"
    assert build(2, metrics).agreement() == (11, 12)


def test_a_change_that_prints_as_zero_has_no_sign(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem")}
    metrics["no_mrem"]["1-20%"]["PSNR"] += 0.0004
    changes = build(2, metrics).changes.query("method == 'w/o MREM'")
    assert (changes.agreement == "").all()


def test_table_4_compares_with_128_slots(metrics):
    table = build(4, metrics)
    assert "disentangled m=128" not in set(table.changes.method)
    assert set(table.changes.method) == set(table.cells.method) - {"disentangled m=128"}


def test_csv_round_trip_keeps_precision_and_separates_fd_from_fid(metrics):
    table = build(3, metrics)
    csv = pd.read_csv(io.StringIO(table.to_csv()))
    assert tuple(csv) == CSV_COLUMNS
    fd, fid = csv[csv.metric == "FD"], csv[csv.metric == "FID"]
    assert len(fd) == len(fid) == 12
    assert fd.paper.isna().all()
    assert fd.measured.notna().all()
    assert fid.measured.isna().all()
    assert fid.run.isna().all()
    cell = csv[(csv.method == "Full") & (csv.metric == "PSNR") & (csv.mask_ratio == "40-60%")].iloc[0]
    assert cell.measured == metrics["full"]["40-60%"]["PSNR"]
    assert (cell.paper, cell.run) == (24.177, "full")
    assert (cell.comparable, cell.measured_on) == (False, "drawn faces, studio, 64x64")
    assert fid.comparable.isna().all() and fid.measured_on.isna().all()  # nothing was measured there
    assert cell.seeds == 3 and cell.images == metrics["full"]["made_by"][0]["images_per_bucket"]
    assert math.isnan(cell.change)  # Full itself


def test_csv_has_changes_with_their_intervals(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=1.5, seeds=[0, 1])}
    table = build(2, metrics, differences=lambda *_: Change(2.5, -0.5, 4.0, 0.3, True, 200, 2))
    csv = pd.read_csv(io.StringIO(table.to_csv())).set_index(["method", "mask_ratio", "metric"])
    row = csv.loc[("w/o MREM", "40-60%", "L1_percent")]
    assert row.change == pytest.approx(2.5) and (row.change_low, row.change_high) == (-0.5, 4.0)
    assert (row.p, row.standing) == (1.0, "within chance")
    assert row.change_paper == pytest.approx(2.959 - 2.937) and (row.signs, row.seeds) == ("agrees", 2)
    fd, fid = csv.loc[("w/o MREM", "40-60%", "FD")], csv.loc[("w/o MREM", "40-60%", "FID")]
    assert fd.change > 0 and math.isnan(fd.change_paper)
    assert math.isnan(fid.change) and fid.change_paper == pytest.approx(13.359 - 12.086)


def test_csv_has_one_fid_row_when_fid_was_measured(file_of):
    table = build(2, {"full": file_of("full", frechet="FID")})
    csv = pd.read_csv(io.StringIO(table.to_csv()))
    assert len(csv) == 36
    assert set(csv.metric) == {"L1_percent", "FID", "PSNR", "SSIM"}


def test_a_missing_number_is_missing_not_zero(file_of):
    file = file_of("full")
    del file["1-20%"]["SSIM"]
    file["1-20%"]["FD"] = None
    cells = build(2, {"full": file}).cells.query("method == 'Full' and mask_ratio == '1-20%'").set_index("metric")
    assert cells.status["SSIM"] == cells.status["FID"] == "missing"
    assert math.isnan(cells.measured["SSIM"])


def test_the_tables_of_a_paper_from_a_folder(metrics_folder):
    tables = paper_tables("showface", load_metrics(metrics_folder, set(ROWS.values())))
    assert [table.layout.number for table in tables] == [1, 2, 3, 4]
    assert "full" in tables[0].records


def test_papers_without_tables_have_none_here():
    assert papers_with_tables() == ["showface"]
    assert paper_tables("exgan", {}) == paper_tables("ebgan", {}) == []


ADDED = ROWS | {(1, "CelebA-HQ", "Copy-paste"): "mine", (2, "CelebA-HQ", "w/o all"): "mine"}


def test_a_measured_row_that_the_paper_does_not_have_comes_last(file_of):
    metrics = {"full": file_of("full"), "mine": file_of("mine", quality=0.5)}
    table = build(1, metrics, runs=ADDED)
    added = table.cells[~table.cells.in_paper]
    assert list(dict.fromkeys(zip(added.dataset, added.method, strict=True))) == [("CelebA-HQ", "Copy-paste")]
    assert list(table.cells.index[~table.cells.in_paper]) == list(range(168, 180))  # 4 metrics at 3 ratios
    assert added.paper.isna().all() and (added.status == "measured").all() and not added.best_paper.any()
    assert added.best_measured.all()  # ranked like the others
    assert table.added == ["Copy-paste on CelebA-HQ"] and "mine" in table.records
    csv = pd.read_csv(io.StringIO(table.to_csv()))
    own = csv[csv.method == "Copy-paste"]
    assert set(own.metric) == {"L1_percent", "FD", "PSNR", "SSIM"}  # no empty row of a FID that nobody printed
    assert not own.in_paper.any() and own.paper.isna().all() and csv[csv.method != "Copy-paste"].in_paper.all()


def test_an_added_column_has_changes_without_the_papers(file_of):
    metrics = {"full": file_of("full"), "mine": file_of("mine", quality=2)}
    changes = build(2, metrics, runs=ADDED).changes.query("method == 'w/o all'")
    assert len(changes) == 12 and changes.measured.notna().all()
    assert changes.paper.isna().all() and set(changes.agreement) == {""}


def test_an_added_row_that_was_not_measured_is_left_out(file_of):
    assert build(1, {"full": file_of("full")}, runs=ADDED).added == []


def test_an_added_column_on_another_data_set_is_refused(file_of):
    runs = ROWS | {(2, "FFHQ", "w/o all"): "mine"}
    with pytest.raises(InputError, match="run mine: Table 2 of showface is on CelebA-HQ alone, so it has no place"):
        build(2, {"mine": file_of("mine")}, runs=runs)


def test_a_metric_that_nothing_here_measures_is_refused():
    printed = load_table("showface", 2).assign(metric="KID")
    with pytest.raises(InputError, match="Table 2 of showface prints KID, which is none of the metrics here"):
        result_table(LAYOUTS[2], printed=printed, runs=ROWS, metrics={}, paper="showface")


def test_ratios_are_those_that_the_table_prints(file_of):
    printed = load_table("showface", 2).query("mask_ratio == '40-60%'").assign(mask_ratio="eyes")
    metrics = {"full": {"eyes": {"PSNR": 30.0}, "made_by": file_of("full")["made_by"]}}
    cells = result_table(LAYOUTS[2], printed=printed, runs=ROWS, metrics=metrics, paper="showface").cells
    assert set(cells.mask_ratio) == {"eyes"}
    assert cells.query("method == 'Full' and metric == 'PSNR'").measured.tolist() == [30.0]


def test_files_that_are_not_metrics_are_refused_by_name(tmp_path):
    (tmp_path / "full.json").write_text("{")
    with pytest.raises(InputError, match=r"full\.json"):
        load_metrics(tmp_path, {"full"})
    (tmp_path / "full.json").write_text(json.dumps({"loss": 1}))
    with pytest.raises(InputError, match="1-20%"):
        load_metrics(tmp_path, {"full"})
    assert load_metrics(tmp_path, {"absent"}) == {}


def test_values_have_the_intervals_of_their_file(file_of):
    metrics = {name: file_of(name) for name in ("full", "no_mrem")}
    metrics["full"]["made_by"][0]["intervals"] = {"1-20%": {"PSNR": [36.5, 37.25]}}
    cells = build(2, metrics).cells.set_index(["method", "mask_ratio", "metric"])
    assert tuple(cells.loc[("Full", "1-20%", "PSNR"), ["low", "high"]]) == (36.5, 37.25)
    assert math.isnan(cells.loc[("Full", "1-20%", "SSIM")].low) and math.isnan(
        cells.loc[("w/o MREM", "1-20%", "PSNR")].low
    )


def test_changes_are_judged_together_with_the_leads(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=1.1)}
    asked = []

    def differences(reference, run, bucket, metric):
        asked.append((reference, run, bucket, metric))
        return change_of(0.2, p=0.0009 if metric == "L1_percent" else 0.003)

    table = build(2, metrics, differences=differences)
    measured = table.changes[table.changes.measured.notna()]
    # 12 changes and the leads of the best in 12 cells: one family of 24.
    assert len(asked) == len(set(asked)) == 24
    assert ("full", "no_mrem", "40-60%", "FD") in asked  # by the name it was measured under
    beyond = measured[measured.standing == "beyond chance"]
    assert set(beyond.metric) == {"L1_percent"} and beyond.p.min() == pytest.approx(24 * 0.0009)
    assert set(measured.standing) == {"beyond chance", "within chance"}
    assert table.standing(Standing.BEYOND_CHANCE) == (3, 3)  # worse without MREM, as the paper has it
    assert set(build(2, metrics, differences=None).changes.standing) == {""}


def test_one_training_is_no_method(file_of):
    metrics = {"full": file_of("full"), "no_mrem": file_of("no_mrem", quality=1.1)}
    table = build(2, metrics, differences=certain(metrics, trainings=1))
    measured = table.changes[table.changes.measured.notna()]
    assert set(measured.standing) == {"one training"} and table.standing(Standing.ONE_TRAINING) == (11, 12)
    assert table.standing(Standing.BEYOND_CHANCE) == (0, 0)
    few = build(2, metrics, differences=certain(metrics, images=12)).changes
    assert set(few[few.measured.notna()].standing) == {"too few images"}


def test_nan_in_a_result_is_refused_with_its_place(metrics_folder):
    path = metrics_folder / "full.json"
    content = json.loads(path.read_text())
    content["20-40%"]["SSIM"] = math.nan
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"full\.json: SSIM at 20-40% is nan; a result must be a finite number"):
        load_metrics(metrics_folder, {"full"})
