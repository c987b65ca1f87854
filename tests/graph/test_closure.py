"""What decides a result: the closure of a part, its digest, and what neither holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import replication
from replication.errors import InputError
from replication.graph.closure import DECIDES_NOTHING, closure, code_digest, files, without_comments
from replication.graph.roots import evaluation_roots, feature_methods, part_roots
from replication.methods.registry import methods

PACKAGE = Path(replication.__file__).parent
SHARED_FOLDERS = ("backbones", "data", "evaluation", "layers", "losses", "methods", "reporting", "stages", "training")


def roots(name: str, part: str = "network") -> tuple[str, ...]:
    return part_roots(methods()[name], methods()[name].part(part))


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, and a function that runs Python code with it."""
    shutil.copytree(PACKAGE, tmp_path / "replication", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PACKAGE.parent / "notebooks", tmp_path / "notebooks")

    def run(code: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return tmp_path / "replication", run


DIGEST = """
from replication.graph.closure import code_digest
from replication.graph.roots import part_roots
from replication.methods.registry import methods
print(code_digest(part_roots(methods()[{0!r}], methods()[{0!r}].part("network"))))
"""
TEXT = """
from pathlib import Path
from replication.graph.code import write_code
from replication.graph.dvc_yaml import dvc_yaml
print(dvc_yaml())
write_code(Path("data/code"))
print(*((path.name, path.read_text()) for path in sorted(Path("data/code").iterdir())), sep="\\n")
"""
"""Everything by which DVC knows the code of a stage."""


@pytest.mark.parametrize(
    "name", ["distributed", "data.loader", "data.labels", "data.random_streams", "data.store", "training.fit"]
)
def test_what_decides_a_training_is_in_its_closure(name):
    assert f"replication.{name}" in closure(roots("mdrnet"))
    assert f"replication.{name}" in closure(roots("pconv"))


def test_a_part_has_the_code_of_what_it_opens_and_not_of_what_it_does_not():
    mdrnet, pconv = closure(roots("mdrnet")), closure(roots("pconv"))
    assert "replication.methods.pconv.network" in mdrnet and "replication.methods.parser.bisenet" in mdrnet
    assert "replication.methods.pconv.training" not in mdrnet
    assert "replication.methods.mdrnet.network" not in pconv and "replication.layers.memory" not in pconv
    assert "replication.losses.coordination" not in pconv


def test_an_evaluation_has_no_training_code():
    found = closure(evaluation_roots(methods()["mdrnet"], feature_methods()))
    assert "replication.evaluation.evaluate" in found and "replication.methods.mdrnet.network" in found
    assert not {"replication.methods.mdrnet.training", "replication.losses.adversarial", "replication.training.fit"} & {
        *found
    }


def test_what_decides_nothing_is_left_out_with_a_reason_and_exists():
    for name, reason in DECIDES_NOTHING.items():
        path = PACKAGE.joinpath(*name.split(".")[1:])
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
        assert reason
    found = closure(roots("mdrnet"))
    assert not [name for name in found if name.startswith(tuple(DECIDES_NOTHING))]


def test_files_are_paths_of_the_checkout_without_empty_packages():
    found = files(roots("pconv"))
    assert "replication/layers/partial_convolution.py" in found and found == tuple(sorted(found))
    assert "replication/layers/__init__.py" not in found  # a docstring decides nothing
    assert all((PACKAGE.parent / path).is_file() for path in found)


def test_a_root_that_is_no_module_is_refused():
    with pytest.raises(InputError, match=r"^replication\.layers\.memori is no module of this package$"):
        closure(["replication.layers.memori"])


def test_an_unrelated_file_in_any_shared_folder_changes_no_stage(copy):
    package, run = copy
    before = run(TEXT)
    for folder in SHARED_FOLDERS:
        (package / folder / "unrelated.py").write_text('"""Nobody imports this."""\n\nVALUE = 1\n')
    assert run(TEXT) == before


def test_an_edit_changes_the_stages_that_it_decides_and_a_comment_none(copy):
    package, run = copy
    listed = "from pathlib import Path; from replication.graph.code import write_code; write_code(Path('{}'))"

    def listings(name: str) -> dict[str, str]:
        run(listed.format(name))
        return {path.stem: path.read_text() for path in (package.parent / name).iterdir()}

    before, memory = listings("before"), package / "layers" / "memory.py"
    memory.write_text("# said otherwise\n\n" + memory.read_text())
    assert listings("commented") == before
    memory.write_text(memory.read_text() + "\nVALUE = 1\n")
    after = listings("edited")
    changed = {group for group in after if after[group] != before[group]}
    assert changed == {"train_mdrnet", "evaluate_mdrnet", "mdrnet_first_stage", "figures", "inspect"} & changed
    assert {"train_mdrnet", "evaluate_mdrnet"} <= changed


def test_sources_that_were_edited_since_are_named(copy):
    package, run = copy
    run("from replication.graph.code import write_code; write_code()")
    ask = "from replication.graph.code import changed_sources; print(changed_sources('data/code/train_mdrnet.json'))"
    assert run(ask).strip() == "[]"
    memory = package / "layers" / "memory.py"
    memory.write_text(memory.read_text() + "\n# only a comment\n")
    assert run(ask).strip() == "[]"
    memory.write_text(memory.read_text() + "\nVALUE = 1\n")
    assert run(ask).strip() == "['replication/layers/memory.py']"


def test_a_notebook_that_jupyter_saves_is_no_changed_source(copy):
    package, run = copy
    run("from replication.graph.code import write_code; write_code()")
    ask = "from replication.graph.code import changed_sources; print(changed_sources('data/code/train_mdrnet.json'))"
    notebook = package.parent / "notebooks" / "03_train.ipynb"
    text = notebook.read_text()
    notebook.write_text(text.replace('"execution_count": null', '"execution_count": 7'))
    assert run(ask).strip() == "[]"
    notebook.write_text(text.replace("import logging", "import logging, sys"))
    assert run(ask).strip() == "['notebooks/03_train.ipynb']"


def test_another_reduction_of_the_labels_is_another_training(copy):
    """A killed training must not go on from its checkpoint when two classes have changed places."""
    package, run = copy
    before = {name: run(DIGEST.format(name)) for name in ("mdrnet", "attributes")}
    labels = package / "data" / "labels.py"
    labels.write_text(labels.read_text() + "\nTO_14 = (*TO_14[:1], TO_14[2], TO_14[1], *TO_14[3:])\n")
    assert run(DIGEST.format("mdrnet")) != before["mdrnet"]


def test_a_comment_is_the_same_training(copy):
    package, run = copy
    before = run(DIGEST.format("mdrnet"))
    memory = package / "layers" / "memory.py"
    memory.write_text("# said otherwise\n\n" + memory.read_text())
    assert run(DIGEST.format("mdrnet")) == before


def test_comments_are_cut_and_text_is_not():
    source = 'x = "# no comment"  # one\n\n\n# another\ny = f"{x}#"   \n'
    assert without_comments(source) == 'x = "# no comment"\ny = f"{x}#"'


def test_the_digest_is_that_of_the_sources():
    assert code_digest(roots("pconv")) == code_digest(tuple(reversed(roots("pconv")))) != code_digest(roots("mdrnet"))
