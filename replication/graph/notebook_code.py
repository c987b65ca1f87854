"""What of a notebook decides its stage's result: the code that is executed, and nothing that an editor saves beside it.

JupyterLab writes outputs, execution counts and metadata into the file that is open, by itself and every two minutes.
None of that, no prose and no comment is here.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import tokenize
from collections.abc import Collection
from pathlib import Path
from typing import Any

from replication.errors import InputError
from replication.graph.closure import PACKAGE, without_comments

GIVEN = {
    "notebooks/01_data.ipynb": ("dataset",),
    "notebooks/02_masks.ipynb": (),
    "notebooks/03_train.ipynb": ("run",),
    "notebooks/04_evaluate.ipynb": ("run",),
    "notebooks/05_inspect.ipynb": ("run",),
    "notebooks/06_tables.ipynb": ("paper",),
    "notebooks/07_figures.ipynb": ("paper",),
    "notebooks/08_claims.ipynb": (),
}
"""Every notebook of the pipeline -> the parameters that its stages always pass. Their values in the notebook itself,
which whoever works in it by hand changes first, decide nothing."""


def digest(path: str | Path, given: Collection[str] = ()) -> str:
    """SHA-256 of what a notebook executes: its code cells without comments, and which of them has the parameters.

    given: parameters whose values in the notebook do not count.

    Raises:
        InputError: the file is missing or is no notebook.
    """
    cells = []
    for cell in _code_cells(Path(path)):
        tagged = "parameters" in cell.get("metadata", {}).get("tags", ())
        source = _source(cell)
        cells.append([tagged, _bare(_without(source, given) if tagged else source)])
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


@functools.cache
def imported(path: str) -> tuple[str, ...]:
    """The modules of this package that a notebook's code imports; path: relative to the root of the checkout.

    Raises:
        InputError: the file is missing or is no notebook, or a cell is not plain Python.
    """
    found = set()
    for number, cell in enumerate(_code_cells(PACKAGE.parent / path), 1):
        try:
            tree = ast.parse(_source(cell))
        except SyntaxError as error:
            raise InputError(f"{path}: code cell {number} is not plain Python ({error.msg})") from error
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                # A name may be a module itself: `from replication import paths`.
                modules = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {node.module, *filter(_is_module, modules)}
    return tuple(sorted(name for name in found if name.startswith(f"{PACKAGE.name}.")))


def _code_cells(path: Path) -> list[dict[str, Any]]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise InputError(f"notebook {path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no notebook of format 4: it has no list of cells") from error


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _bare(source: str) -> str:
    """Source without comments; as it is where it is no plain Python, such as a line that begins with %."""
    try:
        return without_comments(source)
    except (SyntaxError, tokenize.TokenError):
        return source


def _without(source: str, names: Collection[str]) -> str:
    """Source without the lines that assign one of the names."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    dropped: set[int] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id in names for target in targets):
            dropped |= set(range(node.lineno, node.end_lineno + 1))
    return "\n".join(line for number, line in enumerate(source.splitlines(), 1) if number not in dropped)


def _is_module(name: str) -> bool:
    parts = name.split(".")
    base = PACKAGE.parent.joinpath(*parts)
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()
