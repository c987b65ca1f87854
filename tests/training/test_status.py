"""ipykernel puts a line of a thread into whichever cell runs when it comes: only the main thread may speak."""

from __future__ import annotations

import ast
import io
import logging
import os
import sys
import threading
from pathlib import Path

import replication
from replication.training.fit import fit

PACKAGE = Path(replication.__file__).parent
SPEAKING = {"print", "display", "show", "say", "debug", "info", "warning", "warn", "error", "exception", "log", "write"}


class Told(io.StringIO):
    """A stream that remembers which threads wrote to it."""

    def __init__(self):
        super().__init__()
        self.threads: set[str] = set()

    def write(self, text: str) -> int:
        self.threads.add(threading.current_thread().name)
        return super().write(text)


def test_a_training_with_its_threads_speaks_in_the_main_thread_alone(tmp_path, monkeypatch):
    """Batches are prepared by a thread and ancestors are watched by another, while lines are printed often."""
    from toy_runs import ToyBatches, ToyGAN

    prepared: set[str] = set()

    class Batches(ToyBatches):
        def batch(self, step):
            prepared.add(threading.current_thread().name)
            return super().batch(step)

    told, logged = Told(), Told()
    monkeypatch.setenv("REPLICATION_WATCH_PIDS", str(os.getpid()))
    monkeypatch.setattr(sys, "stdout", told)
    monkeypatch.setattr(sys, "stderr", told)
    handler = logging.StreamHandler(logged)
    logging.getLogger().addHandler(handler)
    try:
        options = {"state_root": tmp_path, "config": {}, "seed": 0, "device": "cpu", "log_every_s": 0.0}
        fit(ToyGAN(), Batches(), steps=6, name="toy", die_with_parent=True, **options)
    finally:
        logging.getLogger().removeHandler(handler)
    assert "toy: step" in told.getvalue() and prepared == {"prefetch"}
    assert told.threads | logged.threads <= {"MainThread"}


def test_what_our_threads_run_says_nothing():
    """Of every function that a module hands to a thread: no call that prints, logs or warns."""
    checked = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for name in _handed_to_threads(tree):
            if name not in functions:
                continue
            checked.append(name)
            calls = (node.func for node in ast.walk(functions[name]) if isinstance(node, ast.Call))
            names = {getattr(func, "id", getattr(func, "attr", "")) for func in calls}
            assert not names & SPEAKING, f"{path.name}: {name} runs in a thread"
    assert {"watch", "_prepare", "file_hash", "_html_exporter"} <= {*checked}


def _handed_to_threads(tree: ast.Module) -> set[str]:
    """Names of functions that are the target of a thread, or the first argument of a pool's submit or map."""
    found: set[str] = set()
    pooled = any("ThreadPoolExecutor" in ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Call))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called == "Thread":
            found |= {word.value.id for word in node.keywords if word.arg == "target" and hasattr(word.value, "id")}
        elif pooled and called in ("submit", "map") and node.args:
            found |= {node.args[0].id} if isinstance(node.args[0], ast.Name) else set()
    return found
