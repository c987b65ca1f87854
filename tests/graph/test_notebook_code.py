"""What of a notebook decides a result, and what an editor may save beside it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from replication.errors import InputError
from replication.graph.code import sources
from replication.graph.notebook_code import GIVEN, digest, imported

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "05_inspect.ipynb"


@pytest.fixture
def changed(tmp_path):
    """A function: the digest of the notebook after `change(content)`."""
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))

    def run(change) -> str:
        own = copy.deepcopy(content)
        change(own)
        path = tmp_path / "own.ipynb"
        path.write_text(json.dumps(own), encoding="utf-8")
        return digest(path, GIVEN["notebooks/05_inspect.ipynb"])

    return run


def code(content: dict, number: int) -> dict:
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"][number]


def as_jupyter_saves(content: dict) -> None:
    content["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    content["metadata"]["language_info"] = {"name": "python", "version": "3.13.1", "nbconvert_exporter": "python"}
    content["nbformat_minor"] = 4
    for number, cell in enumerate(content["cells"], 1):
        cell["metadata"] |= {"trusted": True, "collapsed": False}
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x"]}]


def test_what_an_editor_saves_prose_and_comments_decide_nothing(changed):
    before = changed(lambda content: None)
    assert changed(as_jupyter_saves) == before
    assert changed(lambda content: content["cells"][0].update(source=["# Another title"])) == before
    assert changed(lambda content: content["cells"].insert(0, {"cell_type": "raw", "source": "x"})) == before
    assert changed(lambda content: code(content, 1)["source"].append("\n# said otherwise\n")) == before


def test_an_executed_line_decides(changed):
    before = changed(lambda content: None)
    assert changed(lambda content: code(content, 1)["source"].append("\nprint(1)")) != before
    assert changed(lambda content: code(content, 0)["metadata"].update(tags=[])) != before
    assert changed(lambda content: code(content, 1).update(source=["%matplotlib inline"])) != before


def test_of_the_parameters_those_decide_that_no_stage_passes(changed):
    before = changed(lambda content: None)

    def edited(old: str, new: str) -> str:
        def change(content: dict) -> None:
            cell = code(content, 0)
            assert old in "".join(cell["source"])
            cell["source"] = "".join(cell["source"]).replace(old, new)

        return changed(change)

    assert edited('run = "full"', 'run = "no_mrem"') == before
    assert edited("pair = 0", "pair = 3") != before


def test_every_stage_passes_what_is_said_to_be_given():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    passed: dict[str, list[set[str]]] = {}
    for stage in stages.values():
        body = stage.get("do", stage)
        if found := re.search(r"execute (\S+\.ipynb)", body["cmd"]):
            passed.setdefault(found[1], []).append(set(re.findall(r"-p (\S+)", body["cmd"])))
    assert set(passed) == set(GIVEN)
    for notebook, names in GIVEN.items():
        assert set(names) == set.intersection(*passed[notebook]), notebook


def test_no_stage_depends_on_a_notebook_as_a_file_but_the_one_that_lists_what_is_in_it():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    on_files = {name for name, one in stages.items() if "notebook" in str(one.get("do", one)["deps"])}
    assert on_files == {"code"}
    for name, stage in stages.items():
        body = stage.get("do", stage)
        if found := re.search(r"execute (\S+\.ipynb)", body["cmd"]):
            (listed,) = [Path(dep).stem for dep in body["deps"] if dep.startswith("data/code/")]
            assert found[1] in sources()[listed], name


def test_what_a_notebook_draws_with_is_in_the_list_of_its_stage():
    found = sources()
    assert {"replication/drawing/contact_sheets.py", "replication/drawing/style.py"} <= {*found["data"]}
    assert "replication/drawing/pair_sheet.py" in found["masks"]
    assert "replication/inspection/stage_panels.py" in found["evaluate_pconv"]
    assert "replication/methods/mdrnet/network.py" not in found["evaluate_pconv"]
    for group in ("data", "masks", "evaluate_mdrnet", "figures", "inspect"):
        assert "replication/drawing/notebook.py" in found[group], group
    # Another colour trains nothing: see `graph.code`.
    trainings = [group for group in found if group.startswith("train_")]
    assert trainings and not [path for group in trainings for path in found[group] if "/drawing/" in path]


def test_imports_of_a_notebook_are_modules_wherever_they_stand():
    found = imported("notebooks/03_train.ipynb")
    assert {"replication.paths", "replication.drawing.curves", "replication.inspection.stage_panels"} <= {*found}
    assert not [name for name in found if name.endswith((".show", ".load_curves"))]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"worksheets": []}'])
def test_a_broken_notebook_is_named(tmp_path, text):
    path = tmp_path / "broken.ipynb"
    path.write_text(text)
    with pytest.raises(InputError, match=r"broken\.ipynb is no notebook of format 4"):
        digest(path)
    with pytest.raises(InputError, match=r"absent\.ipynb cannot be read"):
        digest(tmp_path / "absent.ipynb")
