"""Executing parameterised notebooks as pipeline stages, so that what papermill forgives fails here.

papermill runs on with parameters that the notebook does not define, counts `sys.exit(0)` as success, writes its
output in place, and stamps times into it. `execute` refuses the first two, keeps a failed notebook in
`reports/failed`, and writes a normalised .ipynb (its bytes change only when its content does) and an .html.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from replication.atomic import atomic_file, write_text
from replication.errors import InputError, RunError
from replication.settings import hint

_LIVE = re.compile(
    r".+: (step \d+/\d+, \d+ images, |\d+ steps, \d+ images in |going on from the checkpoint of step "
    r"|begins from zero: )"
)


class NotebookError(RunError):
    """A notebook did not run to its end; the message names the cell's error and where the rest is."""


def execute(notebook: str | Path, output: str | Path, parameters: dict[str, Any]) -> None:
    """Run a notebook with papermill and store it at `output` (.ipynb) and beside it as .html.

    Args:
        notebook: source with exactly one cell tagged `parameters`.
        output: path of the executed notebook.
        parameters: values for names that the parameters cell defines.

    Raises:
        InputError: unknown parameter, no such notebook, no ipykernel in this environment; or a cell of the notebook
            raised an InputError itself (its sentence is passed on).
        NotebookError: a cell failed or was not run, or the kernel died.
        KeyboardInterrupt: the run was stopped; a training has written its checkpoint.
    """
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a warning of the kernel's debugger, not ours
    # jsonschema would compile a grammar of IRIs, a second for every stage; no schema of a notebook asks for one.
    sys.modules.setdefault("rfc3987_syntax", None)
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    notebook, output = Path(notebook), Path(output)
    if not notebook.is_file():
        raise InputError(f"notebook {notebook} does not exist")
    if importlib.util.find_spec("ipykernel") is None:
        raise InputError(f"ipykernel is not installed in this environment ({sys.prefix}): install it there")
    check_parameters(notebook, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path("reports/failed") / output.parent.name / output.name
    partial.parent.mkdir(parents=True, exist_ok=True)
    # Made ready while the kernel works: importing it takes most of a second, at every stage.
    exporter = ThreadPoolExecutor(1).submit(_html_exporter)
    try:
        papermill.execute_notebook(
            str(notebook),
            str(partial),
            parameters=parameters,
            engine_name=_engine(),
            kernel_name="python3",
            progress_bar=False,
            request_save_on_cell_execute=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            extra_arguments=["--IPKernelApp.log_level=50"],  # it warns of TCP on loopback at every start
        )
    except PapermillExecutionError as error:
        if error.ename == "InputError":
            raise InputError(error.evalue) from error
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt(error.evalue) from error
        raise NotebookError(f"{notebook}: {error.ename}: {error.evalue} (the whole notebook is {partial})") from error
    except DeadKernelError as error:
        raise NotebookError(f"{notebook}: the kernel was killed, usually for want of memory ({partial})") from error
    executed = nbformat.read(partial, as_version=4)
    for number, cell in enumerate(executed.cells, 1):
        if cell.cell_type != "code":
            continue
        left = any(item.get("ename") == "SystemExit" for item in cell.outputs)
        if left or (cell.source.strip() and cell.execution_count is None):
            raise NotebookError(
                f"{notebook}: cell {number} was left or not run; does a cell call sys.exit? ({partial})"
            )
    normalise(executed)
    with atomic_file(output) as temporary:
        nbformat.write(executed, temporary)
    write_text(output.with_suffix(".html"), to_html(executed, title=output.stem, exporter=exporter.result()))
    partial.unlink()
    with contextlib.suppress(OSError):  # another notebook's failure may be kept there
        partial.parent.rmdir()


def _engine() -> str:
    """The name of papermill's own engine with two differences.

    A kernel that has run its last cell is killed: asked to end, it would take PyTorch apart for one or two seconds, at
    every stage. One that is interrupted in a cell is still asked, so that a training writes its checkpoint.

    The kernel is that of the Python that runs this, and not the first `python3` on Jupyter's path: that one may be of
    another environment (JUPYTER_PATH, the user's home folder), where this package is another or none.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.log import logger

    own = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]

    class OwnKernel(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(argv=list(own), display_name="Python 3", language="python")

    class Client(PapermillNotebookClient):
        def create_kernel_manager(self) -> OwnKernel:
            self.kernel_manager_class = OwnKernel
            return super().create_kernel_manager()

        def papermill_execute_cells(self) -> None:
            super().papermill_execute_cells()
            self.shutdown_kernel = "immediate"

    class KillingEngine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            wanted = {name: value for name, value in options.items() if name in Client.class_trait_names()}
            return Client(nb_man, kernel_name=kernel_name, log=logger, **wanted).execute()

    papermill_engines.register("killing", KillingEngine)
    return "killing"


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    """Refuse a notebook without exactly one parameters cell, and names which that cell does not define."""
    import nbformat
    import papermill

    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise InputError(f"{notebook}: must have exactly one cell tagged 'parameters', it has {len(tagged)}")
    known = papermill.inspect_notebook(str(notebook))
    for name in parameters:
        if name not in known:
            raise InputError(f"{notebook}: unknown parameter {name!r}{hint(name, known)}")


def normalise(notebook) -> None:
    """Drop what differs between two equal runs: times, paths, random cell ids, the live log.

    The live log is stderr, and on stdout the lines by which a training tells how fast it goes and whether it was
    resumed (`training.status`); speed and time of a training are in data/costs.
    """
    root = str(Path.cwd())
    notebook.metadata = {
        key: value for key, value in notebook.metadata.items() if key in ("kernelspec", "language_info")
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata = {"tags": list(cell.metadata.get("tags", []))}
        if cell.cell_type != "code":
            continue
        cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
        for item in cell.outputs:
            if item.output_type == "stream":
                item.text = "".join(line for line in item.text.splitlines(True) if not _LIVE.match(line))
        cell.outputs = [o for o in cell.outputs if o.output_type != "stream" or o.text]
        for item in cell.outputs:
            item.get("metadata", {}).pop("papermill", None)
            if item.output_type == "stream":
                item.text = item.text.replace(root + os.sep, "").replace(root, ".")
            for kind, text in item.get("data", {}).items():
                if kind.startswith("text/") and isinstance(text, str):
                    item.data[kind] = text.replace(root + os.sep, "").replace(root, ".")


def strip_on_save(model: dict[str, Any], path: str = "", **_: Any) -> None:
    """JupyterLab's hook before it saves (`make lab`): a notebook goes to disk as it is committed, without outputs.

    The page in the browser keeps them until it is loaded anew; executed notebooks are in reports/notebooks. Works in
    place on `model`, as Jupyter's contents manager hands it over; what is no notebook of format 4 is left alone.
    """
    content = model.get("content")
    if model.get("type") != "notebook" or not isinstance(content, dict) or content.get("nbformat") != 4:
        return
    content["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in content["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None


def to_html(notebook, title: str, exporter=None) -> str:
    """The notebook as one self-contained HTML page: prose, code and outputs. It runs and fetches nothing."""
    exporter = exporter or _html_exporter()
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return body


# nbconvert's page without the scripts that it would ask network hosts for (require.js, MathJax, Mermaid, widgets).
# The policy holds for outputs too, whatever a cell displays.
_OFFLINE = """\
{%- extends "lab/index.html.j2" -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:">
{%- endblock html_head_js -%}
{%- block jupyter_widgets -%}{%- endblock jupyter_widgets -%}
{%- block html_head_js_mathjax -%}{%- endblock html_head_js_mathjax -%}
{%- block html_head_js_mermaidjs -%}{%- endblock html_head_js_mermaidjs -%}
"""


def _html_exporter():
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="lab",
        template_file="offline.html.j2",
        extra_loaders=[DictLoader({"offline.html.j2": _OFFLINE})],
        embed_images=True,
    )
    # Its only messages are warnings of missing alternative texts, one for every plot.
    exporter.log.setLevel("ERROR")
    _ = exporter.template  # compiled when first asked for
    return exporter
