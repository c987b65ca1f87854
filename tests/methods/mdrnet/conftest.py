"""Tensors of the stated shapes; `tiny_mdrnet` is importable; sums round as with one thread, and draws repeat."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def network() -> dict[str, np.ndarray]:
    """Random arrays of the shapes in `tensors.MDRNET`, consistent where the drawing relies on it."""
    rng = np.random.default_rng(0)
    size, grid, c, k, n, m, patches = 32, 16, 12, 3, 14, 8, 64
    mask = np.zeros((size, size), np.uint8)
    mask[8:24, 10:28] = 1
    labels = rng.integers(0, 13, (size, size)).astype(np.uint8)  # class 13 is absent

    def picture() -> np.ndarray:
        return rng.integers(0, 256, (size, size, 3)).astype(np.uint8)

    def rows(width: int) -> np.ndarray:
        weights = rng.random((n, width)) + 0.1
        return weights / weights.sum(axis=1, keepdims=True)

    attention = rng.random((patches, patches))
    present = np.array([1] * 13 + [0], np.uint8)
    tensors = {
        "image": picture(), "mask": mask, "coarse": picture(), "labels": labels, "mask_grid": mask[::2, ::2],
        "labels_grid": labels[::2, ::2], "style": rng.normal(size=(c, grid, grid)),
        "queries": rng.normal(size=(n, c)), "queries_present": present, "values": rng.normal(size=(n, c)),
        "values_present": present, "weights": rows(m), "reads": rng.normal(size=(n, c)),
        "fused": rng.normal(size=(c, grid, grid)), "mcm_query": rng.normal(size=(k, grid, grid)),
        "mcm_key": rng.normal(size=(k, grid, grid)), "mcm_value": rng.normal(size=(c, grid, grid)),
        "attention": attention / attention.sum(axis=1, keepdims=True),
        "mcm_update": rng.normal(size=(c, grid, grid)), "enhanced": rng.normal(size=(c, grid, grid)),
        "refined": picture(), "completed": picture(), "hits": rng.integers(0, 3, (n, m)).astype(float),
    }  # fmt: skip
    for block, side in ((1, 8), (2, 16), (3, 32)):
        for kind in ("gamma", "beta"):
            tensors[f"spade{block}_{kind}"] = rng.normal(size=(4, side, side))
    return tensors


@pytest.fixture
def coordination(network: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Random arrays of the shapes in `tensors.INCO2`."""
    rng = np.random.default_rng(1)
    tensors = {"real": network["image"], "inpainted": network["refined"]}
    tensors |= {key: network[key] for key in ("mask", "labels")}
    for face in ("real", "inpainted"):
        tensors[f"features_{face}"] = rng.normal(size=(5, 4, 4))
        tensors |= {f"{part}_{face}": rng.normal(size=(14, 5)) for part in ("hole", "known")}
        tensors |= {f"{kind}_{face}": rng.normal(size=(14, 14)) for kind in ("intra", "inter")}
    tensors |= {f"{kind}_valid": rng.integers(0, 2, (14, 14)) for kind in ("intra", "inter")}
    return tensors
