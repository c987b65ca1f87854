"""A picture in the making: pixel grids, soft painting with labels, seeded noise, and the final reduction.

Everything is computed in linear light on planes of float32 and becomes sRGB-like bytes at the very end.
Noise comes from fixed tables that are read at coordinates in eye units, so that a face looks the same at
any size: a larger picture shows more of the same texture.
"""

from __future__ import annotations

import functools

import numpy as np

UNITS = 8.0  # width and height of the picture in eye units
LEFT, TOP = -4.0, -3.8

f32 = np.float32
Box = tuple[slice, slice]


def linear(colour: np.ndarray | tuple[float, float, float]) -> np.ndarray:
    """sRGB in 0..1 to linear light with gamma 2, shaped (3, 1, 1) to be painted on planes."""
    return (np.asarray(colour, f32) ** 2).reshape(3, 1, 1)


def ramp(low: float, high: float, value):
    """Smoothstep of `value` from 0 at `low` to 1 at `high` (which may be the smaller)."""
    t = np.clip((value - low) * (1.0 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def bell(value, centre: float, radius: float):
    """Gaussian bump of height 1."""
    scaled = (value - centre) * (1.0 / radius)
    return np.exp(-scaled * scaled)


def _smooth_lattice(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Tileable value noise: random numbers on a lattice of `cells`, spread smoothly over `size` samples."""
    values = rng.standard_normal(cells)
    for axis in (0, 1):
        position = np.arange(size[axis]) * (cells[axis] / size[axis])
        low = position.astype(int)
        t = position - low
        t = t * t * (3 - 2 * t)
        first, second = np.take(values, low, axis), np.take(values, (low + 1) % cells[axis], axis)
        weight = t[:, None] if axis == 0 else t[None]
        values = first + (second - first) * weight
    return values


@functools.cache
def noise_table(kind: str) -> np.ndarray:
    """A tileable (512, 512) table of mean 0 and deviation 1: `cloud` (fractal), `grain` (fine), `strand`
    (fine across, long along) or `lock` (strands gathered in locks)."""
    rng = np.random.default_rng(sum(map(ord, kind)))
    size = (512, 512)
    if kind == "cloud":
        table = sum(_smooth_lattice(rng, (c, c), size) * 8 / c for c in (8, 16, 32, 64))
    elif kind == "grain":
        table = _smooth_lattice(rng, (128, 128), size) + 0.6 * _smooth_lattice(rng, (64, 64), size)
    elif kind == "strand":
        table = _smooth_lattice(rng, (128, 4), size) + 0.8 * _smooth_lattice(rng, (64, 6), size)
    else:
        table = _smooth_lattice(rng, (32, 4), size) + 0.7 * _smooth_lattice(rng, (16, 3), size)
    return ((table - table.mean()) / table.std()).astype(f32)


def noise(kind: str, across, along) -> np.ndarray:
    """Read a noise table at coordinates in table periods (any broadcastable shapes, any range)."""
    table = noise_table(kind)
    row = np.multiply(across, 512, dtype=f32).astype(np.int32) & 511
    column = np.multiply(along, 512, dtype=f32).astype(np.int32) & 511
    return table.ravel().take((row << 9) + column)


@functools.lru_cache(maxsize=64)
def _spread(length: int, cells: int) -> np.ndarray:
    """(length, cells) matrix of cubic B-spline weights: a coarse row of cells to a smooth row of pixels."""
    position = (np.arange(length) + 0.5) / length * (cells - 3) + 1
    low = np.floor(position).astype(int)
    t = position - low
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    matrix = np.zeros((length, cells), f32)
    for offset, weight in enumerate(weights):
        matrix[np.arange(length), np.clip(low - 1 + offset, 0, cells - 1)] += weight
    return matrix


def enlarge(coarse: np.ndarray, size: int) -> np.ndarray:
    """Spread (..., h, w) smoothly over (..., size, size)."""
    return _spread(size, coarse.shape[-2]) @ coarse.astype(f32) @ _spread(size, coarse.shape[-1]).T


@functools.lru_cache(maxsize=64)
def _area(length: int, fine: int) -> np.ndarray:
    """(length, fine) matrix that averages `fine` samples over `length` pixels."""
    edges = np.arange(length + 1) * fine / length
    cell = np.arange(fine)
    overlap = np.minimum(edges[1:, None], cell + 1) - np.maximum(edges[:-1, None], cell)
    return (np.clip(overlap, 0, None) * length / fine).astype(f32)


@functools.lru_cache(maxsize=64)
def _blur_matrix(length: int, radius: float) -> np.ndarray:
    offset = np.arange(length)
    weights = np.exp(-(((offset[:, None] - offset) / max(radius, 0.3)) ** 2))
    return (weights / weights.sum(1, keepdims=True)).astype(f32)


class Canvas:
    """Planes `rgb` (3, n, n) in linear light and `labels` (n, n), on a grid of n = size * scale samples."""

    def __init__(self, size: int, scale: float, shift: tuple[float, float] = (0.0, 0.0)):
        self.size = size
        self.left, self.top = LEFT - shift[0], TOP - shift[1]
        self.n = n = round(size * scale)
        self.step = UNITS / n
        self.x = ((np.arange(n, dtype=f32) + 0.5) * self.step + f32(self.left))[None]
        self.y = ((np.arange(n, dtype=f32) + 0.5) * self.step + f32(self.top))[:, None]
        self.rgb = np.zeros((3, n, n), f32)
        self.labels = np.zeros((n, n), np.uint8)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """Slices (rows, columns) of the samples inside a rectangle in eye units; may be empty."""
        first = [(a - low) / self.step for a, low in ((y0, self.top), (x0, self.left))]
        last = [(a - low) / self.step for a, low in ((y1, self.top), (x1, self.left))]
        rows, columns = (
            slice(max(0, int(a)), max(0, min(self.n, int(b) + 2))) for a, b in zip(first, last, strict=True)
        )
        return rows, columns

    def cover(self, distance, softness: float = 0.0):
        """Coverage 1 inside (distance < 0) to 0 outside, over one sample or `softness` eye units."""
        return np.clip(0.5 - distance * (1.0 / max(self.step, softness)), 0, 1)

    def paint(self, box: Box, alpha: np.ndarray, colour: np.ndarray, label: int | None = None) -> None:
        """Blend `colour` (3, 1, 1) or (3, h, w) over the box; samples mostly covered take `label`."""
        region = self.rgb[(slice(None), *box)]
        region += alpha * (colour - region)
        if label is not None:
            np.copyto(self.labels[box], np.uint8(label), where=alpha > 0.5)

    def shade(self, box: Box, factor: np.ndarray) -> None:
        """Multiply the box by `factor` (h, w) or (3, h, w)."""
        self.rgb[(slice(None), *box)] *= factor

    def blurred(self, plane: np.ndarray, radius: float, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """A full plane (n, n), blurred by `radius` and moved by `shift` (x, y), all in eye units."""
        matrix = _blur_matrix(self.n, round(radius / self.step, 2))
        dx, dy = (round(s / self.step) for s in shift)
        moved = np.zeros_like(plane)
        n = self.n
        moved[max(0, dy) : n + min(0, dy), max(0, dx) : n + min(0, dx)] = plane[
            max(0, -dy) : n + min(0, -dy), max(0, -dx) : n + min(0, -dx)
        ]
        return matrix @ moved @ matrix.T

    def developed(self, exposure: float, contrast: float, warmth: float) -> tuple[np.ndarray, np.ndarray]:
        """The finished picture (size, size, 3) and label map (size, size), both uint8."""
        rgb = self.rgb
        if self.n != self.size:
            matrix = _area(self.size, self.n)
            rgb = matrix @ rgb @ matrix.T
        tint = np.array([exposure * (1 + warmth), exposure, exposure * (1 - warmth)], f32).reshape(3, 1, 1)
        rgb = np.sqrt(np.clip(rgb * tint, 0, 4))
        # A soft shoulder above 0.75 keeps highlights from burning out; the S-curve adds contrast.
        over = np.maximum(rgb - 0.72, 0)
        rgb = np.minimum(np.minimum(rgb, 0.72) + over / (1 + 1.9 * over), 1)
        rgb += contrast * 0.45 * (rgb * rgb * (3 - 2 * rgb) - rgb)
        image = (rgb * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
        place = ((np.arange(self.size) + 0.5) * self.n / self.size).astype(int)
        return np.ascontiguousarray(image), self.labels[np.ix_(place, place)]
