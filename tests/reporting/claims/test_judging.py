from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from replication.errors import InputError
from replication.evaluation.verdicts import Change
from replication.papers import PAPERS, load_claims, load_tables
from replication.reporting.claims import judging as module
from replication.reporting.claims.judging import (
    COLUMNS,
    VERDICTS,
    claim_buckets,
    claim_metrics,
    judge_claims,
    read_claims_csv,
    write_claims_csv,
)
from replication.reporting.placement import rows_of

ROWS = rows_of("showface")
DRAWS = 50_000  # enough that two-sided claims of 144 parts can be judged


def sure(metrics: dict[str, dict]) -> dict[tuple[str, str, str], np.ndarray]:
    """Draws without any spread."""
    return {
        (name, bucket, metric): np.full(DRAWS, float(value))
        for name, file in metrics.items()
        for bucket, values in file.items()
        if bucket != "made_by"
        for metric, value in values.items()
    }


def between(metrics: dict[str, dict], draws):
    """Differences whose p values are the shares of the draws; the trainings are those of the metrics files."""

    def change(reference, other, margin: float = 0.0) -> Change:
        drawn = draws[other] - draws[reference] - margin
        tail = (min((drawn > 0).sum(), (drawn < 0).sum()) + 1) / (len(drawn) + 1)
        value = metrics[other[0]][other[1]][other[2]] - metrics[reference[0]][reference[1]][reference[2]]
        records = [metrics[name]["made_by"][0] for name, *_ in (reference, other)]
        return Change(
            value,
            value,
            value,
            min(1.0, 2 * tail) if margin or drawn.any() else 1.0,
            True,
            images=min(record["images_per_bucket"] for record in records),
            trainings=min(len(record["seeds"]) for record in records),
            same_networks=reference[0] == other[0],
        )

    return change


def claims_of(metrics: dict[str, dict], draws=None) -> pd.DataFrame:
    draws = sure(metrics) if draws is None else draws
    return judge_claims(metrics, draws, between(metrics, draws))


def judged(metrics: dict[str, dict], draws=None) -> pd.DataFrame:
    return claims_of(metrics, draws).set_index("id")


@pytest.fixture
def modules(file_of):
    """Table 2, where the fuller model is better in every cell."""
    names = ("full", "no_mrem", "no_mrem_no_dmm")
    return {name: file_of(name, quality=1 + 0.1 * i) for i, name in enumerate(names)}


def test_every_claim_has_a_row_in_the_papers_order(metrics):
    for given in (metrics, {}):
        table = claims_of(given)
        assert tuple(table.columns) == COLUMNS
        assert list(zip(table.paper, table.id, strict=True)) == [(p, c) for p in PAPERS for c in load_claims(p).id]
        assert set(table.verdict) <= set(VERDICTS)
        assert (table.sentence != "").all() and (table["where"] != "").all() and (table.paper_evidence != "").all()
        assert (table.measured_evidence != "").all()


def test_the_papers_column_is_the_recorded_answer(metrics):
    recorded = pd.concat([load_claims(paper) for paper in PAPERS]).holds_in_paper
    table = claims_of(metrics)
    assert list(table.paper_supports) == list(recorded)
    assert table.paper_supports.sum() == 21 and len(table) == 34


def test_without_results_nothing_is_judged():
    table = judged({})
    assert set(table.verdict) == {"not run"}
    assert table.probability.isna().all() and not table.comparable.any() and set(table.profile) == {""}
    assert "run no_mrem was not measured" in table.measured_evidence["C14"]


@pytest.mark.parametrize(
    ("failing", "verdict"),
    [
        (0.0, "same direction"),
        (0.024, "same direction"),  # p = 0.048, the largest of the family
        (0.026, "not resolved"),
        (0.5, "not resolved"),
        (0.974, "not resolved"),
        (0.976, "opposite here"),  # p = 0.048, the largest of the family once more
        (1.0, "opposite here"),
    ],
)
def test_thresholds(modules, failing, verdict):
    draws = sure(modules)
    draws["no_mrem", "20-40%", "PSNR"] = np.where(np.arange(DRAWS) < failing * DRAWS, -1.0, 30.0)
    if failing > 0.5:
        modules["no_mrem"]["20-40%"]["PSNR"] = -1.0
    row = judged(modules, draws).loc["C13"]
    assert (row.verdict, row.probability) == (verdict, pytest.approx(1 - failing))
    assert row.runs == "no_mrem; no_mrem_no_dmm"
    assert (row.trainings, row.images, row.direction) == (3, 200, "mixed" if failing > 0.5 else "same")


def test_the_probability_is_that_of_all_comparisons_at_once(modules):
    # Twelve comparisons that fail in different draws: each is likely, together they are not.
    draws = sure(modules)
    for i, ratio in enumerate(("1-20%", "20-40%", "40-60%")):
        for k, metric in enumerate(("L1_percent", "FD", "PSNR", "SSIM")):
            failing = (4 * i + k) * DRAWS // 25
            worse = -1.0 if metric in ("PSNR", "SSIM") else 1e3
            draws["no_mrem", ratio, metric][failing : failing + DRAWS // 25] = worse
    row = judged(modules, draws).loc["C13"]
    assert (row.verdict, row.probability) == ("not resolved", 0.52)
    assert "Taken together: 12 within chance." in row.measured_evidence


@pytest.mark.parametrize(("seeds", "word"), [([1], "one training"), ([1, 2], "two trainings")])
def test_few_trainings_are_no_verdict_about_methods(modules, seeds, word):
    modules["no_mrem"]["made_by"][0]["seeds"] = seeds
    table = judged(modules)
    row = table.loc["C14"]
    assert (row.verdict, row.direction, row.trainings) == (word, "same", len(seeds))
    assert "12 hold and 0 fail by more than the images explain, with" in row.measured_evidence
    modules["no_mrem"], modules["full"] = (modules[name] for name in ("full", "no_mrem"))
    modules["full"]["made_by"][0]["seeds"] = [1]
    row = judged(modules).loc["C14"]
    assert (row.verdict, row.direction) == ("one training", "opposite")
    # C12 has a firm comparison that goes the claim's way and others that one training cannot tell.
    assert judged(modules).verdict["C12"] == "one training"


def test_a_firm_comparison_refutes_beside_loose_ones(modules, file_of):
    modules["full"], modules["no_mrem_no_dmm"] = modules["no_mrem_no_dmm"], modules["full"]
    modules["no_mrem"]["made_by"][0]["seeds"] = [1]
    assert judged(modules).verdict["C12"] == "opposite here"


def test_few_images_are_no_verdict(modules):
    for file in modules.values():
        file["made_by"][0]["images_per_bucket"] = 29
    row = judged(modules).loc["C13"]
    assert (row.verdict, row.images) == ("too few images", 29)


def test_one_run_in_several_buckets_is_one_training(metrics):
    """Two buckets of one run hold the same networks; whether quality falls with the holes is asked of the method."""
    for file in metrics.values():
        file["made_by"][0]["seeds"] = [1]
    assert judged(metrics).verdict["C24"] == "one training"


def test_rules_need_trainings_too(metrics, file_of):
    metrics["slots_512"] = file_of("slots_512", quality=1.5)
    assert judged(metrics).verdict["C22"] in ("same direction", "opposite here")
    metrics["slots_512"]["made_by"][0]["seeds"] = [1]
    row = judged(metrics).loc["C22"]
    assert row.verdict == "one training" and row.direction in ("same", "opposite")


ABLATIONS = ("C12", "C13", "C14", "C15", "C16", "C17", "C18", "C19", "C22")


def noisy(file_of, quality, seed: int, draws: int = 20_000):
    """Every run measured once with noise, and draws of that same noise about what was measured."""
    noise = np.random.default_rng(seed)
    metrics, drawn = {}, {}
    printed = [(n, d, m) for n, t in load_tables("showface").items() for d, m in zip(t.dataset, t.method, strict=True)]
    for name in dict.fromkeys(ROWS[row] for row in printed if row in ROWS):
        metrics[name] = file_of(name, quality=quality(name))
        for bucket in ("1-20%", "20-40%", "40-60%"):
            for metric, value in metrics[name][bucket].items():
                spread = 0.02 * abs(value)
                metrics[name][bucket][metric] = value + spread * noise.standard_normal()
                drawn[name, bucket, metric] = metrics[name][bucket][metric] + spread * noise.standard_normal(draws)
    return metrics, drawn


def test_what_nothing_resolves_is_not_contradicted(file_of):
    """All runs equal: no claim of many comparisons holds in any draw, and none is refuted either."""
    contradicted, low = 0, 0
    for seed in range(10):
        table = judged(*noisy(file_of, lambda name: 1.0, seed)).loc[[*ABLATIONS]]
        assert "not run" not in set(table.verdict)
        contradicted += (table.verdict == "opposite here").sum()
        low += (table.probability < 0.05).sum()
    assert low > 60  # of 90: the probability of the whole alone would call all these contradicted
    assert contradicted <= 0.05 * 10 * len(ABLATIONS)


def test_one_comparison_that_surely_fails_contradicts(file_of):
    table = judged(*noisy(file_of, lambda name: 0.7 if name == "slots_64" else 1.0, seed=1))
    assert table.verdict[["C15", "C18"]].to_list() == ["not resolved", "opposite here"]
    # A valley at m = 128 rules out a peak there and a peak at 64 with nothing below it to the right.
    table = judged(*noisy(file_of, lambda name: 1.5 if name == "full" else 1.0, seed=1))
    assert table.verdict["C22"] == "opposite here"


def test_a_claim_about_each_method_is_judged_on_those_measured(metrics):
    row = judged(metrics).loc["C24"]
    assert (row.verdict, row.probability) == ("same direction", 1.0)
    assert row.measured_evidence.startswith("Judged on the methods that were measured. No run measures Deep")
    metrics["full"]["40-60%"]["SSIM"] = 0.99  # better than with smaller holes
    assert judged(metrics).verdict["C24"] == "opposite here"


def test_flipped_numbers_flip_the_verdict(modules, file_of):
    assert judged(modules).verdict[["C12", "C13", "C14"]].to_list() == ["same direction"] * 3
    flipped = {"full": modules["no_mrem_no_dmm"], "no_mrem": modules["no_mrem"], "no_mrem_no_dmm": modules["full"]}
    table = judged(flipped)
    assert table.verdict[["C12", "C13", "C14"]].to_list() == ["opposite here"] * 3
    assert table.measured_evidence["C14"].startswith("0 of 12 comparisons hold; not: ")


def test_a_missing_run_is_named(metrics):
    # The fixture has every run but slots_512, and `full` better than all others.
    table = judged(metrics)
    assert table.verdict["C18"] == "not run" and np.isnan(table.probability["C18"])
    assert table.measured_evidence["C18"].startswith("Not run: run slots_512 was not measured. 36 of 36")
    assert "that could be made (of 48) hold" in table.measured_evidence["C18"]
    assert "slots_512" not in table.runs["C18"]
    assert table.measured_evidence["C23"] == "Not run: no run measures ICT, DeepFillv2, PIC, CTSDG, DSI."


def test_what_was_run_may_refute_a_claim_that_lacks_a_run(metrics, file_of):
    metrics = metrics | {"slots_64": file_of("slots_64", quality=0.5)}
    row = judged(metrics).loc["C18"]
    assert (row.verdict, row.probability) == ("opposite here", 0.0)
    assert row.measured_evidence.startswith("Refuted by what was run: P is at most this. Run slots_512 was not")


def test_a_missing_number_and_missing_draws_are_named(modules):
    draws = sure(modules)
    del modules["no_mrem"]["40-60%"]["SSIM"], draws["full", "1-20%", "FD"]
    table = judged(modules, draws)
    assert table.verdict["C14"] == "not run"
    assert "run no_mrem has no SSIM at 40-60%" in table.measured_evidence["C14"]
    assert "run full has no FID at 1-20%" in table.measured_evidence["C14"]


def test_draws_that_cannot_be_used_are_refused(modules):
    draws = sure(modules)
    draws["full", "1-20%", "PSNR"][3] = np.nan
    with pytest.raises(InputError, match="full, 1-20%, PSNR: the draws hold NaN"):
        claims_of(modules, draws)
    draws = sure(modules) | {("no_mrem", "1-20%", "SSIM"): np.ones(DRAWS - 1)}
    with pytest.raises(InputError, match="no_mrem, 1-20%, SSIM: 49999 draws"):
        claims_of(modules, draws)


def test_amounts_of_the_paper_are_not_judged_on_other_data(metrics):
    table = judged(metrics)
    amounts = load_claims("showface").query("kind == 'amount'").id
    assert set(table.verdict[amounts]) == {"not comparable"}
    assert table.probability[amounts].isna().all() and not table.comparable.any()
    assert "the amount belongs to the paper's data" in table.measured_evidence["C01"]
    assert "No run measures DeepFillv2, PIC" in table.measured_evidence["C01"]


def test_runs_that_do_not_compare_are_not_judged(modules, file_of):
    modules["no_mrem"] = file_of("no_mrem", quality=1.1, image_size=128)
    row = judged(modules).loc["C14"]
    assert row.verdict == "not comparable" and "runs differ in image size" in row.measured_evidence
    modules["no_mrem"] = file_of("no_mrem", quality=1.1, frechet="FID")
    row = judged(modules).loc["C14"]
    assert row.verdict == "not comparable" and "some runs have FD and some FID" in row.measured_evidence


def test_fd_is_not_called_fid_and_drawn_faces_not_celebahq(metrics, file_of):
    for name, quality in (("full_ffhq", 1.0), ("pconv_ffhq", 0.1)):
        metrics[name] = file_of(name, quality=quality, dataset_title="drawn faces, in the wild")
    table = judged(metrics)
    for claim in ("C10", "C14", "C27"):
        text = table.measured_evidence[claim]
        assert text.endswith("FD stands in for FID.") and "FID" not in text.removesuffix("FD stands in for FID.")
    assert "on drawn faces, in the wild: Ours 3.000, PConv 0.300" in table.measured_evidence["C27"]
    judged_rows = table[table.probability.notna()]
    assert not judged_rows.measured_evidence.str.contains("CelebA-HQ|FFHQ").any()


def test_a_perfect_replication_gets_the_papers_own_answers(monkeypatch, file_of):
    """Every printed row measured, with the printed numbers: each verdict is then the recorded answer."""
    rows, metrics = {}, {}
    for number, table in load_tables("showface").items():
        for cell in table.itertuples():
            key = (number, cell.dataset, cell.method)
            rows[key] = ROWS.get(key, f"{cell.method}_{cell.dataset}")
            name = rows[key]
            if name not in metrics:
                made = file_of(name, profile="paper", comparable=True, dataset=name, pairs="")["made_by"]
                metrics[name] = {"made_by": made}
            metrics[name].setdefault(cell.mask_ratio, {})[cell.metric] = cell.value
    monkeypatch.setattr(module, "rows_of", lambda paper: rows if paper == "showface" else rows_of(paper))
    table = judged(metrics).query("paper == 'showface'")
    recorded = load_claims("showface").set_index("id")
    run = table[~recorded.kind.isin(["print", "count"])]
    assert len(run) == 23
    expected = recorded.holds_in_paper[run.index].map({True: "supported", False: "contradicted"})
    expected["C19"] = "not resolved"  # 11 of 12 cells hold; the twelfth prints a tie, which refutes nothing for good
    assert run.verdict.to_list() == expected.to_list()
    assert set(run.probability) == {0.0, 1.0} and run.comparable.all()
    assert (run.measured_evidence.str.split(" Taken").str[0] == run.paper_evidence.str.split(" Taken").str[0]).all()


def test_claims_about_print_and_counts_are_not_run(metrics):
    table = judged(metrics)
    assert table.verdict[["C20", "C21", "C25", "C26"]].to_list() == ["not run"] * 4
    assert table.measured_evidence["C21"] == "Not run: it is about the paper's own print."
    assert table.runs["C25"] == ""


def test_metrics_that_claims_read():
    assert {"L1_percent", "FID", "FD", "PSNR", "SSIM"} <= claim_metrics()
    assert {"1-20%", "20-40%", "40-60%"} <= claim_buckets()


def test_only_ablations_have_to_be_trained_equally_long(metrics, file_of):
    for name in ("pconv", "pconv_ffhq"):
        metrics[name] = file_of(name, quality=2, steps=3)
    assert judged(metrics).verdict["C24"] == "same direction"  # Table 1 compares different systems
    metrics["no_mrem"] = file_of("no_mrem", quality=1.5, steps=3)
    row = judged(metrics).loc["C14"]
    assert row.verdict == "not comparable" and "runs differ in training steps" in row.measured_evidence


def test_the_file_comes_back_as_it_was_written(tmp_path, metrics, modules):
    draws = sure(modules)
    draws["no_mrem", "20-40%", "PSNR"][:50] = 0
    table = claims_of(modules, draws)
    path = write_claims_csv(table, tmp_path / "claims.csv")
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    pd.testing.assert_frame_equal(read_claims_csv(path), table, check_dtype=False)
    first = path.read_bytes()
    assert write_claims_csv(claims_of(modules, draws), path).read_bytes() == first


def test_a_file_of_another_version_is_refused(tmp_path, metrics):
    path = write_claims_csv(claims_of(metrics), tmp_path / "claims.csv")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match="another version of the claims"):
        read_claims_csv(path)
    path.write_text("".join([lines[0].replace("verdict", "answer"), *lines[1:]]))
    with pytest.raises(InputError, match="has columns"):
        read_claims_csv(path)
    path.write_text("".join(lines).replace(",True,", ",yes,"))
    with pytest.raises(InputError, match="another version of the claims"):
        read_claims_csv(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_claims_csv(tmp_path / "nothing.csv")
