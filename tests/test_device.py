"""Names of devices."""

from __future__ import annotations

import psutil
import pytest
import torch

from replication.device import choose_device, peak_memory_mb
from replication.errors import InputError


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_without_gpu(no_gpu):
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(InputError, match=f'device "{name}" was asked for, but'):
            choose_device(name)


def test_with_gpus(two_gpus, monkeypatch):
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match=r'"cuda:2" was asked for, but there are 2 GPU\(s\)'):
        choose_device("cuda:2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda", 1)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "CPU"])
def test_unknown_names(two_gpus, name):
    with pytest.raises(InputError, match=f'device "{name}" is unknown: allowed are auto, cpu, cuda, mps'):
        choose_device(name)


def test_peak_memory_of_the_process_is_plausible():
    now = psutil.Process().memory_info().rss / 2**20
    assert 0.9 * now < peak_memory_mb(torch.device("cpu")) < now + 50_000
