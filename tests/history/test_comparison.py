"""`python -m replication diff`: what it finds, what it does not, and the sentence for each bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from toy_checkouts import BUCKETS, PARAMETERS, REPORTED, Checkout

from replication.__main__ import main
from replication.errors import InputError
from replication.history.comparison import compare
from replication.history.revisions import Revision, flatten, open_revision
from replication.reporting.changes.formats import to_markdown
from replication.reporting.changes.page import to_page
from replication.reporting.changes.rows import (
    ABSENT,
    CHANCE,
    ONCE_IMPROVED,
    ONCE_MOVED,
    ONCE_WORSE,
    UNCHANGED,
    UNKNOWN,
    WORSE,
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("measured") / "checkout")
    made.evaluate("full", 1)
    made.evaluate("slots_32", 2)
    made.commit()
    return made.root


@pytest.fixture
def checkout(measured, tmp_path, monkeypatch):
    """A repository whose HEAD has the runs full and slots_32; it is the working directory."""
    root = tmp_path / "checkout"
    shutil.copytree(measured, root)
    monkeypatch.chdir(root)
    return Checkout(root, new=False)


@pytest.fixture
def cached(checkout, tmp_path, monkeypatch):
    """The same with the per-image results of HEAD at hand, as if DVC's cache had them."""
    kept = tmp_path / "kept"
    shutil.copytree(checkout.root / "data/results", kept)
    monkeypatch.setattr(Revision, "_fetch", lambda self, path: kept / path.name)
    return checkout


def diff(old="HEAD", new="workspace"):
    with open_revision(old) as before, open_revision(new) as after:
        return compare(before, after)


def verdicts(found, run="full") -> set[str]:
    return {row.verdict for row in found.rows if row.run == run}


def refused(capsys, *arguments: str) -> str:
    assert main(["diff", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error.removeprefix("error: ").strip()


# ------------------------------------------------------------------------------------------------ what it finds


def test_nothing_changed(checkout):
    found = diff()
    assert {row.verdict for row in found.rows} == {UNCHANGED} and found.tested == 0
    assert len(found.rows) == 2 * len(BUCKETS) * len(REPORTED)
    assert found.exit_code() == 0 and found.headline() == "No number changed."


def test_a_real_improvement_is_found_in_every_metric(cached):
    cached.evaluate("full", 3, better=0.3)
    found = diff()
    assert verdicts(found) == {ONCE_IMPROVED} and verdicts(found, "slots_32") == {UNCHANGED}
    assert {row.basis for row in found.rows if row.run == "full"} == {"paired"}
    assert found.tested == len(BUCKETS) * len(REPORTED) and found.exit_code() == 0
    # Lower is better for L1 and FD, higher for PSNR and SSIM.
    signs = {row.metric: (row.change > 0) - (row.change < 0) for row in found.rows if row.run == "full"}
    assert signs == {"L1_percent": -1, "FD": -1, "PSNR": 1, "SSIM": 1}


def test_worse_is_found_and_ends_with_1(cached, capsys):
    """Three trainings on both sides speak of the method; one speaks of these networks and fails no build."""
    cached.evaluate("full", 3, better=-0.3)
    assert ONCE_WORSE in verdicts(diff()) and WORSE not in verdicts(diff()) and main(["diff"]) == 0
    out = capsys.readouterr().out
    assert "▽ one training, for the worse" in out and "with fewer than 3 trainings behind them: " in out
    cached.evaluate("full", 1, seeds=3)
    shutil.rmtree(cached.root / "../kept/full")
    shutil.copytree(cached.root / "data/results/full", cached.root / "../kept/full")
    cached.commit()
    cached.evaluate("full", 3, better=-8, seeds=3)
    assert WORSE in verdicts(diff()) and main(["diff"]) == 1
    out = capsys.readouterr().out
    assert "▼ worse" in out and "Beyond chance: " in out and "\x1b" not in out


def test_noise_is_not_a_change(cached):
    cached.evaluate("full", 3)
    cached.evaluate("slots_32", 4)
    found = diff()
    assert {row.verdict for row in found.rows} == {CHANCE} and found.exit_code() == 0
    assert found.tested == 2 * len(BUCKETS) * len(REPORTED)


def test_other_images_are_not_paired_and_say_so(cached):
    cached.evaluate("full", 3, better=0.3, pairs=5)
    found = diff()
    rows = [row for row in found.rows if row.run == "full" and row.metric == "PSNR"]
    assert {row.verdict for row in rows} == {CHANCE} and {row.basis for row in rows} == {"unpaired"}
    assert rows[0].notes == ("unpaired: other images or masks",)


def test_without_the_cache_stored_intervals_serve_unpaired(checkout):
    checkout.evaluate("full", 3, better=-0.3)
    found = diff()
    rows = {(row.bucket, row.metric): row for row in found.rows if row.run == "full"}
    assert rows["1-20%", "PSNR"].verdict == CHANCE and rows["1-20%", "PSNR"].basis == "unpaired"
    commit = checkout.git("rev-parse", "--short=7", "HEAD")
    why = f"per-image results of HEAD ({commit}) are not in DVC's cache"
    assert rows["1-20%", "PSNR"].notes == (f"unpaired: {why}",)
    (told,) = found.unpaired
    assert told.startswith(f"Not paired: {len(rows)} numbers of full: {why}; to make them again: ")
    assert f"`git worktree add ../at-{commit} {commit}`" in told and "dvc pull" not in told  # there is no remote
    # A change that is larger than what the images vary is found without pairs, too.
    checkout.evaluate("full", 3, better=-8)
    assert ONCE_WORSE in verdicts(diff()) and diff().exit_code() == 0


def test_without_any_interval_a_change_is_shown_and_never_counts(checkout):
    checkout.evaluate("full", 1, intervals=False)
    checkout.commit()
    checkout.evaluate("full", 3, better=-8, intervals=False)
    found = diff()
    assert verdicts(found) == {UNKNOWN} and found.exit_code() == 0 and found.tested == 0
    row = next(row for row in found.rows if row.metric == "PSNR" and row.run == "full")
    assert row.change < -7 and row.interval is None and row.notable
    assert row.notes[0].startswith("uncertainty unknown: ") and "stores no interval" in row.notes[0]


def test_results_of_another_run_than_the_metrics_file_are_not_believed(cached):
    """As after `git checkout` without `dvc checkout`: the folder in the workspace is older than the file."""
    cached.evaluate("full", 3, better=0.3)
    file = cached.metrics("full").read_text()
    cached.evaluate("full", 9)
    cached.metrics("full").write_text(file)
    row = next(row for row in diff().rows if row.run == "full")
    assert row.basis == "unpaired" and "not those behind its metrics file" in row.notes[0]


def test_several_seeds(cached):
    cached.evaluate("full", 3, better=0.3, seeds=3)
    rows = [row for row in diff().rows if row.run == "full"]
    assert {row.basis for row in rows} == {"paired"} and {row.seeds for row in rows} == {1}
    assert all("3 seeds" not in row.cells()[-1] for row in rows)  # the old side has one


def test_without_the_cache_few_seeds_of_one_side_count(checkout):
    """Stored intervals of three seeds are t intervals with two degrees of freedom, whatever the other side has."""

    def p() -> float:
        (row,) = (r for r in diff().rows if (r.run, r.bucket, r.metric) == ("full", "1-20%", "PSNR"))
        assert row.basis == "unpaired"
        return row.judgement.p

    checkout.evaluate("full", 3, better=3.0, seeds=3)
    few = p()
    checkout.edit("full", lambda _, record: record.update(seeds=[0]))
    assert few > 10 * p()


def test_the_same_weights_measured_otherwise_are_noted(cached):
    cached.evaluate("full", 1, images=50, pairs=3)
    rows = [row for row in diff().rows if row.run == "full"]
    assert all(row.notes[0].startswith("same weights: ") for row in rows)


def test_a_change_that_no_table_shows_is_not_worse(cached):
    """Another processor: all images move the same way in the sixth decimal, which is 'significant'."""
    results = cached.root / "data/results/full/seed_0"
    table = pd.read_parquet(results / "per_image.parquet")
    table["PSNR"] -= 2e-4
    table.to_parquet(results / "per_image.parquet", index=False)

    def lower(content, record):
        for bucket in BUCKETS:
            content[bucket]["PSNR"] = round(content[bucket]["PSNR"] - 2e-4, 6)

    cached.edit("full", lower)
    row = next(row for row in diff().rows if row.run == "full" and row.metric == "PSNR")
    assert row.judgement.p < 0.05 and row.change < 0 and row.verdict == CHANCE


def test_a_metric_without_a_known_direction_never_gets_worse(cached):
    """Nothing in the protocol block, nothing in the registry: it is shown as moved."""

    def sharpen(*folders: str) -> None:
        for folder in folders:
            results = cached.root / folder / "full/seed_0/per_image.parquet"
            pd.read_parquet(results).assign(sharpness=lambda table: 2 * table.PSNR).to_parquet(results, index=False)
        cached.edit("full", lambda content, _: [content[b].update(sharpness=2 * content[b]["PSNR"]) for b in BUCKETS])

    sharpen("../kept")
    cached.commit()
    cached.evaluate("full", 3, better=-0.3)
    sharpen("data/results")
    assert {row.verdict for row in diff().rows if row.metric == "sharpness"} == {ONCE_MOVED}


def test_parameters_data_and_code_stand_beside(checkout):
    checkout.write("params.yaml", PARAMETERS | {"methods": {"toy": {"slots": 64, "mining": False}}})
    checkout.lock({"data/prepared/celebahq": "1" * 32, "data/prepared/ffhq": "2" * 32, "data/models/full": "3" * 32})
    found = diff()
    assert found.parameters == (("methods.toy.mining", ABSENT, False), ("methods.toy.slots", 128, 64))
    assert [key for key, *_ in found.data] == ["data/prepared/celebahq", "data/prepared/ffhq"]
    assert found.code[1] == found.code[0] + "+changes"
    assert {(origin.old, origin.new) for origin in found.origins} == {
        ("code of digest c0de1000", "code of digest c0de1000"),
        ("code of digest c0de2000", "code of digest c0de2000"),
    }


RAN = {"methods": {"toy": {"slots": 128, "lr": 1e-05}}}


def test_parameters_are_those_that_the_results_were_made_with(checkout, capsys):
    """params.yaml may be edited and not run, or committed before its results."""
    checkout.write("params.yaml", {"profile": "toy", **RAN})
    checkout.lock({}, train=RAN)
    before = checkout.commit()
    edited = {"toy": {"slots": 64, "lr": 1e-05, "mining": False}}
    checkout.write("params.yaml", {"profile": "toy", "methods": edited})
    found = diff(before)
    assert found.parameters == ()
    assert found.unrun == (
        "methods.toy.mining is false in params.yaml of the workspace, but results there were made with (none)",
        "methods.toy.slots is 64 in params.yaml of the workspace, but results there were made with 128",
    )
    main(["diff", before])
    out = " ".join(capsys.readouterr().out.split())
    assert "parameters unchanged" in out and "not run methods.toy.mining is false in params.yaml" in out
    assert "slots is 64" in to_page(found) and "slots is 64" in to_markdown(found)
    assert found.edited and "`make repro` measures" in out

    early = checkout.commit("parameters before their results")
    checkout.lock({}, train={"methods.toy": edited["toy"]})
    found = diff(early)
    assert [(key, *values) for key, *values in found.parameters] == [
        ("methods.toy.mining", ABSENT, False),
        ("methods.toy.slots", 128, 64),
    ]
    assert all(f"params.yaml of {early[:7]}" in text for text in found.unrun) and len(found.unrun) == 2
    assert not found.edited and "make repro" not in found.headline()  # nothing can be run in a revision


def test_stages_that_were_run_with_different_values(checkout):
    checkout.write("params.yaml", {"seed": 1})
    checkout.lock({}, coarse={"seed": 0}, parser={"seed": 0}, train={"seed": 1})
    assert {key: new for key, _, new in diff().parameters}["seed"] == "0 (coarse, parser), 1 (train)"
    # A stage that dvc.yaml no longer has is no longer asked.
    checkout.write("dvc.yaml", {"stages": {name: {"cmd": "true"} for name in ("train", "all")}})
    assert {key: new for key, _, new in diff().parameters}["seed"] == 1


def test_runs_that_were_added_or_removed_and_not_run(checkout):
    def stages(*names: str) -> dict:
        body = {"cmd": "true", "params": ["runs.toy.${key}"]}
        checkout.write("params.yaml", PARAMETERS | {"runs": {"toy": {name: {"dataset": "celebahq"} for name in names}}})
        return {"stages": {"train_toy": {"foreach": "${runs.toy}", "do": body}}}

    checkout.evaluate("slots_64", 5)
    checkout.write("dvc.yaml", stages("full", "slots_64"))
    checkout.lock(
        {}, **{f"train_toy@{name}": {f"runs.toy.{name}": {"dataset": "celebahq"}} for name in ("full", "slots_64")}
    )
    before = checkout.commit()
    checkout.write("dvc.yaml", stages("full", "wide"))
    found = diff(before)
    assert found.parameters == () and len(found.unrun) == 2
    assert found.unrun[0].startswith("runs.toy.slots_64.dataset is (none) in params.yaml of the workspace")
    assert found.unrun[1].startswith("runs.toy.wide.dataset is celebahq in params.yaml of the workspace")


def test_a_renamed_stage_has_no_say(checkout):
    """dvc.lock keeps what dvc.yaml no longer has."""
    body = {"cmd": "true", "params": ["runs.toy.${key}"]}
    checkout.write("params.yaml", PARAMETERS | {"runs": {"toy": {"full": {"dataset": "celebahq"}}}})
    checkout.write("dvc.yaml", {"stages": {"train_toy": {"foreach": "${runs.toy}", "do": body}}})
    checkout.lock({}, **{"train_toy@full": {"runs.toy.full": {"dataset": "celebahq"}}, "train@full": {"toy": {"a": 1}}})
    with open_revision("workspace") as revision:
        assert "toy.a" not in revision.parameters and revision.parameters["runs.toy.full.dataset"] == "celebahq"


def test_a_revision_from_before_methods_and_runs(checkout, capsys):
    """Its results have a commit and no digest of the code, its parameters a section of each system at the top."""
    checkout.write(
        "params.yaml",
        {
            "seed": 0,
            "toy": {"slots": 64, "bank_pairs": 8},
            "run": {"device": "cpu"},
            "experiments": {"full": {"dataset": "celebahq"}},
            "baselines": {"slots_32": {"method": "other", "dataset": "ffhq"}},
        },
    )
    for run in ("full", "slots_32"):
        checkout.edit(run, lambda content, record: record.update(commit=record.pop("code")[:4] + "abc"))
    old = checkout.commit("the layout of old")
    runs = {"toy": {"full": {"dataset": "celebahq"}}, "other": {"slots_32": {"dataset": "celebahq"}}}
    sections = {"toy": {"slots": 128}, "other": {"width": 4}}
    checkout.write("params.yaml", {"seed": 0, "compute": {"device": "cpu"}, "methods": sections, "runs": runs})
    checkout.evaluate("full", 1)
    checkout.evaluate("slots_32", 2)
    found = diff(old)
    changed = (("methods.toy.slots", 64, 128), ("runs.other.slots_32.dataset", "ffhq", "celebahq"))
    assert found.parameters == changed and {row.verdict for row in found.rows} == {UNCHANGED}
    assert found.layouts == (
        "written in another layout since: 2 keys of the older one and 1 of the newer one have no counterpart, and are "
        "not compared"
    )
    assert [(origin.old, origin.new) for origin in found.origins] == [
        ("commit c0deabc", "code of digest c0de1000"),
        ("commit c0deabc", "code of digest c0de2000"),
    ]
    with open_revision("workspace") as new, open_revision(old) as before:
        back = compare(new, before)
    assert back.parameters == tuple((key, b, a) for key, a, b in changed) and back.layouts == found.layouts
    assert main(["diff", old]) == 0
    assert "written in another layout since" in capsys.readouterr().out


def test_results_that_do_not_say_what_made_them(checkout):
    checkout.edit("full", lambda content, record: record.pop("code"))
    assert ("code of digest c0de1000", "not recorded") in {(origin.old, origin.new) for origin in diff().origins}


@pytest.mark.parametrize(
    "body",
    ["train:", "train: {deps: [a]}", "train: {foreach: , do: {cmd: a}}", "train: {foreach: [a]}", "train: {cmd: 3}"],
)
def test_a_half_edited_pipeline_has_no_say(checkout, body):
    checkout.lock({}, train={"methods.toy": {"slots": 128}})
    checkout.commit()
    (checkout.root / "dvc.yaml").write_text(f"stages:\n  {body}\n")
    assert diff().parameters == () and diff().unrun == ()


@pytest.mark.parametrize("edited", [0, 1e-5])
def test_small_numbers_are_numbers(checkout, edited):
    """DVC writes 1e-05, which YAML 1.1 reads as text."""
    checkout.write("params.yaml", {"methods": {"toy": {"lr": 1e-05}}})
    for name in ("params.yaml", "dvc.lock"):
        checkout.lock({}, train={"methods.toy": {"lr": 1e-05}})
        path = checkout.root / name
        path.write_text(path.read_text().replace("1.0e-05", "1e-05"))
    checkout.commit()
    checkout.write("params.yaml", {"methods": {"toy": {"lr": edited}}})
    assert diff().parameters == () and len(diff().unrun) == (edited == 0)


def test_two_revisions(checkout):
    first = checkout.git("rev-parse", "HEAD")
    checkout.evaluate("full", 3, better=-8)
    checkout.commit("worse")
    found = diff(first[:10], "HEAD")
    assert found.old == first[:7] and found.new.startswith("HEAD (") and ONCE_WORSE in verdicts(found)
    assert verdicts(diff("HEAD", first)) == {ONCE_IMPROVED}
    assert verdicts(diff()) == {UNCHANGED}


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {}}, "d": [2, {"e": 3}]}) == {"a.b": 1, "a.c": {}, "d": [2, {"e": 3}]}


# ------------------------------------------------------------------------------------------------ not compared


def gaps(found) -> dict[str, set[tuple[str, str, str]]]:
    groups: dict[str, set[tuple[str, str, str]]] = {}
    for gap in found.gaps:
        groups.setdefault(gap.reason, set()).add((gap.run, gap.bucket, gap.metric))
    return groups


def test_runs_buckets_and_metrics_of_one_revision_only(checkout):
    checkout.evaluate("slots_64", 5)
    checkout.metrics("slots_32").unlink()
    checkout.edit("full", lambda content, record: (content["1-20%"].pop("SSIM"), content["1-20%"].update(LPIPS=0.1)))
    found = diff()
    head = str(open_revision("HEAD"))
    assert gaps(found) == {
        "added: only in the workspace": {("slots_64", "", ""), ("full", "1-20%", "LPIPS")},
        f"removed: only in {head}": {("slots_32", "", ""), ("full", "1-20%", "SSIM")},
    }
    assert found.exit_code() == 0


def test_another_protocol_version(checkout, capsys):
    checkout.edit("full", lambda content, record: record["protocol"].update(version=3))
    found = diff()
    head = str(open_revision("HEAD"))
    reason = (
        f"protocol version 2 in {head}, 3 in the workspace: numbers measured by different protocols are not compared"
    )
    assert gaps(found) == {reason: {("full", "", "")}} and found.exit_code() == 0
    checkout.edit("slots_32", lambda content, record: record["protocol"].update(version=3))
    assert refused(capsys) == f"nothing can be compared: {reason}: full, slots_32"


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"dataset": "ffhq"}, "data set celebahq, then ffhq: other images, so numbers are not compared"),
        ({"image_size": 32}, "image_size 64, then 32: other images, so numbers are not compared"),
    ],
)
def test_results_on_other_images(checkout, change, sentence):
    checkout.edit("full", lambda content, record: record.update(change))
    assert gaps(diff()) == {sentence: {("full", "", "")}}


def test_frechet_distances_that_measure_something_else(checkout):
    places = {("full", bucket, "FD") for bucket in BUCKETS}
    checkout.evaluate("full", 3, images=50)
    found = diff()
    assert gaps(found) == {"FD is biased in the number of images (60, then 50)": places}
    assert {row.metric for row in found.rows if row.run == "full"} == {"L1_percent", "PSNR", "SSIM"}
    checkout.evaluate("full", 3)
    checkout.lock({"data/models/look/network": "9" * 32})
    reason = "FD in the features of another network (its weights or its name changed)"
    assert gaps(diff())[reason] == places | {("slots_32", bucket, "FD") for bucket in BUCKETS}


def test_nan_in_a_result(checkout, capsys):
    checkout.edit("full", lambda content, record: content["1-20%"].update(PSNR=float("nan")))
    assert main(["diff"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: not a finite number (nan) in the workspace: full (PSNR in 1-20%)\n"
    assert "Not compared" in captured.out and "16 numbers" not in captured.out and "15 numbers" in captured.out
    checkout.evaluate("full", 3, better=-8)
    checkout.edit("full", lambda content, record: content["1-20%"].update(PSNR=None))
    assert main(["diff"]) == 2 and ONCE_WORSE in verdicts(diff())


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "reports/metrics/full.json in the workspace is not valid JSON"),
        ("[]", "reports/metrics/full.json in the workspace is not a metrics file"),
        ('{"1-20%": 3}', "reports/metrics/full.json in the workspace is not a metrics file"),
    ],
)
def test_a_broken_metrics_file(checkout, capsys, text, sentence):
    checkout.metrics("full").write_text(text)
    assert refused(capsys).startswith(sentence)
    assert {row.run for row in diff().rows} == {"slots_32"}


# ------------------------------------------------------------------------------------------------ bad input


def test_a_revision_that_does_not_exist(checkout, capsys):
    for name in ("nowhere", "HEAD~9", "--all-is-lost", "HEAD..HEAD"):
        with pytest.raises(InputError, match=f"revision '{name}' does not exist here; give a commit, a tag, a branch"):
            open_revision(name)
    assert refused(capsys, "nowhere").startswith("revision 'nowhere' does not exist here")


def test_a_revision_without_results(checkout, capsys):
    shutil.rmtree(checkout.root / "reports")
    assert refused(capsys).startswith("the workspace has no results: reports/metrics holds no metrics file there")
    checkout.commit("nothing left")
    assert refused(capsys, "HEAD", "HEAD~1").startswith("HEAD (")


def test_no_git_repository(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert refused(capsys) == (
        f"there are no revisions to compare: git says of {tmp_path}: not a git repository (or any of the parent "
        "directories): .git"
    )


def test_a_folder_that_git_refuses_as_another_owners(checkout, monkeypatch, capsys):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    said = refused(capsys)
    assert "detected dubious ownership in repository" in said and "git repository, so" not in said
    assert f"`git config --global --add safe.directory {checkout.root}` allows it" in said


def test_a_shallow_clone_says_that_it_is_one(checkout, tmp_path, monkeypatch, capsys):
    checkout.evaluate("full", 3)
    checkout.commit("more")
    checkout.git("clone", "-q", "--depth", "1", f"file://{checkout.root}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    said = refused(capsys, "HEAD~1", "HEAD")
    assert said.startswith("revision 'HEAD~1' is not in this clone, which is shallow")
    assert "`git fetch --unshallow` brings the whole history" in said
    Checkout(tmp_path / "shallow", new=False).git("fetch", "-q", "--unshallow")
    assert main(["diff", "HEAD~1", "HEAD"]) == 0


def test_a_repository_without_commits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(Checkout(tmp_path / "checkout").root)
    assert refused(capsys).startswith("revision 'HEAD' does not exist here")


@pytest.mark.parametrize("name", ["params.yaml", "dvc.lock"])
def test_broken_yaml(checkout, capsys, name):
    (checkout.root / name).write_text("a: [")
    assert refused(capsys).startswith(f"{name} in the workspace is not valid YAML at line 2: ")
    (checkout.root / name).write_text("a: 1\na: 2\n")
    assert refused(capsys) == f"{name} in the workspace: a is given twice, at lines 1 and 2"


# ------------------------------------------------------------------------------------------------ outputs and DVC


def test_files_are_written(cached, tmp_path, capsys):
    cached.evaluate("full", 3, better=0.3)
    page, text = tmp_path / "out" / "diff.html", tmp_path / "diff.md"
    assert main(["diff", "--html", str(page), "--markdown", str(text)]) == 0
    assert page.read_text().startswith("<!DOCTYPE html>") and text.read_text().startswith("## HEAD (")
    short = capsys.readouterr().out
    assert "= unchanged" not in short and "--all lists them" in short
    assert main(["diff", "--all"]) == 0 and capsys.readouterr().out.count("= unchanged") == len(BUCKETS) * len(REPORTED)


def dvc(root, *arguments: str) -> None:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, capture_output=True, env=environment
    )


COPY = "cp -r made/full data/results/ && cp made/full.json reports/metrics/"
"""What the stage of `cloned` does: results are drawn beforehand, into the folder that it depends on."""


def draw(checkout: Checkout, training: int, stamp: str, **options) -> None:
    """What the stage is to make: results of network number `training`, whose cards bear a stamp."""
    shutil.rmtree(checkout.root / "data/results", ignore_errors=True)
    checkout.evaluate("full", training, **options)
    for card in checkout.root.glob("data/results/full/seed_*/card.json"):
        content = json.loads(card.read_text())
        content["metrics"]["made_by"][0]["code"] = stamp
        card.write_text(json.dumps(content))
    checkout.edit("full", lambda content, record: record.update(code=stamp))
    shutil.rmtree(checkout.root / "made", ignore_errors=True)
    shutil.move(checkout.root / "data/results/full", checkout.root / "made/full")
    shutil.move(checkout.metrics("full"), checkout.root / "made/full.json")


@pytest.fixture
def cloned(tmp_path, monkeypatch):
    """A fresh clone of a repository whose committed results DVC has made: without its cache."""
    origin = Checkout(tmp_path / "origin")
    (origin.root / ".gitignore").write_text("/data/\n/made/\n")
    dvc(origin.root, "init", "-q")
    (origin.root / "dvc.lock").unlink()
    outs = ["data/results/full", {"reports/metrics/full.json": {"cache": False}}]
    origin.write("dvc.yaml", {"stages": {"evaluate": {"cmd": COPY, "deps": ["made"], "outs": outs}}})
    draw(origin, 1, "older code")
    dvc(origin.root, "repro", "-q")
    origin.commit()
    origin.git("clone", "-q", str(origin.root), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    return Checkout(tmp_path / "clone", new=False)


def test_a_fresh_clone_finds_equal_results_by_their_numbers(cloned, capsys):
    """Clone, make everything, change one thing, make everything, compare: what the first time made is behind HEAD."""
    draw(cloned, 1, "the code of today")
    dvc(cloned.root, "repro", "-q")
    assert cloned.git("diff", "--name-only").split() == ["dvc.lock", "reports/metrics/full.json"]  # the stamp alone
    draw(cloned, 3, "the code of today", better=0.3)
    dvc(cloned.root, "repro", "-q")
    found = diff()
    assert (
        found.unpaired == () and {row.basis for row in found.rows} == {"paired"} and verdicts(found) == {ONCE_IMPROVED}
    )

    for path in cloned.root.glob(".dvc/cache/files/md5/*/*"):
        if b"PAR1" in path.read_bytes():
            path.unlink()  # a table of per-image results: what remains is no longer whole
    assert {row.basis for row in diff().rows} == {"unpaired"} and len(diff().unpaired) == 1


def test_results_with_other_numbers_are_never_taken_for_those_of_a_revision(cloned, capsys):
    """As on another processor: what the clone made first is close to HEAD, and not HEAD."""
    draw(cloned, 1, "the code of today", better=0.01)
    dvc(cloned.root, "repro", "-q")
    draw(cloned, 3, "the code of today", better=0.3)
    dvc(cloned.root, "repro", "-q")
    assert main(["diff"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(
        f"  Not paired: {len(BUCKETS) * len(REPORTED)} numbers of full: per-image results of HEAD"
    )
    assert any("Per-image results are missing, so that small changes cannot be seen." in line for line in lines)


def test_results_of_a_revision_come_out_of_dvcs_cache(tmp_path, monkeypatch, capsys):
    checkout = Checkout(tmp_path / "checkout")
    monkeypatch.chdir(checkout.root)
    dvc(checkout.root, "init", "-q")
    checkout.write("dvc.yaml", {"stages": {"evaluate": {"cmd": "true", "outs": ["data/results/full"]}}})
    (checkout.root / "dvc.lock").unlink()
    checkout.evaluate("full", 1)
    dvc(checkout.root, "commit", "-f", "-q")
    checkout.commit()
    shutil.rmtree(checkout.root / "data")
    checkout.evaluate("full", 3, better=0.3)
    with open_revision("HEAD") as old, open_revision("workspace") as new:
        found = compare(old, new)
        fetched = old._fetched
        assert (fetched / "full/seed_0/per_image.parquet").is_file()
    assert not fetched.exists()
    assert verdicts(found) == {ONCE_IMPROVED} and {row.basis for row in found.rows} == {"paired"}

    shutil.rmtree(checkout.root / ".dvc/cache")
    found = diff()
    assert {row.basis for row in found.rows} == {"unpaired"}
    assert "are not in DVC's cache" in found.unpaired[0] and "dvc pull" not in found.unpaired[0]
    dvc(checkout.root, "remote", "add", "-d", "store", str(tmp_path / "store"))
    assert "`dvc pull` in a checkout of it brings what the remote has" in diff().unpaired[0]
    assert json.loads(checkout.metrics("full").read_text())["made_by"][0]["intervals"]
