"""Random numbers that depend on nothing but (seed, purpose, index)."""

from __future__ import annotations

import zlib

import numpy as np

from replication.errors import InputError


def stream(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """A generator for item `index` of one `purpose`, e.g. ("training images", epoch).

    Philox is counter based: the key is (seed, index), the purpose goes into the top word of the counter.
    So no two of them overlap, no stream depends on how much another one was used, and making one costs
    microseconds. Raises InputError for a negative seed.
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"seed={seed}: a seed is an integer from 0 to 2^63-1")
    key = np.array([seed, index], dtype=np.uint64)
    counter = np.array([0, 0, 0, zlib.crc32(purpose.encode())], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
