"""The notebooks of the pipeline, and what executing one must not forgive."""

from __future__ import annotations

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest
import torch
import yaml
from traitlets.config import Config

from replication.errors import InputError
from replication.notebooks import execute, normalise

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def parameters_of(notebook: Path) -> set[str]:
    return set(papermill.inspect_notebook(str(notebook)))


# The committed notebooks


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 8


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_committed_notebooks_are_valid_bare_and_movable(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert "papermill" not in notebook.metadata
    assert not re.search(r"/(home|work|Users|root|tmp)/|[A-Z]:\\\\", text)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    assert all(re.search(r"\S", cell.source) for cell in notebook.cells)
    for cell in code:
        compile(cell.source, path.name, "exec")
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_a_notebook_saved_by_jupyterlab_stays_as_it_is_committed(path, tmp_path):
    """With the hook that `make lab` names, by Jupyter's own contents manager: outputs, counts and metadata go."""
    from jupyter_server.services.contents.largefilemanager import LargeFileManager

    (hook,) = re.findall(r"--ContentsManager\.pre_save_hook=(\S+)", (ROOT / "Makefile").read_text())
    manager = LargeFileManager(root_dir=str(tmp_path), config=Config({"ContentsManager": {"pre_save_hook": hook}}))
    (tmp_path / "open.ipynb").write_bytes(path.read_bytes())
    content = manager.get("open.ipynb")["content"]
    content["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    content["metadata"]["language_info"]["version"] = "3.13.1"
    for number, cell in enumerate(content["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [nbformat.v4.new_output("stream", name="stdout", text="x")]
            cell["metadata"]["execution"] = {"iopub.status.idle": "12:30"}
    manager.save({"type": "notebook", "format": "json", "content": content}, "open.ipynb")
    assert (tmp_path / "open.ipynb").read_bytes() == path.read_bytes()
    manager.save({"type": "file", "format": "text", "content": "x"}, "text.txt")
    assert (tmp_path / "text.txt").read_text() == "x"


def commands() -> dict[str, str]:
    """Command by stage of dvc.yaml."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage)["cmd"] for name, stage in stages.items()}


def test_stages_pass_parameters_that_their_notebook_defines():
    checked = 0
    for stage, command in commands().items():
        found = re.search(r"execute (\S+\.ipynb) (\S+\.ipynb)(.*)", command)
        if not found:
            continue
        notebook, output, rest = found.groups()
        assert (ROOT / notebook).is_file(), stage
        names = re.findall(r"-p (\S+) \S+", rest)
        assert rest.count("-p ") == len(names) and set(names) <= parameters_of(ROOT / notebook), stage
        assert output.startswith("reports/notebooks/"), stage
        checked += 1
    assert checked >= 9


def test_every_notebook_is_a_stage():
    text = " ".join(commands().values())
    assert [path.name for path in NOTEBOOKS if f"notebooks/{path.name} " not in text] == []


# Execution


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Write a notebook with these code cells into an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def write(*sources: str, tagged: int = 1) -> Path:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        for cell in cells[:tagged]:
            cell.metadata.tags = ["parameters"]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = tmp_path / "book.ipynb"
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture
def never_executed(monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("executed")

    monkeypatch.setattr(papermill, "execute_notebook", fail)


def test_unknown_parameters_are_refused_before_anything_runs(book, never_executed):
    path = book("experiment = 'full'\npair = 0", "1")
    with pytest.raises(InputError, match=r"unknown parameter 'experimant'; did you mean 'experiment'\?"):
        execute(path, "out/book.ipynb", {"pair": 1, "experimant": "full"})
    assert not Path("out").exists()


@pytest.mark.parametrize("tagged", [0, 2])
def test_there_must_be_one_parameters_cell(book, never_executed, tagged):
    with pytest.raises(InputError, match=f"exactly one cell tagged 'parameters', it has {tagged}"):
        execute(book("a = 1", "b = 2", tagged=tagged), "out.ipynb", {})


def test_a_notebook_that_is_missing(book):
    with pytest.raises(InputError, match=r"notebook none\.ipynb does not exist"):
        execute("none.ipynb", "out.ipynb", {})


def test_a_missing_kernel_is_one_sentence(book, never_executed, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^ipykernel is not installed in this environment \("):
        execute(book("a = 1"), "out.ipynb", {})
    assert not Path("out.ipynb").exists()


def test_a_foreign_kernel_first_on_jupyters_path_is_not_run(book, tmp_path, monkeypatch):
    spec = tmp_path / "foreign" / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = ["/no/such/environment/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    content = {"argv": argv, "display_name": "Foreign", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "foreign"))
    execute(book("a = 1", "import sys; print(sys.executable)"), "out.ipynb", {})
    assert sys.executable in Path("out.ipynb").read_text()


def test_leaving_early_is_a_failure(book):
    """papermill counts sys.exit(0) as success."""
    path = book("a = 1", "import sys; sys.exit(0)", "done = True")
    with pytest.raises(RuntimeError, match=r"cell 2 was left or not run; does a cell call sys\.exit"):
        execute(path, "out.ipynb", {})
    assert not Path("out.ipynb").exists() and not Path("out.html").exists()


def test_leaving_in_the_last_cell_is_a_failure_too(book, monkeypatch):
    """There every cell was run: only the output tells. (What papermill leaves is written here by hand.)"""

    def executed(source, partial, **options):
        notebook = nbformat.read(source, as_version=4)
        for number, cell in enumerate(notebook.cells, 1):
            cell.execution_count = number
        notebook.cells[-1].outputs = [nbformat.v4.new_output("error", ename="SystemExit", evalue="0", traceback=[])]
        nbformat.write(notebook, partial)

    monkeypatch.setattr(papermill, "execute_notebook", executed)
    with pytest.raises(RuntimeError, match=r"sys\.exit"):
        execute(book("a = 1", "import sys; sys.exit(0)"), "out.ipynb", {})
    assert not Path("out.ipynb").exists()


def test_an_input_error_of_a_cell_comes_out_as_one_and_the_notebook_is_kept(book):
    Path("out.ipynb").write_text("earlier")
    path = book(
        "a = 1",
        "print('so far')",
        "from replication.errors import InputError; raise InputError('seed: must be a number')",
    )
    with pytest.raises(InputError, match=r"^seed: must be a number$"):
        execute(path, "out.ipynb", {"a": 2})
    assert Path("out.ipynb").read_text() == "earlier"
    kept = Path("reports/failed/out.ipynb").read_text()
    assert "so far" in kept and "InputError" in kept


def test_any_other_error_names_the_notebook_and_where_it_is_kept(book):
    path = book("a = 1", "1 / 0")
    with pytest.raises(
        RuntimeError, match=r"book\.ipynb: ZeroDivisionError: division by zero \(the whole notebook is "
    ):
        execute(path, "out.ipynb", {})
    assert Path("reports/failed/out.ipynb").is_file() and not Path("out.ipynb").exists()


def test_a_kernel_that_is_through_is_killed_and_one_that_is_interrupted_is_asked(book):
    """Asked, it takes seconds to take PyTorch apart; but a training that is stopped must write its checkpoint."""
    path = book("a = 1", "import atexit, pathlib; atexit.register(pathlib.Path('asked').touch)")
    execute(path, "out.ipynb", {})
    assert Path("out.ipynb").is_file() and not Path("asked").exists()
    training = """
import pathlib, time
pathlib.Path("begun").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.5)
    pathlib.Path("checkpoint").touch()
    raise"""
    # A background job is born deaf to SIGINT, and these tests may run in one.
    command = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command += "from replication.notebooks import execute; execute('book.ipynb', 'stopped.ipynb', {})"
    book("a = 1", training)
    process = subprocess.Popen([sys.executable, "-c", command], stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if Path("begun").exists():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    finally:
        process.kill()
    assert Path("checkpoint").exists() and not Path("stopped.ipynb").exists()


def test_two_equal_runs_give_equal_bytes(book):
    path = book(
        "a = 1",
        "import os, sys",
        "print('a is', a, 'in', os.getcwd() + os.sep + 'data')",
        "print('12:30' + ':01', file=sys.stderr)",
        "import pandas as pd\npd.DataFrame({'a': [a, 2.5]})",
        "import matplotlib.pyplot as plt\n_ = plt.plot([0, a])",
    )
    source = path.read_bytes()
    results = []
    for _ in range(2):
        execute(path, "out/here.ipynb", {"a": 7})
        results.append((Path("out/here.ipynb").read_bytes(), Path("out/here.html").read_bytes()))
    assert results[0][0] == results[1][0] and results[0][1] == results[1][1]
    assert path.read_bytes() == source
    notebook = json.loads(results[0][0])
    text = results[0][0].decode()
    assert "a is 7 in data" in text and str(Path.cwd()) not in text and "12:30:01" not in text
    assert "image/png" in text and "injected-parameters" in text
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    assert [cell["id"] for cell in notebook["cells"]] == [f"cell-{i:03d}" for i in range(len(notebook["cells"]))]
    assert b"a is 7" in results[0][1] and b"<title>here</title>" in results[0][1]
    assert not list(Path("reports").glob("failed/**/*.ipynb"))  # nothing failed


def test_pages_fetch_and_run_nothing(book):
    """Whatever a cell displays: formulas and diagrams of the prose, HTML and scripts of outputs."""
    shown = "<script src='https://example.org/a.js'></script><img src='https://example.org/a.png'>"
    path = book("a = 1", f"from IPython.display import HTML\nHTML({shown!r})")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Title\n\n$a^2$\n\n```mermaid\ngraph LR\n```"))
    nbformat.write(notebook, path)
    execute(path, "out.ipynb", {})
    page = Path("out.html").read_text()
    head, body = page.split("<body", 1)
    assert re.findall(r"<(?:script|link|iframe|base)\b", head) == [] and "@import" not in head
    assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", page)
    # What a cell wrote stays in the page and is refused by its policy.
    (policy,) = re.findall(r'<meta content="([^"]*)" http-equiv="Content-Security-Policy"', head)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";") if rule.strip())
    assert rules == {
        "default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'", "font-src": "data:"
    }  # fmt: skip
    assert body.count("<script") == 1


def test_the_live_log_of_a_training_is_not_kept():
    from replication.training.status import Status

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = Status("full/seed_0", 10, 0.0, torch.device("cpu"))
        print("full changes nothing")
        status.say("full/seed_0: going on from the checkpoint of step 3 in .state/full")
        status.say("full/seed_0: begins from zero: a finished training is in .state/full")
        status.start(3)
        status.show(5, 40, {"loss": 0.5}, 0.0)
        status.say("full/seed_0: 10 steps, 80 images in 2.0 s, 40.0 images/s")
    streams = [nbformat.v4.new_output("stream", name="stdout", text=printed.getvalue())]
    live = [nbformat.v4.new_output("stream", name="stdout", text="parser: step 1/9, 8 images, 4.0 images/s\n")]
    cells = [nbformat.v4.new_code_cell("train()", outputs=outputs) for outputs in (streams, live)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    normalise(notebook)
    assert [output.text for output in notebook.cells[0].outputs] == ["full changes nothing\n"]
    assert notebook.cells[1].outputs == []
