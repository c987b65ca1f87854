from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from replication.data.loader import TrainingBatches
from replication.data.prefetch import Prefetcher
from replication.errors import InputError


class Counted:
    """Batches that count how many were asked for, are slow if told to, and fail at one step."""

    def __init__(self, fails_at: int = -1, seconds: float = 0.0) -> None:
        self.asked: list[int] = []
        self.fails_at, self.seconds = fails_at, seconds

    def batch(self, step):
        time.sleep(self.seconds)
        self.asked.append(step)
        if step == self.fails_at:
            raise InputError(f"step {step} is broken")
        return {"x": torch.full((2,), float(step)), "ids": [str(step)]}


def prefetch_threads() -> int:
    return sum(t.name == "prefetch" for t in threading.enumerate())


def wait_for(condition) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_the_same_batches_in_the_same_order(faces, masks):
    batches = TrainingBatches(faces, masks, batch_size=4, seed=1, fields=("parsing",))
    with Prefetcher(batches, 3, 9) as ahead:
        got = list(ahead)
    assert len(got) == 6
    for step, batch in zip(range(3, 9), got, strict=True):
        direct = batches.batch(step)
        assert torch.equal(batch["image"], direct["image"]) and torch.equal(batch["parsing"], direct["parsing"])
        assert batch["ids"] == direct["ids"] and np.array_equal(batch["pairs"], direct["pairs"])
    assert prefetch_threads() == 0


def test_two_batches_ahead_and_no_more():
    batches = Counted()
    with Prefetcher(batches, 0, 100) as ahead:
        assert wait_for(lambda: len(batches.asked) == 2)
        next(ahead)
        assert wait_for(lambda: len(batches.asked) == 3)
        time.sleep(0.05)
        assert batches.asked == [0, 1, 2]


def test_waiting_is_measured():
    with Prefetcher(Counted(seconds=0.05), 0, 3) as slow:
        list(slow)
        assert 0.1 < slow.waited < 2
    with Prefetcher(Counted(), 0, 3) as fast:
        for _ in fast:
            time.sleep(0.05)
        assert fast.waited < 0.05


def test_an_exception_comes_at_its_batch():
    with Prefetcher(Counted(fails_at=2), 0, 5) as ahead:
        assert [next(ahead)["ids"], next(ahead)["ids"]] == [["0"], ["1"]]
        with pytest.raises(InputError, match="step 2 is broken"):
            next(ahead)
        with pytest.raises(StopIteration):
            next(ahead)
    assert prefetch_threads() == 0


def test_an_exception_in_the_reader_ends_the_thread():
    with pytest.raises(ZeroDivisionError), Prefetcher(Counted(), 0, 10**6) as ahead:
        next(ahead)
        raise ZeroDivisionError
    assert prefetch_threads() == 0


def test_a_forgotten_prefetcher_ends_its_thread():
    ahead = Prefetcher(Counted(), 0, 10**6)
    next(ahead)
    del ahead
    gc.collect()
    assert wait_for(lambda: prefetch_threads() == 0)


def test_nothing_to_do():
    with Prefetcher(Counted(), 4, 4) as ahead:
        assert list(ahead) == []


def test_a_program_that_forgets_to_close_still_ends():
    program = (
        "from replication.data.prefetch import Prefetcher\n"
        "import numpy\n"
        "class B:\n"
        "    def batch(self, step): return {'x': numpy.zeros(3)}\n"
        "p = Prefetcher(B(), 0, 10**9); next(p)\n"
        "raise SystemExit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_arrive_on_the_device(faces, masks):
    batches = TrainingBatches(faces, masks, batch_size=4, seed=1)
    with Prefetcher(batches, 0, 4, "cuda") as ahead:
        for step, batch in enumerate(ahead):
            assert batch["image"].is_cuda and torch.equal(batch["image"].cpu(), batches.batch(step)["image"])
            assert isinstance(batch["ids"], list)
