"""Statements that do nothing: half of a caption was once lost as one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import replication

PACKAGE = Path(replication.__file__).parent


def thrown_away(tree: ast.Module) -> list[int]:
    """Lines of texts inside functions that stand alone and are no docstring."""
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            body = getattr(node, "body", None)
            if not isinstance(body, list):
                continue
            first = 1 if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else 0
            for statement in [*body[first:], *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]:
                value = getattr(statement, "value", None) if isinstance(statement, ast.Expr) else None
                if isinstance(value, ast.JoinedStr) or isinstance(getattr(value, "value", None), str):
                    found.append(statement.lineno)
    return sorted(set(found))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_text_is_thrown_away(path):
    assert thrown_away(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_a_caption_in_two_statements_would_be_found():
    source = 'def f():\n    """Doc."""\n    caption = "Rows: evenly"\n    "over the ratio."\n    return caption\n'
    assert thrown_away(ast.parse(source)) == [4]
