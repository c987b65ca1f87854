"""Where a run computes: one name in, one torch.device out; and how much memory it took there."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import torch

from replication.errors import InputError

CHOICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """The device that `name` stands for.

    Args:
        name: "auto" (CUDA if there is a GPU, else MPS, else CPU), "cpu", "cuda", "cuda:<number>" or "mps".
            Under torchrun, "auto" and "cuda" mean the GPU of this process's LOCAL_RANK.

    Raises:
        InputError: an unknown name, or a device that this machine or this build of torch does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise InputError('device "mps" was asked for, but this machine or this build of torch has no MPS')
        return torch.device("mps")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()) or name.endswith(":"):
        raise InputError(f'device "{name}" is unknown: allowed are {", ".join(CHOICES)} and cuda:<number>')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        reason = "no usable GPU was found" if torch.version.cuda else "this build of torch has no CUDA"
        raise InputError(f'device "{name}" was asked for, but {reason}: use "auto" or "cpu"')
    index = int(number or os.environ.get("LOCAL_RANK", 0))
    if index >= count:
        raise InputError(f'device "cuda:{index}" was asked for, but there are {count} GPU(s), counted from 0')
    return torch.device("cuda", index)


def memory_format(channels_last: bool) -> torch.memory_format:
    """How networks and batches lie in memory: NHWC, or as they come."""
    return torch.channels_last if channels_last else torch.preserve_format


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory in MiB (2**20 bytes).

    On CUDA: the most that tensors took on `device` since `reset_peak_memory`. On CPU and MPS: the largest
    resident size of this process since it began, which torch itself is part of (some 300 MiB). 0.0 where the
    system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource  # absent on Windows
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # macOS counts bytes, Linux KiB


def reset_peak_memory(device: torch.device) -> None:
    """Let `peak_memory_mb` on CUDA count from now; does nothing elsewhere."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


@contextlib.contextmanager
def arithmetic(strict: bool, device: torch.device, compiled: bool = False) -> Iterator[None]:
    """Set torch's global switches for a run, and put them back: a notebook goes on after it.

    Args:
        strict: deterministic algorithms where torch has them (a warning where not), no TF32, no cuDNN search.
        compiled: networks are compiled, so the compiler must not choose kernels by timing them either.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (
        torch.get_deterministic_debug_mode(),
        (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32),
    )
    if strict:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its first use
        if compiled:
            torch.use_deterministic_algorithms(True, warn_only=True)  # also a switch of the compiler, which it loads
        else:
            torch.set_deterministic_debug_mode("warn")  # the same without the compiler, a second of imports
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = False, True, False, False
    elif device.type == "cuda":
        cudnn.benchmark = True  # shapes are fixed, so the search pays once
    try:
        yield
    finally:
        if compiled:
            torch.use_deterministic_algorithms(before[0] > 0, warn_only=before[0] == 1)
        torch.set_deterministic_debug_mode(before[0])
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before[1]
