"""Map a function over items in several processes: results in order, a bounded number in memory."""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 0
) -> Iterator[Result]:
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
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
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
