"""dvc.yaml expanded without DVC, held against DVC itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from replication.errors import InputError
from replication.graph.stages import load_stages, stage_of_output
from replication.profile_files import profile_names, profile_text

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("profile", profile_names())
def test_stages_are_those_of_dvc(tmp_path, monkeypatch, profile):
    from dvc.repo import Repo

    shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    (tmp_path / "params.yaml").write_text(profile_text(profile))
    monkeypatch.chdir(tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()
    ours = load_stages(tmp_path)
    with Repo(str(tmp_path)) as repo:
        theirs = {stage.addressing: stage for stage in repo.index.stages}
        assert set(ours) == set(theirs) and len(ours) > 40
        for name, stage in theirs.items():
            files = {dep.def_path for dep in stage.deps if not hasattr(dep, "params")}
            params = {key for dep in stage.deps if hasattr(dep, "params") for key in dep.params}
            mine = ours[name]
            assert (mine.cmd, set(mine.deps), set(mine.params)) == (stage.cmd, files, params), name
            assert set(mine.outs) == {out.def_path for out in stage.outs}, name


def test_what_differs_between_equal_runs_is_no_out():
    outs = {out for stage in load_stages(ROOT).values() for out in stage.outs}
    assert not [out for out in outs if out.startswith(("data/records", "data/costs", "reports/costs", ".state"))]


def test_the_stage_that_makes_a_file(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert stage_of_output("reports/notebooks/train/full.ipynb").name == "train_mdrnet@full"
    assert stage_of_output(ROOT / "data/models/slots_32/network/seed_0/card.json").name == "train_mdrnet@slots_32"
    assert stage_of_output("reports/metrics/pconv.json").name == "evaluate_pconv@pconv"
    assert stage_of_output("out.ipynb") is None
    assert stage_of_output("reports/metricsx.json") is None


def test_a_reference_to_nothing_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("a: {b: 1}\n")
    (tmp_path / "dvc.yaml").write_text("stages: {one: {cmd: 'echo ${a.c}'}}\n")
    with pytest.raises(InputError, match=r"dvc\.yaml refers to 'a\.c', which params\.yaml does not have"):
        load_stages(tmp_path)
