"""The server of `toy_runs.py` as a fixture."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for `import toy_runs`


class Run:
    """A run in a process of its own."""

    def __init__(self, server, pid: int, log: Path):
        self.server, self.pid, self.log = server, pid, log
        self.code: int | None = None

    def wait(self, timeout: float = 20) -> int:
        """Exit code; negative for a signal."""
        deadline = time.monotonic() + timeout
        while self.code is None:
            self.code = self.server.ask({"poll": self.pid})
            if self.code is None:
                assert time.monotonic() < deadline, f"still running after {timeout} s:\n{self.output()}"
                time.sleep(0.01)
        return self.code

    def output(self) -> str:
        return self.log.read_text()


class Server:
    def __init__(self, folder: Path):
        self.folder, self.numbers = folder, itertools.count()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "toy_runs.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, request: dict):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, job: str = "train", environment: dict | None = None, **arguments) -> Run:
        log = self.folder / f"run-{next(self.numbers)}.log"
        request = {
            "job": job,
            "arguments": {key: str(v) if isinstance(v, Path) else v for key, v in arguments.items()},
            "environment": {key: str(value) for key, value in (environment or {}).items()},
            "log": str(log),
        }
        return Run(self, self.ask(request), log)


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """As in the server's children: sums over several threads round otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("runs"))
    yield server
    server.process.stdin.close()
    server.process.wait(10)
