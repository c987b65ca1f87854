"""Inputs digested before a stage and compared after it; the same digests as DVC's."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest

from replication.errors import InputError
from replication.graph.stages import load_stages
from replication.history.commit import COMMIT_VARIABLE, code_commit
from replication.history.made_by import INPUTS_VARIABLE
from replication.history.records import ChangedInputsError, Inputs, record_path, recorded

DVC_YAML = """
stages:
  count:
    cmd: python count.py
    deps: [count.py, faces]
    params: [size, nested.deep]
    outs: [total.txt]
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with one stage: a script, a folder of data with a subfolder, and parameters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(INPUTS_VARIABLE, raising=False)
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "params.yaml").write_text("size: 64\nnested: {deep: [1, 2]}\nother: 1\n")
    (tmp_path / "count.py").write_text("open('total.txt', 'w').write('3')\n")
    for name, text in (("b/1", "x"), ("b-a", "y"), ("a", "z"), ("__pycache__/c.pyc", "no")):
        file = tmp_path / "faces" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def stage():
    return load_stages()["count"]


def test_digests_are_those_of_dvc(checkout):
    (checkout / ".dvcignore").write_text("__pycache__\n")
    dvc = [sys.executable, "-m", "dvc"]
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    subprocess.run([*dvc, "init", "-q", "--no-scm"], check=True, env=environment)
    subprocess.run([*dvc, "repro", "-q"], check=True, env=environment)
    import yaml

    locked = yaml.safe_load((checkout / "dvc.lock").read_text())["stages"]["count"]
    assert Inputs.read(stage()).files == {dep["path"]: dep["md5"] for dep in locked["deps"]}


def test_git_that_refuses_the_folder_is_not_passed_over(checkout, monkeypatch, capsys):
    """A folder of another owner, as in a container with a mounted checkout."""
    subprocess.run(["git", "init", "-q"], check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    code_commit.cache_clear()
    try:
        with recorded(stage()):
            (checkout / "total.txt").write_text("3")
    finally:
        code_commit.cache_clear()
    commit = json.loads(record_path("count").read_text())["commit"]
    assert commit.startswith("unknown: git says: detected dubious ownership in repository at ")
    assert f"`git config --global --add safe.directory {checkout}` allows it" in commit
    assert capsys.readouterr().err.startswith("count: the record names no commit (git says: detected dubious")


def test_a_record_says_what_went_in(checkout):
    with recorded(stage()):
        (checkout / "total.txt").write_text("3")
        assert len(os.environ[INPUTS_VARIABLE]) == 16
        handed = os.environ[INPUTS_VARIABLE]
    assert INPUTS_VARIABLE not in os.environ
    record = json.loads(record_path("count").read_text())
    assert record["parameters"] == {"size": 64, "nested.deep": [1, 2]} and record["command"] == "python count.py"
    assert set(record["inputs"]) == {"count.py", "faces"} and record["inputs_digest"] == handed
    assert record["outputs"] == {"total.txt": hashlib.md5(b"3").hexdigest()}


def test_a_stage_that_made_nothing_is_named(checkout):
    with pytest.raises(InputError, match=r"count: ended without making total\.txt"), recorded(stage()):
        pass


def test_the_commit_is_that_of_the_beginning(checkout, monkeypatch):
    from replication.history import records

    monkeypatch.setattr(records, "code_commit", iter(["first", "second"]).__next__)
    with recorded(stage()):
        assert os.environ[COMMIT_VARIABLE] == "first"
        (checkout / "total.txt").write_text("3")
    assert json.loads(record_path("count").read_text())["commit"] == "first" and COMMIT_VARIABLE not in os.environ


def test_the_digest_follows_inputs_and_nothing_else(checkout):
    before = Inputs.read(stage()).digest()
    (checkout / "params.yaml").write_text("size: 64\nnested: {deep: [1, 2]}\nother: 2\n")
    (checkout / "faces" / "__pycache__" / "c.pyc").write_text("other")
    os.utime(checkout / "faces" / "a")
    assert Inputs.read(stage()).digest() == before
    (checkout / "faces" / "a").write_text("Z")
    assert Inputs.read(stage()).digest() != before


SOURCES_YAML = """
stages:
  train_toy@wide:
    cmd: python -m replication train wide
    deps: [replication/layers/toy.py, replication/papers/toy, notebooks/train.ipynb, faces]
    outs: [total.txt]
"""


def test_sources_are_watched_but_not_in_the_digest_of_results(checkout):
    """`code` has them without their comments: a better comment must not change a tracked result."""
    (checkout / "dvc.yaml").write_text(SOURCES_YAML)
    sources = ("replication/layers/toy.py", "replication/papers/toy/claims.py", "notebooks/train.ipynb")
    for name in (*sources, "replication/papers/toy/table1.csv"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("1\n")
    one = load_stages()["train_toy@wide"]
    before = Inputs.read(one)
    assert {*before.files} == {
        "replication/layers/toy.py", "replication/papers/toy", "notebooks/train.ipynb", "faces"
    }  # fmt: skip
    for name in sources:
        (checkout / name).write_text("1  # why\n")
        assert Inputs.read(one).digest() == before.digest()
        assert name in before.changed()
    (checkout / "replication/papers/toy/table1.csv").write_text("2\n")
    assert Inputs.read(one).digest() != before.digest()


def test_records_lie_by_the_stage_and_its_item():
    assert record_path("train_toy@wide").as_posix() == "data/records/train_toy/wide.json"
    assert record_path("masks").as_posix() == "data/records/masks.json"


CHANGES = {
    "faces/a": lambda root: (root / "faces" / "a").write_text("other"),
    "faces/new": lambda root: (root / "faces" / "new").write_text("1"),
    "faces/b/1": lambda root: (root / "faces" / "b" / "1").unlink(),
    "count.py": lambda root: (root / "count.py").write_text("pass"),
    "the parameter size": lambda root: (root / "params.yaml").write_text("size: 65\nnested: {deep: [1, 2]}\n"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_edit_during_the_run_fails_the_stage_and_is_named(checkout, what):
    (checkout / "total.txt").write_text("3")
    with pytest.raises(ChangedInputsError, match=f"^count: {what} changed while the stage ran"), recorded(stage()):
        CHANGES[what](checkout)
    assert not record_path("count").exists()


def test_an_edit_taken_back_is_no_change(checkout):
    with recorded(stage()):
        (checkout / "total.txt").write_text("3")
        (checkout / "faces" / "a").write_text("other")
        (checkout / "faces" / "a").write_text("z")
    assert record_path("count").is_file()


def test_a_missing_input_is_named_before_the_stage_runs(checkout):
    (checkout / "count.py").unlink()
    with pytest.raises(InputError, match=r"count\.py does not exist"), recorded(stage()):
        raise AssertionError("the stage must not begin")


def test_a_failing_stage_leaves_no_record_and_no_environment(checkout):
    with recorded(stage()):
        (checkout / "total.txt").write_text("3")
    assert record_path("count").is_file()  # of an earlier run, whose results the next one replaces
    with pytest.raises(ZeroDivisionError), recorded(stage()):
        _ = 1 / 0
    assert not record_path("count").exists() and INPUTS_VARIABLE not in os.environ


def test_a_notebook_saved_during_its_stage_is_no_changed_input(checkout):
    """JupyterLab saves by itself what is open; another line of code is another input."""
    notebook = {"cells": [{"cell_type": "code", "metadata": {}, "outputs": [], "source": ["train()"]}], "nbformat": 4}
    (checkout / "notebooks").mkdir()
    path = checkout / "notebooks" / "03_train.ipynb"
    path.write_text(json.dumps(notebook))
    (checkout / "data/code").mkdir(parents=True)
    (checkout / "data/code/train_toy.json").write_text(json.dumps({"notebooks/03_train.ipynb": "", "faces/a": ""}))
    deps = re.search(r"\[replication.*\]", SOURCES_YAML)[0]
    (checkout / "dvc.yaml").write_text(SOURCES_YAML.replace(deps, "[data/code/train_toy.json, faces]"))
    before = Inputs.read(load_stages()["train_toy@wide"])
    notebook["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x"]}]
    path.write_text(json.dumps(notebook))
    assert before.changed() == []
    notebook["cells"][0]["source"] = ["train(twice=True)"]
    path.write_text(json.dumps(notebook))
    assert before.changed() == ["notebooks/03_train.ipynb"]
