"""What lies behind the head: out of focus, from a handful of seeded shapes."""

from __future__ import annotations

import numpy as np

from replication.data.drawn_faces.canvas import Canvas, enlarge, f32, linear, noise

SEEDED_HUES = np.array(
    [
        (0.42, 0.45, 0.50),
        (0.78, 0.76, 0.73),
        (0.20, 0.22, 0.26),
        (0.30, 0.42, 0.58),
        (0.55, 0.42, 0.34),
        (0.66, 0.62, 0.52),
        (0.35, 0.48, 0.44),
        (0.60, 0.24, 0.26),
        (0.88, 0.86, 0.84),
        (0.52, 0.50, 0.62),
        (0.80, 0.58, 0.28),
        (0.22, 0.34, 0.34),
    ]
)


def _hue(rng: np.random.Generator) -> np.ndarray:
    hue = SEEDED_HUES[int(rng.integers(len(SEEDED_HUES)))] + 0.05 * rng.standard_normal(3)
    return np.clip(hue + 0.25 * (hue.mean() - hue), 0.04, 0.97)


def _cells(colours: np.ndarray, size: int) -> np.ndarray:
    """(3, h, w) sRGB cells to a smooth linear (3, size, size) picture."""
    return enlarge(np.clip(colours, 0.02, 1.0) ** 2, size)


def _discs(canvas: Canvas, rng: np.random.Generator, count: int, strength: float, warm: bool) -> None:
    """Lights out of focus: translucent discs with a brighter rim."""
    for _ in range(count):
        cx, cy = rng.uniform(-4.2, 4.2), rng.uniform(-4, 3)
        radius = float(rng.uniform(0.25, 0.8))
        hue = np.array([1.0, 0.80, 0.50]) if warm else np.array([0.75, 0.95, 0.70])
        hue = np.clip(hue + 0.16 * rng.standard_normal(3), 0.2, 1.0)
        box = canvas.box(cx - radius - 0.2, cy - radius - 0.2, cx + radius + 0.2, cy + radius + 0.2)
        x, y = canvas.x[:, box[1]] - f32(cx), canvas.y[box[0]] - f32(cy)
        away = np.sqrt(x * x + y * y)
        alpha = canvas.cover(away - radius, 0.10) * (0.55 + 0.45 * np.clip(away / radius, 0, 1) ** 3)
        canvas.paint(box, alpha * (strength * float(rng.uniform(0.35, 1.0))), linear(hue))


def paint_background(canvas: Canvas, kind: str, seed: list[int], tilt: float) -> None:
    """Fill the canvas. `kind` is one of studio, curtain, panel, wall, bokeh, street, foliage, sky."""
    rng = np.random.default_rng(seed)
    n = canvas.n
    full = (slice(0, n), slice(0, n))
    first, second = _hue(rng), _hue(rng)
    x, y = canvas.x, canvas.y
    if kind == "studio":
        glow = np.exp(
            -((x - f32(rng.uniform(-2, 2))) ** 2 + (y - f32(rng.uniform(-2, 2))) ** 2) / f32(rng.uniform(9, 30))
        )
        low, high = linear(first * rng.uniform(0.35, 0.8)), linear(np.clip(first * 1.2, 0, 1))
        canvas.rgb[:] = low + (high - low) * glow
    elif kind in ("curtain", "panel"):
        cells = np.repeat(first[:, None, None], 6, 1) * (
            1 + (0.26 if kind == "curtain" else 0.07) * rng.standard_normal((1, 1, 14))
        )
        cells = cells * (1 + 0.07 * rng.standard_normal((1, 6, 1)))
        canvas.rgb[:] = _cells(cells, n)
        if kind == "panel":
            where = float(rng.uniform(-3, 3))
            side = canvas.cover((x - f32(where)) + tilt * 0.4 * y, float(rng.uniform(0.1, 0.7)))
            canvas.paint(full, np.broadcast_to(side, (n, n)), linear(second) * (1 + 0.06 * y))
    elif kind == "wall":
        cells = first[:, None, None] * (1 + 0.16 * rng.standard_normal((1, 5, 5)))
        rows = y * 1.0 + 0.2 * tilt * x
        brick = rng.random() < 0.5
        canvas.rgb[:] = _cells(cells, n)
        texture = noise("cloud", y * 0.12 + f32(rng.random()), x * 0.12 + f32(rng.random()))
        texture = 1 + 0.10 * texture
        if brick:
            height = float(rng.uniform(0.7, 1.2))
            course = rows / height
            shifted = (x - tilt * 0.2 * y) / (height * 2.2) + 0.5 * (np.floor(course) % 2)
            joint = np.minimum(np.abs(course % 1 - 0.5), np.abs(shifted % 1 - 0.5) * 2.2)
            texture = (
                texture
                * (0.72 + 0.28 * np.clip(joint * 7, 0, 1))
                * (1 + 0.10 * np.sin(np.floor(course) * 12.9 + np.floor(shifted) * 78.2))
            )
        canvas.shade(full, texture.astype(f32))
    elif kind == "sky":
        sky = np.array([0.45, 0.66, 0.92]) + 0.07 * rng.standard_normal(3)
        cells = np.broadcast_to(sky[:, None, None], (3, 9, 9)) + np.linspace(-0.08, 0.16, 9)[None, :, None]
        cells = cells + np.clip(rng.standard_normal((1, 9, 9)), 0, 2) * 0.14
        land = np.array([(0.30, 0.42, 0.20), (0.72, 0.64, 0.48), (0.20, 0.40, 0.50)])[int(rng.integers(3))]
        cells[:, int(rng.integers(5, 8)) :] = land[:, None, None] * (1 + 0.15 * rng.standard_normal((1, 1, 9)))
        canvas.rgb[:] = _cells(cells, n)
    elif kind == "foliage":
        leaf = np.array([0.33, 0.42, 0.23]) * rng.uniform(0.6, 1.2) + np.array([0.18, 0.04, 0.0]) * (rng.random() < 0.3)
        cells = leaf[:, None, None] * (
            1 + 0.42 * rng.standard_normal((1, 13, 13)) + 0.06 * rng.standard_normal((3, 13, 13))
        )
        canvas.rgb[:] = _cells(cells, n)
        _discs(canvas, rng, int(rng.integers(2, 9)), 0.35, False)
    elif kind == "bokeh":
        cells = (first * rng.uniform(0.25, 0.6))[:, None, None] * (1 + 0.35 * rng.standard_normal((1, 8, 8)))
        cells = cells + (second * 0.25)[:, None, None] * np.clip(rng.standard_normal((1, 8, 8)), 0, 2)
        canvas.rgb[:] = _cells(cells, n)
        _discs(canvas, rng, int(rng.integers(8, 18)), 0.75, rng.random() < 0.7)
    else:  # street: blurred upright blocks, windows and a brighter gap
        cells = first[:, None, None] * (0.75 + 0.30 * rng.standard_normal((1, 1, 11))) + 0.07 * rng.standard_normal(
            (3, 10, 11)
        )
        gap = int(rng.integers(0, 9))
        cells[:, :6, gap : gap + 2] = np.array([0.85, 0.90, 0.97])[:, None, None]
        for _ in range(4):
            top, left = int(rng.integers(0, 9)), int(rng.integers(0, 9))
            cells[:, top : top + int(rng.integers(1, 4)), left : left + int(rng.integers(1, 4))] = _hue(rng)[
                :, None, None
            ]
        canvas.rgb[:] = _cells(cells, n)
        if rng.random() < 0.5:
            _discs(canvas, rng, int(rng.integers(2, 7)), 0.5, True)
