"""Batches prepared by a thread while the network trains on the ones before."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol

import torch


class StepBatches(Protocol):
    def batch(self, step: int) -> dict[str, Any]: ...


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def _put(ready: queue.Queue, item: Any, closed: threading.Event) -> bool:
    """Queue an item; gives up, and returns False, once the reader has closed."""
    while not closed.is_set():
        try:
            ready.put(item, timeout=0.05)
            return True
        except queue.Full:
            continue
    return False


def _prepare(
    batches: StepBatches, start: int, stop: int, pin: bool, ready: queue.Queue, closed: threading.Event
) -> None:
    try:
        for step in range(start, stop):
            if closed.is_set():
                return
            batch = batches.batch(step)
            if pin:
                batch = {k: v.pin_memory() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
            if not _put(ready, batch, closed):
                return
    except BaseException as error:  # handed to the reader, at the place of the batch that failed
        _put(ready, _Failure(error), closed)
    else:
        _put(ready, _END, closed)


def _shut_down(closed: threading.Event, thread: threading.Thread) -> None:
    closed.set()
    thread.join(timeout=5)


class Prefetcher(Iterator[dict[str, Any]]):
    """Iterates over `batches.batch(step)` for step in start..stop-1, with `depth` batches prepared ahead.

    device: where the tensors are put; on CUDA they are pinned by the thread and copied without blocking.
    waited: seconds that the reader has spent waiting for batches so far.
    An exception in the thread is raised at the batch it belongs to. Use as a context manager, or call
    `close()`; if neither happens, the thread ends with the object or the program.
    """

    def __init__(
        self,
        batches: StepBatches,
        start: int,
        stop: int,
        device: str | torch.device = "cpu",
        *,
        depth: int = 2,
    ) -> None:
        self.device = torch.device(device)
        self.waited = 0.0
        # One batch is always in the thread's hands, waiting to be queued.
        self._ready: queue.Queue = queue.Queue(maxsize=max(1, depth - 1))
        self._closed = threading.Event()
        arguments = (batches, start, stop, self.device.type == "cuda", self._ready, self._closed)
        # The thread knows nothing of this object, so that forgetting the object ends the thread.
        self._thread = threading.Thread(target=_prepare, args=arguments, name="prefetch", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, _shut_down, self._closed, self._thread)

    def __next__(self) -> dict[str, Any]:
        if self._closed.is_set():
            raise StopIteration
        began = time.perf_counter()
        item = self._next_item()
        self.waited += time.perf_counter() - began
        if item is _END:
            self.close()
            raise StopIteration
        if isinstance(item, _Failure):
            self.close()
            raise item.error
        if self.device.type == "cpu":
            return item
        return {k: v.to(self.device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in item.items()}

    def _next_item(self) -> Any:
        # The thread ends with an end or a failure; only a close() from elsewhere leaves the queue without.
        while True:
            try:
                return self._ready.get(timeout=1)
            except queue.Empty:
                if self._closed.is_set():
                    return _END

    def close(self) -> None:
        """Stop the thread; returns when it has ended."""
        self._finalizer()

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
