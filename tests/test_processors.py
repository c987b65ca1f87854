"""The number of processors that work is shared among."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import replication
from replication.processors import usable_processors

COUNTERS = {"cpu_count", "process_cpu_count", "sched_getaffinity", "cpu_affinity"}
ALLOWED = {
    "processors.py",
    "history/records.py",  # tells which machine it was, whatever of it could be used
}


def test_at_least_one_and_no_more_than_the_machine_has():
    assert 1 <= usable_processors() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_a_process_that_is_bound_to_one_processor_counts_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from replication.processors import usable_processors; print(usable_processors())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_a_quota_of_the_container_counts_too(monkeypatch):
    """joblib reads the quota where Linux shows it to a container; a machine with 64 processors may allow two."""
    from joblib.externals.loky.backend import context

    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(context, "_cpu_count_affinity", lambda count: 64)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda count: 2)
    assert usable_processors() == 2


def test_nothing_else_counts_processors():
    package = Path(replication.__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert name in ALLOWED or not named & COUNTERS, f"{name}: ask processors.usable_processors"
