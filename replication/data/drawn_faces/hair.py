"""Hair: outline and window for the face from a few profiles, strands and locks from noise along the flow."""

from __future__ import annotations

import numpy as np

from replication.data.drawn_faces import labels
from replication.data.drawn_faces.canvas import Box, bell, f32, linear, noise, ramp
from replication.data.drawn_faces.face import Scene

LONG = ("long", "wavy", "curly_long", "bob")
CURLY = ("curly_short", "curly_long")
TIED = ("bun", "tied")
# style: how high the hair stands over the skull (times the person's volume), how far beside it (units)
STANDS = {
    "bald": (0.10, 0.02),
    "buzz": (0.22, 0.05),
    "short": (0.85, 0.13),
    "side": (0.95, 0.14),
    "crop": (1.15, 0.10),
    "curly_short": (1.5, 0.45),
    "bob": (0.95, 0.52),
    "long": (0.85, 0.46),
    "wavy": (1.0, 0.62),
    "curly_long": (1.4, 0.85),
    "bun": (0.50, 0.06),
    "tied": (0.55, 0.08),
}


class HairShape:
    """Row by row: the outer half-width of the hair, and the half-width of the window left for the face."""

    def __init__(self, scene: Scene):
        p, q = scene.person, scene.picture
        self.style = style = p.style
        if p.child > 0.3 and style in ("curly_long", "wavy"):
            self.style = style = "long"
        rise, beside = STANDS[style]
        v, y = scene.v, scene.canvas.y
        squeezed = q.hat in ("cap", "beanie", "brim", "headscarf")
        self.top = p.crown - rise * p.volume * (0.3 if squeezed else 1.0)
        beside = beside * (0.6 + p.volume) * (0.75 if squeezed else 1.0)
        reach = p.width + beside
        t = np.clip((-0.5 - v) / (-0.5 - self.top), 0, 1)
        width = reach * (1 - t**2.3) ** (1 / 2.15)
        self.end = 0.55
        if style in LONG:
            self.end = {
                "bob": 1.9 + 0.22 * p.hair_end,
                "long": p.hair_end,
                "wavy": p.hair_end,
                "curly_long": p.hair_end - 0.5,
            }[style]
            down = np.clip((v + 0.5) / 3.0, 0, 1.6)
            bulge = {"bob": 0.14, "long": 0.20, "wavy": 0.50, "curly_long": 0.75}[style]
            width = width + bulge * p.volume * 2 * down * (1.6 - down) + 0.34 * down
            if style == "wavy":
                width = width + 0.11 * p.wave * np.sin(v * 2.6 + 6 * q.flow[0]) * down
            if style == "bob":
                width = width - 0.55 * np.clip((v - self.end + 0.8) / 0.8, 0, 1) ** 2
        self.outer = np.where(v < self.top, -2 * (self.top - v), width).astype(f32)
        sway = q.tilt * np.clip(y - 0.8, 0, None) * 0.5
        self.centre = (scene.centre * (1.06 if style not in LONG else 0.95) + sway).astype(f32)
        # The window: an arch from the hairline down; a parting pulls its apex to one side.
        line = p.hairline
        if p.fringe:
            line = -0.80 - 0.12 * (1 - p.volume)
        self.line = line
        side = p.width * {
            "short": 0.91,
            "side": 0.92,
            "crop": 0.92,
            "buzz": 0.94,
            "bald": 0.95,
            "curly_short": 0.88,
        }.get(style, 0.94)
        if style in LONG:
            side = p.width * (0.90 - 0.10 * p.volume * (style != "bob"))
        foot = -0.55 if not p.fringe else 0.15
        arch = np.clip((foot - v) / (foot - line), 0, 1)
        power = (
            2.5
            + (0.9 if p.male else 0.0)
            + (2.5 if p.fringe else 0.0)
            - 0.9 * (p.part != 0) * (style in LONG) * (not p.fringe)
        )
        window = side * (1 - arch**power) ** (1 / 2.0)
        window = np.where(v < line, -2 * (line - v), window)
        if style in LONG:
            window = window + np.clip(v - 1.6, 0, 2) * 0.02 - 0.13 * bell(v, 1.6, 0.9)
        self.window = window.astype(f32)
        pull = 0.0 if p.fringe else p.part * (0.75 if style in LONG or style == "side" else 0.3)
        self.open_centre = (scene.centre * 0.96 + pull * arch**2 + sway * 0.7).astype(f32)
        self.part_at = p.part * 0.7 if style not in TIED + CURLY else 0.0

    def flow(self, scene: Scene, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates across the strands (-1..1 from outline to outline) and along them (units)."""
        rows, columns = box
        c, v = scene.canvas, scene.v[rows]
        falling = np.clip((v - self.top) / (-0.5 - self.top), 0, 1)
        root = self.part_at * (1 - falling) ** 1.5
        spread = np.maximum(self.outer[rows], 1.0) * np.maximum(falling, 0.2) ** 0.15
        across = (c.x[:, columns] - self.centre[rows] - root) / spread
        along = v + 0.35 * np.abs(across) ** 1.5
        lean = {"side": 0.42, "short": 0.20, "crop": 0.10}.get(self.style, 0.0)
        if lean and not scene.person.fringe:  # combed to the side
            across = across + lean * np.sign(self.part_at) * (v + 2.0)
        if self.style in ("wavy", "long"):
            depth = (0.05 if self.style == "wavy" else 0.025) * scene.person.wave
            across = across + depth * np.sin(v * 3.1 + 4 * across + 6 * scene.picture.flow[1])
        return across.astype(f32), along.astype(f32)


def _hair_colour(scene: Scene, shape: HairShape, box: Box, dim: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Lit strands (3, h, w) and the strand noise that also frays the outline."""
    p, q = scene.person, scene.picture
    rows, columns = box
    v = scene.v[rows]
    s, t = shape.flow(scene, box)
    fx, fy = q.flow
    if shape.style in CURLY:
        u = scene.canvas.x[:, columns]
        wob = noise("cloud", u * 0.06 + fx, v * 0.06 + fy)
        fine = noise("grain", u * 0.07 + fx, v * 0.07 + fy)
        tight = 13.0 if shape.style == "curly_short" else 8.5  # turns of a curl per unit
        coil = np.sin(tight * v + 2.4 * np.sin(tight * 0.55 * u + 1.5 * wob) + 1.7 * wob)
        strands = 0.75 * coil + 0.5 * fine
        locks = 0.7 * wob
    elif shape.style in ("buzz", "bald"):
        u = scene.canvas.x[:, columns]
        strands = noise("grain", u * 0.10 + fx, v * 0.10 + fy)
        locks = 0.4 * noise("cloud", u * 0.08 + fx, v * 0.08)
    else:
        reach = 0.13 if shape.style in LONG else 0.24
        strands = noise("strand", s * 0.34 + fx, t * reach + fy)
        locks = noise("lock", s * 0.42 + fy, t * reach * 0.8 + fx)
    round_x = np.clip(s, -1.05, 1.05)
    crown = np.clip((v - shape.top) / (0.2 - shape.top), 0, 1)
    ny = -0.85 * (1 - crown) ** 1.3 + 0.10
    nx = round_x * (0.80 + 0.05 * locks)
    nz = np.sqrt(np.clip(1.1 - nx * nx - ny * ny, 0.06, 1))
    light = scene.lit(nx, ny + 0 * nx, nz, (0.25, 0.22, 0.20))
    # Light hair scatters: its strands differ less in brightness than those of dark hair.
    pale = 1 - 0.40 * float(p.hair.mean())
    depth = np.clip(0.80 + pale * (0.25 * strands + 0.24 * locks), 0.2, 1.9) * dim
    base = linear(p.hair)
    # Strands shine in a band that circles the crown, broken up by locks; coarse hair shines less.
    lx, ly = float(q.light[0]), float(q.light[1])
    band = bell(t + 0.22 * locks + 0.10 * strands, shape.top * (0.66 + 0.12 * ly) + 0.05, 0.42) * bell(
        s, 0.55 * lx, 0.62
    )
    if shape.style in LONG:
        band = band + 0.45 * bell(t + 0.25 * locks, 1.2, 0.6) * bell(np.abs(s), 0.86, 0.14) * (1 + np.sign(s) * lx)
    shine = (
        band
        * np.clip(0.55 + 0.5 * strands, 0, 2)
        * (0.16 if shape.style in CURLY else 0.03 if shape.style in ("buzz", "bald") else 0.36)
    )
    gleam = (base * 1.4 + 0.13 * (base.mean() + 0.25)) * q.key.astype(f32).reshape(3, 1, 1) * q.gloss
    tips = 1 + 0.35 * np.clip(v / 4, 0, 1) * float(p.hair_name in ("brown", "light_brown", "blond", "dark_brown"))
    return base * tips * light * depth + shine * gleam, strands


def _fray(shape: HairShape, strands: np.ndarray, wiry: float) -> np.ndarray:
    scale = {
        "curly_short": 0.11,
        "curly_long": 0.13,
        "crop": 0.12,
        "buzz": 0.02,
        "bald": 0.03,
        "bun": 0.025,
        "tied": 0.03,
    }
    return strands * (scale.get(shape.style, 0.055) * (0.5 + 0.7 * wiry))


def paint_back_hair(scene: Scene) -> None:
    """What hangs behind neck and shoulders, and buns or tails at the back."""
    c, p, q = scene.canvas, scene.person, scene.picture
    scene.hair = shape = HairShape(scene)
    if shape.style in LONG:
        box = c.box(-4.2, -2.5, 4.2, scene.row(min(shape.end, 4.6)) + 0.6)
        if box[0].stop <= box[0].start:
            return
        colour, strands = _hair_colour(scene, shape, box, 0.50)
        rows, columns = box
        away = np.abs(c.x[:, columns] - shape.centre[rows]) - shape.outer[rows] * 0.97
        finish = scene.v[rows] - shape.end - 0.25 * np.clip(strands, -1, 1) * 0.6
        alpha = c.cover(np.maximum(away + _fray(shape, strands, p.wiry), finish), 0.08)
        c.paint(box, alpha, colour, labels.HAIR)
    if shape.style == "tied":
        side = 1.0 if p.part > 0 else -1.0
        box = c.box(-4.2, -0.5, 4.2, 4.4)
        colour, strands = _hair_colour(scene, shape, box, 0.7)
        rows, columns = box
        middle = shape.centre[rows] + side * (1.35 + 0.22 * scene.v[rows])
        alpha = c.cover(np.abs(c.x[:, columns] - middle) - 0.62 + 0.07 * strands, 0.08) * (
            scene.v[rows] < 3.6 + 0.2 * strands
        )
        c.paint(box, alpha, colour, labels.HAIR)
    if shape.style == "bun" and q.hat == "none":
        x0 = float(shape.centre[0, 0]) - 0.9 * q.yaw
        y0 = scene.row(p.crown) - 0.18 - 0.1 * p.volume
        radius = 0.62 + 0.35 * p.volume
        box = c.box(x0 - 1.3, y0 - 1.2, x0 + 1.3, y0 + 1.2)
        x, y = c.x[:, box[1]] - f32(x0), c.y[box[0]] - f32(y0)
        away = np.sqrt(x * x + y * y * 1.25)
        swirl = np.arctan2(y, x) * 0.16 + away * 0.25
        strands = noise("strand", away * 0.30 + 0.05 * np.sin(swirl * 20) + q.flow[0], swirl * 0.6)
        nx, ny = x / radius * 0.8, y / radius * 0.8
        light = scene.lit(nx + 0 * ny, ny + 0 * nx, np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.1, 1)))
        colour = linear(p.hair) * light * np.clip(0.85 + 0.32 * strands, 0.2, 2)
        c.paint(box, c.cover(away - radius + 0.03 * strands, 0.05), colour, labels.HAIR)


def paint_front_hair(scene: Scene) -> None:
    """Hair in front of head and shoulders, with the shadow that it casts on the skin."""
    c, p, q = scene.canvas, scene.person, scene.picture
    shape: HairShape = scene.hair
    if shape.style == "bald" and p.recession > 0.62 and p.old < 0.5:
        return
    end = min(shape.end, 4.6)
    reach = float(shape.outer.max()) + 0.4
    middle = float(shape.centre.mean())
    box = c.box(middle - reach - 0.6, scene.row(shape.top) - 0.35, middle + reach + 0.6, scene.row(end) + 0.5)
    rows, columns = box
    x, v = c.x[:, columns], scene.v[rows]
    colour, strands = _hair_colour(scene, shape, box)
    away = np.abs(x - shape.centre[rows])
    fray = _fray(shape, strands, p.wiry)
    slope = np.gradient(shape.outer[:, 0]) / c.step
    upright = (1 / np.sqrt(1 + np.clip(slope, -3, 3) ** 2))[rows, None].astype(f32)
    outer = (away - shape.outer[rows]) * upright + fray * (1 if shape.style in LONG + CURLY else ramp(0.6, -1.8, v))
    offset = x - shape.open_centre[rows]
    slope = np.gradient(shape.window[:, 0]) / c.step
    flat = (1 / np.sqrt(1 + np.clip(slope, -4, 4) ** 2))[rows, None].astype(f32)
    opening = (np.abs(offset) - shape.window[rows]) * flat
    if p.fringe:
        tips = noise("lock", x * 0.17 + q.flow[0], v * 0.03) * 0.15 + strands * 0.05
        opening = opening + tips * np.clip(1.3 - np.abs(offset) / 1.7, 0, 1) * ramp(0.2, -0.5, v)
    else:
        opening = opening + fray * (0.45 if p.male else 0.7)
    # Hair covers all that is not head down to the ears: no background shows between strands and temple.
    opening = np.maximum(opening, scene.distance[box] + 0.07 - 3 * np.clip(v - 0.1, 0, None))
    softness = {"buzz": 0.28, "bald": 0.35}.get(shape.style, 0.20 if p.male else 0.13)
    front = np.clip(0.5 + opening / max(c.step, softness), 0, 1)
    alpha = c.cover(outer, 0.05 if shape.style not in CURLY else 0.10) * front
    if shape.style in LONG:
        alpha = alpha * c.cover(v - shape.end - 0.22 * np.clip(strands, -1.2, 1.2), 0.15)
    else:
        burn = shape.end + (0.45 * p.beard if p.beard_kind == "full" else 0.0) - 0.25 * (not p.male)
        alpha = alpha * np.clip(0.5 - (v - burn - 0.12 * strands) / 0.30, 0, 1)
    if shape.style == "bald":
        band = ramp(-1.75, -1.15, v + 0.05 * strands) * ramp(0.55, 0.80, np.abs(scene.across[box]) / p.width)
        alpha = alpha * band * 0.75
    elif shape.style == "buzz":
        alpha = alpha * np.clip(0.90 + 0.07 * strands + 0.1 * (1 - scene.head[box]), 0, 1)
    elif p.recession > 0.35:
        thin = p.recession * 0.5 * ramp(-1.6, p.crown, v) * np.clip(0.4 + 0.35 * strands, 0, 1)
        alpha = alpha * (1 - thin * bell(scene.across[box], 0, 1.3))
    # The shadow falls away from the light; it darkens skin before the strands are laid over it.
    plane = np.zeros((c.n, c.n), f32)
    plane[box] = alpha
    lx, ly = float(q.light[0]), float(q.light[1])
    shade = c.blurred(plane, 0.20, (-lx * 0.30, -ly * 0.26 + 0.06))
    strength = 0.58 * float(q.key.mean() / (q.key.mean() + q.ambient.mean()))
    head = c.box(middle - 2.8, scene.row(p.crown), middle + 2.8, scene.row(scene.chin))
    dark = np.clip(shade[head], 0, 1) * scene.head[head] * strength
    c.shade(head, 1 - dark * np.array([0.82, 1.0, 1.04], f32).reshape(3, 1, 1))
    c.paint(box, alpha, colour, labels.HAIR)


def ears_show(scene: Scene) -> bool:
    """Whether the hair leaves the ears free."""
    return (
        scene.hair.style not in LONG and scene.hair.style != "curly_short" and scene.picture.hat not in ("headscarf",)
    )
