"""A 64-bit hash of what a face looks like, and the pairs of nearly equal ones between two sets.

The hash: signs of 8x8 low frequencies of a 32x32 grey copy about their median, without the frequencies zero. It
stays within 4 of 64 bits under JPEG of quality 30 or half the resolution, within 8 under a turn by 1 degree.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

GREY_SIZE = 32
LARGEST_DISTANCE = 8
"""Bits in which near-duplicates may differ: beyond it, aligned portraits of two people are usual."""
SMALLEST_CORRELATION = 0.9
"""Of their 32x32 grey copies; two strangers that agree in the hash have less."""

_FREQUENCIES = np.cos(math.pi / GREY_SIZE * np.outer(np.arange(1, 9), np.arange(GREY_SIZE) + 0.5))
_BLOCK_PAIRS = 2**22


def grey_copy(image: np.ndarray) -> np.ndarray:
    """An RGB face uint8 (S,S,3) -> uint8 (32,32) grey."""
    return np.asarray(Image.fromarray(image).convert("L").resize((GREY_SIZE, GREY_SIZE), Image.Resampling.LANCZOS))


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits of an RGB face uint8 (S,S,3), as a number."""
    # Rounded, so that the last digits of a processor's sums decide nothing.
    low = (_FREQUENCIES @ grey_copy(image).astype(np.float64) @ _FREQUENCIES.T).round(4).ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def nearest(hashes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of `hashes` uint64 (n,) the place in `others` (m,) of the nearest, and its distance in bits."""
    places, distances = np.empty(len(hashes), dtype=np.int64), np.empty(len(hashes), dtype=np.int64)
    for start, block in _blocks(hashes, others):
        places[start : start + len(block)] = block.argmin(axis=1)
        distances[start : start + len(block)] = block.min(axis=1)
    return places, distances


def close_pairs(hashes: np.ndarray, others: np.ndarray, most: int = LARGEST_DISTANCE) -> np.ndarray:
    """int64 (k,3): place in `hashes`, place in `others`, distance, of all pairs that differ in at most `most` bits."""
    found = []
    for start, block in _blocks(hashes, others):
        rows, columns = np.nonzero(block <= most)
        found.append(np.stack([rows + start, columns, block[rows, columns]], axis=1))
    return np.concatenate(found).astype(np.int64) if found else np.zeros((0, 3), dtype=np.int64)


def _blocks(hashes: np.ndarray, others: np.ndarray):
    """Distances uint8 (r,m) of some rows of `hashes` after another: memory does not grow with their number."""
    step = max(1, _BLOCK_PAIRS // max(1, len(others)))
    for start in range(0, len(hashes), step):
        yield start, np.bitwise_count(hashes[start : start + step, None] ^ others[None])


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation, -1..1, of the grey copies of two RGB faces; equal flat ones have 1."""
    a, b = (grey_copy(image).astype(np.float64) for image in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size else float(np.array_equal(one, other))
