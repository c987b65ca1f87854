"""What decides a result: the modules that a stage's code imports, and those that they import, file by file.

One list serves three: the file in data/code on which a stage of dvc.yaml depends (`graph.code`), the digest by which a
training in progress knows that it is still the same training, and the `code` in `made_by` of every result. It is read
off the sources (an `ast` walk, nothing is imported): every import statement counts, wherever it stands, but those under
`if TYPE_CHECKING`.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

from replication.errors import InputError

PACKAGE = Path(__file__).parents[1]

DECIDES_NOTHING = {
    "replication.atomic": "writes files whole or not at all",
    "replication.config": "hands parameters on; their values are DVC's `params`, the defaults of data in data/settings",
    "replication.errors": "sentences for users",
    "replication.graph.closure": "what runs, not what it computes",
    "replication.graph.code": "what runs, not what it computes",
    "replication.graph.notebook_code": "what runs, not what it computes",
    "replication.graph.roots": "what runs, not what it computes",
    "replication.history.commit": "stands in records only",
    "replication.history.records": "what was run",
    "replication.json_files": "reads text",
    "replication.methods.registry": "finds declarations; of one, dvc.yaml has what it decides",
    "replication.paths": "names of folders",
    "replication.processors": "among how many processes work is shared",
    "replication.run_rules": "sentences for users",
    "replication.settings": "checks values, and lays a run's `change` over them: both stand on the card of a training",
    "replication.settings_faults": "sentences for users",
    "replication.yaml_files": "reads text",
    "replication.yaml_readers": "sentences for users",
}
"""Modules (and what is below them) that every stage shares and no number depends on; listing them would train
everything anew for a better error message. They are neither listed nor looked into."""


def closure(roots: Iterable[str]) -> tuple[str, ...]:
    """The modules that `roots` (dotted names) depend on, themselves included, sorted; without `DECIDES_NOTHING`.

    Packages whose `__init__` has a docstring only are left out.

    Raises:
        InputError: a root is no module of this package.
    """
    found: set[str] = set()
    pending = list(roots)
    for root in pending:
        if _file(root) is None:
            raise InputError(f"{root} is no module of this package")
    while pending:
        name = pending.pop()
        if name in found or _decides_nothing(name):
            continue
        found.add(name)
        pending += imports(name)
    return tuple(sorted(name for name in found if not _is_empty(name)))


def files(roots: Iterable[str]) -> tuple[str, ...]:
    """The same as paths relative to the root of the checkout: "replication/layers/memory.py"."""
    return tuple(_file(name).relative_to(PACKAGE.parent).as_posix() for name in closure(roots))


@functools.cache
def code_digest(roots: tuple[str, ...]) -> str:
    """SHA-256 over the closure's sources without comments and blank lines: an edited loss is another run, a better
    comment is not.
    """
    digest = hashlib.sha256()
    for name in closure(roots):
        path = _file(name)
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode())
        digest.update(without_comments(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def without_comments(source: str) -> str:
    """Python source without its comments, blank lines and spaces at line ends.

    Cut out of the text and not written anew from a tree, whose form would differ between versions of Python.
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(stripped for line in lines if (stripped := line.rstrip()))


@functools.cache
def imports(name: str) -> frozenset[str]:
    """Modules of this package that a module's statements import, and the packages around them."""
    path = _file(name)
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    found: set[str] = set()
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # A name may be a module itself: `from replication import distributed`.
            named = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for one in named:
            parts = one.split(".")
            around = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
            found |= {module for module in around if module.split(".")[0] == "replication" and _file(module)}
    return frozenset(found)


def _executed(tree: ast.Module) -> Iterable[ast.AST]:
    """Every node but what stands under `if TYPE_CHECKING`."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        else:
            pending += ast.iter_child_nodes(node)


@functools.cache
def _file(name: str) -> Path | None:
    first, *parts = name.split(".")
    if first != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*parts)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _decides_nothing(name: str) -> bool:
    # (The package's own __init__ has its version, and nothing else.)
    return name == PACKAGE.name or any(name == one or name.startswith(f"{one}.") for one in DECIDES_NOTHING)


@functools.cache
def _is_empty(name: str) -> bool:
    """Whether a module has nothing but a docstring."""
    body = ast.parse(_file(name).read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)
