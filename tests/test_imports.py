"""Imports run downwards only, nothing heavy or unsafe is reached by accident."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import replication

PACKAGE = Path(replication.__file__).parent
FREE = {
    "atomic",
    "device",
    "distributed",
    "errors",
    "json_files",
    "paths",
    "processors",
    "published_weights",
    "schedule",
    "settings",
    "settings_faults",
    "yaml_files",
    "yaml_readers",
}
"""Modules at the bottom that every room may use."""

ALLOWED = {
    "papers": set(),
    "data": set(),
    "training": {"data"},
    "backbones": set(),
    "layers": {"data"},
    "losses": {"data", "backbones", "layers"},
    "drawing": {"data"},
    "evaluation": {"data"},
    "methods": {"backbones", "data", "drawing", "evaluation", "layers", "losses", "training"},
    "run_rules": {"methods"},
    "config": {"data", "methods", "run_rules"},
    "profile_files": {"config", "methods"},
    "graph": {"methods", "papers"},
    "downloads": {"config", "data", "methods", "profile_files"},
    "reporting": {"config", "data", "drawing", "evaluation", "graph", "methods", "papers"},
    "history": {"config", "evaluation", "graph", "methods", "papers", "reporting", "training"},
    "stages": {
        "config",
        "data",
        "drawing",
        "evaluation",
        "graph",
        "history",
        "inspection",
        "methods",
        "papers",
        "reporting",
        "training",
    },
    "inspection": {"config", "data", "drawing", "evaluation", "methods"},
    "doctor": {
        "config",
        "data",
        "downloads",
        "evaluation",
        "graph",
        "history",
        "methods",
        "profile_files",
        "stages",
        "training",
    },
    "notebooks": set(),
    "verbs": {
        "command_line",
        "config",
        "doctor",
        "downloads",
        "graph",
        "history",
        "inspection",
        "methods",
        "notebooks",
        "papers",
        "profile_files",
        "stages",
    },
    "command_line": set(),
    "__main__": {"command_line", "verbs"},
}
"""Room (or module) -> rooms it may import. Every arrow points down: the graph has no circle."""

MODULES = sorted(PACKAGE.rglob("*.py"))
TOOLS = {"dvc", "papermill", "ipykernel", "nbformat", "nbconvert", "jupyter_client", "IPython"}


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def executed(tree: ast.AST):
    """Every node below `tree` but what only type checkers see: a contract may name what stands above it."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        only_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        pending += node.orelse if only_types else ast.iter_child_nodes(node)


def imported(tree: ast.AST) -> set[str]:
    """Absolute names of the modules that any statement below `tree` imports, but for those under `if TYPE_CHECKING`."""
    found = set()
    for node in executed(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported_at_module_level(tree: ast.Module) -> set[str]:
    """The same for what importing the module executes: not what functions import later."""
    found = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= imported(ast.Module([node], []))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_all_rooms_are_known():
    assert {room(path) for path in MODULES} == set(ALLOWED) | FREE | {"__init__"}


def test_the_allowed_arrows_make_no_circle():
    done: set[str] = set()
    left = dict(ALLOWED)
    while left:
        free = {name for name, below in left.items() if below <= done}
        assert free, f"a circle among {sorted(left)}"
        done |= free
        left = {name: below for name, below in left.items() if name not in free}


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_imports_run_downwards():
    wrong = []
    for path in MODULES:
        here = room(path)
        allowed = FREE | {here} | ALLOWED.get(here, set())
        for name in imported(parse(path)):
            first, *rest = name.split(".")
            if first == "replication" and rest and rest[0] not in allowed:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_free_modules_import_nothing_above_them():
    for name in FREE:
        below = {n.split(".")[1] for n in imported(parse(PACKAGE / f"{name}.py")) if n.startswith("replication.")}
        assert below <= FREE


def test_no_pipeline_tool_at_module_level():
    assert [path for path in MODULES if tops(imported_at_module_level(parse(path))) & TOOLS] == []


def test_pipeline_tools_appear_in_few_modules_only():
    using = {str(path.relative_to(PACKAGE)) for path in MODULES if tops(imported(parse(path))) & TOOLS}
    assert using == {
        "notebooks.py",
        "doctor/machine.py",
        "drawing/notebook.py",
        "history/cached_results.py",
        "history/revisions.py",
    }


@pytest.mark.parametrize("name", ["drawing", "papers", "reporting"])
def test_reports_need_no_torch(name):
    assert [path for path in (PACKAGE / name).rglob("*.py") if "torch" in tops(imported(parse(path)))] == []


def test_light_modules_import_no_torch_at_module_level():
    light = [PACKAGE / f"{name}.py" for name in ("__main__", "config", "errors", "atomic", "notebooks")]
    light += (PACKAGE / "data" / "drawn_faces").glob("*.py")
    assert [path for path in light if "torch" in tops(imported_at_module_level(parse(path)))] == []


def argument(call: ast.Call, name: str):
    """The constant that a call gives for a keyword, None without it."""
    (value,) = [k.value for k in call.keywords if k.arg == name] or [ast.Constant(None)]
    return value.value if isinstance(value, ast.Constant) else "not a constant"


def test_nothing_is_unpickled():
    wrong = []
    for path in MODULES:
        tree = parse(path)
        names = {name for name in imported(tree) if name.split(".")[0] in ("pickle", "dill", "joblib", "shelve")}
        # (An exception of torch.load, and a number.)
        wrong += [f"{path}: {name}" for name in names - {"pickle.UnpicklingError", "joblib.cpu_count"}]
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            what = ast.unparse(call.func)
            if what == "torch.load" and argument(call, "weights_only") is not True:
                wrong.append(f"{path}:{call.lineno}: torch.load without weights_only=True")
            if what in ("np.load", "numpy.load") and argument(call, "allow_pickle") not in (None, False):
                wrong.append(f"{path}:{call.lineno}: np.load with pickle")
    assert wrong == []


def test_no_unused_import_is_kept_by_a_comment():
    assert [path for path in MODULES if "noqa: F401" in path.read_text(encoding="utf-8")] == []


def test_no_path_of_a_machine():
    parts = ("/home/", "/work/", "/Users/", "/root/")
    assert [path for path in MODULES if any(part in path.read_text(encoding="utf-8") for part in parts)] == []
