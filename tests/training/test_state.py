"""Which processes a run belongs to, and its lock."""

from __future__ import annotations

import json
import os

import psutil
import pytest

from replication.errors import InputError
from replication.training.state import Stop, ancestors_to_watch, end_with, locked, state_path


class Ancestor:
    def __init__(self, pid, *command):
        self.pid, self.command = pid, list(command)

    def cmdline(self):
        if not self.command:
            raise psutil.AccessDenied(self.pid)
        return self.command


PAPERMILL = Ancestor(50, "/env/bin/python", "/env/bin/papermill", "train.ipynb", "out.ipynb")
SHELL = Ancestor(40, "/bin/sh", "-c", "papermill train.ipynb out.ipynb -p dvc repro")
DVC = Ancestor(30, "/env/bin/python", "/env/bin/dvc", "repro")
MODULE = Ancestor(30, "/env/bin/python", "-m", "dvc", "repro")
MAKE = Ancestor(20, "make", "repro")
LOGIN = Ancestor(10, "-bash")
INIT = Ancestor(1, "/sbin/init")


@pytest.mark.parametrize(
    ("parents", "watched"),
    [
        ([PAPERMILL, SHELL, DVC, MAKE, LOGIN, INIT], [50, 40, 30]),
        ([PAPERMILL, SHELL, MODULE, LOGIN, INIT], [50, 40, 30]),
        ([PAPERMILL, LOGIN, INIT], [50]),  # papermill by hand
        ([LOGIN, Ancestor(9), INIT], []),  # python -m replication under nohup
        ([INIT], []),
    ],
)
def test_ancestors_up_to_dvc(monkeypatch, parents, watched):
    monkeypatch.delenv("REPLICATION_WATCH_PIDS", raising=False)
    monkeypatch.setattr(psutil.Process, "parents", lambda self: parents)
    assert ancestors_to_watch() == watched


def test_environment_replaces_the_rule(monkeypatch):
    monkeypatch.setenv("REPLICATION_WATCH_PIDS", "12,34")
    assert ancestors_to_watch() == [12, 34]
    monkeypatch.setenv("REPLICATION_WATCH_PIDS", "")
    assert ancestors_to_watch() == []
    monkeypatch.setenv("REPLICATION_WATCH_PIDS", "12;34")
    with pytest.raises(InputError, match='REPLICATION_WATCH_PIDS is "12;34": it must be pids'):
        ancestors_to_watch()


def test_watching_the_living_changes_nothing():
    stop = Stop()
    with end_with([os.getppid()], stop):
        pass
    assert stop.reason is None


def test_watching_the_dead_is_refused(tmp_path, server):
    run = server.start(root=tmp_path, steps=1)
    assert run.wait() == 0
    message = f"process {run.pid}, which this run belongs to, has already ended"
    with pytest.raises(InputError, match=message), end_with([run.pid], Stop()):
        pass


def test_lock_names_its_holder_and_ends_with_the_block(tmp_path):
    folder = state_path(tmp_path, "full", {"a": 1})
    assert folder.parent == tmp_path / "full" and len(folder.name) == 16
    message = f"process {os.getpid()} is already running in"
    with locked(folder, {"a": 1}), pytest.raises(InputError, match=message), locked(folder, {"a": 1}):
        pass
    with locked(folder, {"a": 1}):
        assert json.loads((folder / "config.json").read_text()) == {"a": 1}
