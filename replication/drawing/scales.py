"""Colour scales of tensors, their shapes in words, and grey for what is not there."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, TwoSlopeNorm

ABSENT = "#e3e6ec"


def shape_words(array: np.ndarray) -> str:
    """An array's shape as words, "64 × 32 × 32"."""
    return " × ".join(str(size) for size in array.shape)


def symmetric_scale(*arrays: np.ndarray) -> TwoSlopeNorm:
    """A common scale around zero; it ends at the 99th percentile of the magnitudes, so an outlier is cut."""
    top = max(float(np.percentile(np.abs(np.concatenate([a.ravel() for a in arrays])), 99)), 1e-12)
    return TwoSlopeNorm(0.0, -top, top)


def finite_range(*arrays: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value of all arrays, never equal; (0, 1) when there is none."""
    values = np.concatenate([a.ravel() for a in arrays])
    values = values[np.isfinite(values)]
    return (float(values.min()), max(float(values.max()), float(values.min()) + 1e-12)) if values.size else (0.0, 1.0)


def grey_where_absent(name: str) -> Colormap:
    """A colour map that draws NaN (absent) in grey."""
    return matplotlib.colormaps[name].with_extremes(bad=ABSENT)
