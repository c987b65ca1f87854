"""The folder of a run in progress: resumable, locked against a second process, left by orphans."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replication.atomic import write_json
from replication.errors import InputError
from replication.training.checkpoint import config_digest, first_differences

logger = logging.getLogger(__name__)

WATCH_VARIABLE = "REPLICATION_WATCH_PIDS"
RUNNERS = ("dvc", "papermill")
"""Programs that start trainings for someone, and will start them again when they are run again."""
WATCH_EVERY_S = 0.5
GRACE_S = 1.3
"""What an orphan gets to finish its step and write a checkpoint: 2 s in all, with the 0.5 s to notice."""


def state_path(root: str | Path, name: str, config: Mapping[str, Any]) -> Path:
    """Folder of the run of `config` under the name `name`: `<root>/<name>/<first 16 digits of its digest>`.

    It lies outside the outs of DVC, which are deleted before a stage runs. Whatever decides the result
    belongs in `config`: a changed value is another run in another folder.
    """
    return Path(root) / name / config_digest(config)[:16]


@contextlib.contextmanager
def locked(folder: str | Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """Make the state folder if needed and hold its lock; `config.json` tells a reader what it belongs to.

    The lock is the operating system's (flock): it ends with the process however that dies, so there is
    never a stale one to remove.

    Raises:
        InputError: another process holds it; its pid is named.
    """
    import fcntl  # not on Windows, where training runs under WSL

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise InputError(
                f"process {holder} is already running in {folder}: wait for it, or end it and run the same "
                "command again"
            ) from None
        # Written only under the lock, for the message that a second process gives.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        if not (folder / "config.json").exists():
            write_json(folder / "config.json", dict(config))
        yield folder
    finally:
        # The file stays. Were it removed, a process that had opened it would lock a file that the next one, which
        # makes a new one of the same name, never sees.
        os.close(descriptor)


@dataclass(frozen=True)
class OtherRun:
    """A training of the same name under another configuration, by the last of its checkpoints.

    steps: of the whole training. config: what it was begun with.
    """

    folder: Path
    step: int
    steps: int
    config: Mapping[str, Any]

    def told(self, config: Mapping[str, Any]) -> str:
        """What is there, and why a training of `config` does not go on with it."""
        state = "a finished training" if self.step >= self.steps else f"a training at step {self.step} of {self.steps}"
        differing = "; ".join(first_differences(config, self.config))
        return f"{state} of another configuration ({differing}) is in {self.folder}, until this one is stored"


def furthest_other_run(folder: str | Path) -> OtherRun | None:
    """Of the trainings beside this one's folder, a finished one, or else that with the most steps; None without any.

    A folder that cannot be read is none.
    """
    found = []
    for other in sorted(Path(folder).parent.glob("*/config.json")):
        steps_done = [int(m.stem.removeprefix("step-")) for m in other.parent.glob("step-*.json")]
        if other.parent == Path(folder) or not steps_done:
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            config = json.loads(other.read_bytes())
            found.append(OtherRun(other.parent, max(steps_done), int(config["fit"]["steps"]), config))
    return max(found, key=lambda one: (one.step >= one.steps, one.step), default=None)


def remove_other_runs(folder: str | Path) -> None:
    """Remove the state of other configurations of the same name, unless a process is working on it.

    The folder itself stays: if something after the training fails (a plot, a full disk), the next run finds the
    last checkpoint and is done at once.
    """
    import fcntl

    for other in Path(folder).parent.iterdir():
        if other == Path(folder) or not (other / "lock").is_file():
            continue
        with (other / "lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(other, ignore_errors=True)


class Stop:
    """Whether and why this run should end after its step; `reason` is None until it should."""

    def __init__(self):
        self.reason: str | None = None


@contextlib.contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop.reason`; another one, a second later or more, interrupts at once.

    Within that second it counts as the same wish: Ctrl-C under torchrun or papermill reaches us twice.

    Outside the main thread, where Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked_at: float | None = None

    # A handler may run between any two instructions of Python, in the middle of an optimiser's step as well. So it
    # only notes the wish, and the loop ends where the networks are whole.
    def handler(number: int, frame: Any) -> None:
        nonlocal asked_at
        if asked_at is not None and time.monotonic() - asked_at >= 1.0:
            raise KeyboardInterrupt
        asked_at = asked_at or time.monotonic()
        stop.reason = stop.reason or signal.Signals(number).name

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)


def ancestors_to_watch() -> list[int]:
    """The processes without which this run has no reason to go on.

    `kill -9` of `dvc repro` leaves its children running, and a second `dvc repro` would start beside them. In
    a notebook the chain is kernel <- papermill <- sh <- dvc, where papermill outlives dvc as well; so: all
    ancestors up to the outermost whose command is dvc or papermill, and none if there is no such. The shell
    above them is not watched: what `nohup` started survives the end of its terminal.

    The variable REPLICATION_WATCH_PIDS (pids, separated by commas) replaces this rule; empty watches none.
    """
    if WATCH_VARIABLE in os.environ:
        text = os.environ[WATCH_VARIABLE]
        try:
            return [int(pid) for pid in text.split(",") if pid.strip()]
        except ValueError:
            raise InputError(f'{WATCH_VARIABLE} is "{text}": it must be pids separated by commas') from None
    import psutil

    parents = [parent for parent in psutil.Process().parents() if parent.pid > 1]
    count = 0
    for i, parent in enumerate(parents):
        with contextlib.suppress(psutil.Error):
            # The first words: "python /bin/dvc repro", "python -m dvc repro".
            if any(Path(word).name.removesuffix(".exe") in RUNNERS for word in parent.cmdline()[:3]):
                count = i + 1
    return [parent.pid for parent in parents[:count]]


@contextlib.contextmanager
def end_with(pids: list[int], stop: Stop) -> Iterator[None]:
    """While the block runs, watch processes; when one ends, this run ends within about 2 s.

    First gently (`stop.reason`, so that the step is finished and a checkpoint written), then, after a grace
    of 1.3 s, at once, which loses at most the work since the last checkpoint. A watching thread rather than
    Linux's PR_SET_PDEATHSIG: that one knows the direct parent only, and fires when the *thread* that started
    us ends, which in a Jupyter server is no reason to stop.
    """
    if not pids:
        yield
        return
    import psutil

    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))  # remembers the start time: a reused pid does not fool it
        except psutil.NoSuchProcess:
            raise InputError(f"process {pid}, which this run belongs to, has already ended") from None
    finished = threading.Event()

    def alive(process: psutil.Process) -> bool:
        try:
            # A zombie has ended; it keeps its number until its parent asks for its status, which may be never.
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True  # it is there, under another user

    def watch() -> None:
        while not finished.wait(WATCH_EVERY_S):
            dead = [process.pid for process in processes if not alive(process)]
            if dead:
                stop.reason = f"process {dead[0]}, which this run belongs to, has ended"
                # Not sys.exit, which would end this thread alone; the main thread may be in a step of minutes.
                if not finished.wait(GRACE_S):
                    os._exit(1)
                return

    thread = threading.Thread(target=watch, name="watch-ancestors", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
