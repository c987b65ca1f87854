"""What goes into a step and comes out of it: its random numbers, the layout of its batch, its scalars."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_step(seed: int, step: int, rank: int, device: torch.device) -> None:
    """Seed torch, NumPy and Python by a hash of the three numbers.

    A hash, because with a sum such as seed + step the runs of seeds 0 and 1 would share almost all streams, one
    step apart. The rank is in it so that ranks do not draw the same noise for different images.
    """
    digest = hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little")
    # Not torch.manual_seed: it notes a stack trace for every kind of device that was never used, 1 ms a step.
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
    np.random.seed(number % 2**32)  # NumPy takes 32 bits
    random.seed(number)


def channels_last_of(value: Any) -> Any:
    """A value of a batch in NHWC memory, where it is a picture or a mask; anything else as it is."""
    # Pictures and masks only: labels are 3-d, and convolutions see floating-point tensors.
    if isinstance(value, Tensor) and value.dim() == 4 and value.is_floating_point():
        return value.contiguous(memory_format=torch.channels_last)
    return value


def plain_ids(ids: Any) -> Any:
    """Ids as JSON values, for the message and the file of a step that was not finite."""
    if isinstance(ids, Tensor | np.ndarray):
        return ids.tolist()
    return [str(item) for item in ids] if ids is not None else None


def gather(scalars: Mapping[str, Any], group, device: torch.device) -> tuple[list[str], Tensor]:
    """Names and one float tensor, averaged over ranks; left on the device, so that nothing waits for it.

    The device works behind the program; reading a number waits until it has caught up. Done at every step, that
    would leave a GPU idle while the next batch is handed over.
    """
    if not scalars:
        return [], torch.zeros(0)
    values = [torch.as_tensor(value, dtype=torch.float32, device=device) for value in scalars.values()]
    stacked = torch.stack([value.detach().reshape(()) for value in values])
    return list(scalars), group.all_reduce_mean([stacked])[0]


def numbers(scalars: tuple[list[str], Tensor] | dict[str, float]) -> dict[str, float]:
    """Scalars on the host."""
    if isinstance(scalars, dict):
        return scalars
    names, values = scalars
    return dict(zip(names, values.tolist(), strict=True))


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each scalar over the steps that reported it; exact summation, so that no grouping shows.

    A value that is not finite makes the whole mean NaN (null in the file): leaving it out would hide it.
    """
    names = dict.fromkeys(name for row in rows for name in row)  # a dict, because a set has no order to keep
    columns = {name: [row[name] for row in rows if name in row] for name in names}
    return {k: math.fsum(v) / len(v) if all(map(math.isfinite, v)) else math.nan for k, v in columns.items()}
