"""Map a function over items in several processes: results in order, a bounded number in memory."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Processes started inside have one thread each for linear algebra.

    Left alone, every one of N processes starts as many threads as there are cores, and they fight for them:
    drawing faces with 2 processes on 2 cores was measured at a third of the speed.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """Let this process end when the one that started it does, however that ends: a pool waits for work for ever."""

    def watch(sentinel: int) -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int = 0) -> Iterator[Result]:
    """Yield function(item) for every item, in the order of the items.

    workers: processes; 0 or 1 computes here. At most 2 * workers results wait, however slow the reader is.
    The first exception is raised at its item's place and ends the work.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    # "spawn": a fork of a process in which torch or OpenMP already has threads may deadlock.
    context = multiprocessing.get_context("spawn")
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    with (
        _single_threaded_children(),
        concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool,
    ):
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
