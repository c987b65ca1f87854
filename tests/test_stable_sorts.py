"""Sorting keeps the order of equal values everywhere: the defaults of NumPy and PyTorch shuffle them from 17 on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

import replication

UNSTABLE = {"topk", "kthvalue", "argpartition", "partition", "msort"}
STABLE = {"stable": True, "kind": "stable"}
OF_LISTS = {"key", "reverse"}


def unstable_sorts(source: str) -> list[str]:
    """Calls of a module that may change the order of equal values. Of `np.sort` only the values come out, and
    equal ones are equal; lists sort stably.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if any(given.get(key) == value for key, value in STABLE.items()):
            continue
        of_tensors = owner == "torch" or bool(given.keys() - OF_LISTS) or bool(node.args)
        of_text = name == "partition" and owner not in ("np", "numpy")
        sort = name == "sort" and owner not in ("np", "numpy") and of_tensors
        if sort or (name in UNSTABLE and not of_text) or name in ("argsort", "sort_values"):
            found.append(f"{owner}.{name}")
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("np.argsort(p)", ["np.argsort"]),
        ("np.argsort(p, kind='stable')", []),
        ("scores.argsort(descending=True)", ["scores.argsort"]),
        ("torch.sort(x, stable=True); torch.sort(x)", ["torch.sort"]),
        ("losses.sort(descending=True).values", ["losses.sort"]),
        ("losses.topk(3)", ["losses.topk"]),
        ("np.argpartition(x, 3)", ["np.argpartition"]),
        ("frame.sort_values('PSNR')", ["frame.sort_values"]),
        ("pairs.sort(key=len); names.sort(); np.sort(x); text.partition(':')", []),
    ],
)
def test_what_is_found_in_a_source(source, expected):
    assert unstable_sorts(source) == expected


def test_every_sort_of_the_package_keeps_the_order_of_equal_values():
    package = Path(replication.__file__).parent
    found = {
        str(path.relative_to(package)): calls
        for path in sorted(package.rglob("*.py"))
        if (calls := unstable_sorts(path.read_text(encoding="utf-8")))
    }
    assert found == {}, 'take stable=True, kind="stable", or a stable sort in place of topk'


def test_pytorchs_default_does_not_keep_it():
    """The reason for the rule; a version that sorts stably by default may drop it."""
    equal = torch.zeros(1000)
    assert equal.sort(stable=True).indices.tolist() == list(range(1000))
    assert equal.topk(100).indices.tolist() != list(range(100))
