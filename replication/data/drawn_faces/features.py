"""Eyes, brows, mouth and facial hair: what makes a face somebody's."""

from __future__ import annotations

import numpy as np

from replication.data.drawn_faces import labels
from replication.data.drawn_faces.canvas import bell, f32, linear, noise, ramp
from replication.data.drawn_faces.face import Scene


def paint_eyes(scene: Scene) -> None:
    """Both eyes at once, in coordinates mirrored at the middle of the face."""
    c, p, q = scene.canvas, scene.person, scene.picture
    box = scene.window(-1.9, -0.85, 1.9, 0.75)
    rows, columns = box
    a, side, v = scene.a[:, columns], scene.side[:, columns], scene.v[rows]
    length = 0.43 * p.eye_size
    e = (a - 1) / length  # -1 inner corner .. 1 outer corner
    arc = np.clip(1 - np.abs(e) ** (2.0 + 0.6 * p.eye_round), 0, 1)
    skew = 1 - 0.22 * e
    axis = -p.eye_tilt * e * 0.5
    high = 0.225 * p.eye_size * p.eye_open * (1 + 1.2 * q.brow_raise)
    low = 0.125 * p.eye_size * p.eye_open * (1 - 0.38 * max(q.smile, 0.0))
    upper = axis - high * arc**0.8 * skew
    lower = axis + low * arc**0.85 * (1 + 0.2 * e)
    upper = upper + (lower - upper) * (q.closed * 0.98) + 0.10 * arc * q.closed
    lower = lower + 0.10 * arc * q.closed
    level = scene.level

    if q.eye_shadow > 0.05:
        smoke = np.clip(1 - np.abs(e * 0.75) ** 3, 0, 1) * ramp(-0.62, -0.12, v) * (v < lower) * (1 - 0.15 * e)
        c.paint(box, np.clip(0.62 * q.eye_shadow * smoke, 0, 1), linear(q.eye_shadow_colour) * level)
    # The lid between lash line and crease catches light; the crease is dark.
    fold = axis - (high + 0.11 + 0.03 * p.crease) * np.clip(1 - (e * 0.86) ** 2, 0, 1) ** 0.75
    inside = np.clip(1.15 - np.abs(e), 0, 0.2) * 5
    crease = np.exp(-(((v - fold) / 0.042) ** 2)) * inside * (0.20 + 0.42 * p.crease)
    bag = np.exp(-(((v - lower - 0.15) / 0.055) ** 2)) * inside * arc * (0.12 + 0.18 * p.old + 0.08 * max(q.smile, 0))
    c.shade(box, 1 - np.clip(crease + bag, 0, 1) * np.array([0.62, 0.8, 0.85], f32).reshape(3, 1, 1))

    opened = c.cover(upper - v) * c.cover(v - lower) * c.cover(np.abs(e) * length - length)
    if q.closed < 0.9:
        shade = 1 - 0.30 * np.clip(np.abs(e), 0, 1) ** 2 - 0.27 * np.clip(1 - (v - upper) / 0.14, 0, 1)
        white = linear((0.94, 0.92, 0.90)) * level * (shade * 0.94)
        pink = np.clip(-e - 0.72, 0, 0.3) * 2.4
        white = white + pink * (linear((0.80, 0.45, 0.42)) * level * 0.8 - white)
        c.paint(box, opened, white)
        gx, gy = q.gaze[0] * 0.11 - 0.35 * q.yaw * 0.2, q.gaze[1] * 0.06 - 0.055
        dx, dy = (a - 1) * side - gx, v - axis * 0.3 - gy
        squared = dx * dx + dy * dy
        radius = np.sqrt(squared)
        iris_r = 0.218 * p.eye_size
        disc = np.clip(0.5 - (radius - iris_r) / max(c.step, 0.02), 0, 1) * opened
        share = radius / iris_r
        fibre = noise("strand", np.arctan2(dy, dx) * 0.11 + p.mottle_seed[0], share * 0.12)
        tone = 0.95 + 0.55 * np.clip(dy / iris_r, -0.6, 1) + 0.16 * fibre * np.clip(share, 0.2, 1)
        tone *= 1 - 0.62 * ramp(0.70, 1.02, share)
        tone *= 1 - 0.45 * np.clip(1 - (v - upper) / 0.13, 0, 1)
        c.paint(box, disc, linear(p.iris) * (level * 1.15) * tone)
        c.paint(
            box,
            np.clip(0.5 - (radius - iris_r * 0.43) / max(c.step, 0.02), 0, 1) * opened,
            linear((0.04, 0.03, 0.03)),
        )
        lx = float(q.light[0])
        sparkle = (dx - lx * 0.10 - 0.012) ** 2 + (dy + 0.075) ** 2
        c.paint(box, np.clip(1.25 - np.sqrt(sparkle) / 0.062, 0, 1) * opened * 0.95, linear((1, 1, 1)) * 1.1)
        low_gleam = (dx + lx * 0.10 + 0.02) ** 2 + (dy - 0.10) ** 2
        c.paint(box, np.clip(1 - np.sqrt(low_gleam) / 0.07, 0, 1) * opened * 0.28, linear((0.9, 0.95, 1)))
    lash = 0.036 + 0.030 * q.liner + (0.012 if not p.male else 0.0) - 0.010 * p.old
    wing = np.clip(e - 0.5, 0, 0.8) * (0.02 + 0.10 * q.liner)
    thickness = lash * np.clip(1.25 - 0.35 * np.abs(e - 0.35), 0.2, 1.2)
    line = c.cover(np.abs(v - upper + wing) - thickness, 0.03) * c.cover(
        np.abs(e + 0.02) * length - length * (1.03 + 0.10 * q.liner), 0.06
    )
    fair = p.hair_name in ("blond", "platinum", "white", "grey", "red") and q.liner < 0.2
    dark = (0.20, 0.13, 0.10) if fair else (0.075, 0.05, 0.05)
    c.paint(box, line * 0.94, linear(dark) * (0.5 + 0.5 * level))
    under = (
        np.exp(-(((v - lower) / 0.035) ** 2))
        * c.cover(np.abs(e - 0.1) * length - length * 0.92, 0.08)
        * (1 - 0.9 * q.closed)
    )
    c.paint(box, under * (0.30 + 0.35 * q.liner), linear((0.30, 0.17, 0.14)) * level)

    seen = (opened > 0.5) if q.closed < 0.5 else (np.abs(v - upper) < 0.075) & (np.abs(e) < 0.95)
    on_head = scene.head[box] > 0.5
    for sign, label in ((1, labels.L_EYE), (-1, labels.R_EYE)):
        np.copyto(c.labels[box], np.uint8(label), where=seen & on_head & (side == sign))


def paint_brows(scene: Scene) -> None:
    """Brows as arched bands of short hairs that thin out towards the temples."""
    c, p, q = scene.canvas, scene.person, scene.picture
    box = scene.window(-2.1, -1.45, 2.1, -0.1)
    rows, columns = box
    a, side, v = scene.a[:, columns], scene.side[:, columns], scene.v[rows]
    t = (a - 0.36) / (1.36 * p.eye_size)
    inside = np.clip(t, 0, 1)
    arch = p.brow_arch * (np.sin(np.pi * inside**1.25) - 0.25) - p.brow_tilt * (inside - 0.3) + 0.10 * inside**3
    height = -(p.brow_height + q.brow_raise * (1.2 - 0.3 * inside)) - arch
    thickness = p.brow_thickness * (0.80 + 0.75 * inside - 1.35 * inside**2.0)
    hairs = noise("strand", a * 0.16 - v * 0.10 + 0.02 * side + p.mottle_seed[1], v * 0.15)
    distance = np.abs(v - height) - thickness - 0.014 * hairs
    ends = np.clip(t / 0.10 + 0.4, 0, 1) * np.clip((1 - t) / 0.07 + 0.5, 0, 1)
    alpha = np.clip(0.5 - distance / max(c.step, 0.085), 0, 1) * ends
    pencil = 0.12 * q.liner
    strength = np.clip(0.80 + pencil - 0.25 * p.child - 0.10 * p.old + 0.10 * hairs, 0, 1)
    base = p.hair if p.hair_name not in ("platinum", "blond") else p.hair * 0.62
    if p.hair_name in ("grey", "white"):
        base = p.beard_colour * 0.75
    colour = linear(np.clip(base * 0.78 + 0.10 * p.skin * (1 - p.tone), 0.03, 1)) * scene.level
    c.paint(box, alpha * strength, colour * (1 + 0.14 * hairs))
    on_head = scene.head[box] > 0.5
    for sign, label in ((1, labels.L_BROW), (-1, labels.R_BROW)):
        np.copyto(c.labels[box], np.uint8(label), where=(alpha > 0.45) & on_head & (side == sign))


class Mouth:
    """The curves of the mouth over the columns of a box: where lips begin, meet and end."""

    def __init__(self, scene: Scene, u: np.ndarray):
        p, q = scene.person, scene.picture
        smile = q.smile
        bright = max(smile, 0.0)
        self.half = p.mouth_width * (1 + 0.24 * bright - 0.10 * q.opening * (1 - bright))
        k = (u - 0.12 * q.yaw) / self.half
        self.k = k
        arc = np.clip(1 - k * k, 0, 1)
        self.inside = np.abs(k) < 1
        self.centre = p.mouth_y + 0.05 * bright
        line = self.centre + smile * 0.30 * (0.42 - np.clip(k * k, 0, 1.3))
        gape = q.opening * (0.20 + 0.26 * (1 - bright) + 0.12 * bright)
        bow = 1 - 0.30 * bell(k, 0, 0.13) + 0.10 * bell(np.abs(k), 0.26, 0.16)
        self.line_up = line - gape * 0.36 * arc**0.7 - 0.3 * p.bow * bell(k, 0, 0.3) * (1 - bright)
        self.line_low = line + gape * 0.80 * arc**0.72
        self.top = self.line_up - p.upper_lip * (1 - 0.28 * bright) * arc**0.72 * bow
        self.bottom = self.line_low + p.lower_lip * (1 - 0.16 * bright) * np.clip(1 - (k / 0.95) ** 2, 0, 1) ** 0.62
        self.gape = gape


def paint_mouth(scene: Scene) -> None:
    """Lips, and behind parted lips teeth and a dark mouth."""
    c, p, q = scene.canvas, scene.person, scene.picture
    box = scene.window(-1.5, p.nose_length + 0.1, 1.5, scene.chin - 0.1)
    rows, columns = box
    u, v = scene.u[:, columns], scene.v[rows]
    m = Mouth(scene, u)
    scene.mouth = m
    level, k = scene.level, m.k
    ends = c.cover((np.abs(k) - 1) * m.half)
    if m.gape > 0.03:
        gap = c.cover(m.line_up - v) * c.cover(v - m.line_low) * ends
        inner = linear((0.26, 0.07, 0.07)) * level * np.clip(0.35 + 0.9 * (v - m.line_up), 0.2, 1)
        tongue = bell(u, 0.1 * q.yaw, 0.45) * ramp(0.10, 0.34, v - m.line_up)
        inner = inner + tongue * (linear((0.70, 0.32, 0.32)) * level * 0.7 - inner)
        c.paint(box, gap, inner)
        reach = 0.27 if q.smile > 0.4 else 0.15
        tooth = 0.145
        phase = np.abs((u - 0.05 * q.yaw) / tooth % 1 - 0.5) * 2
        edge = m.line_up + reach * (1 - 0.35 * k * k) - 0.025 * phase**4
        teeth = c.cover(v - edge, 0.03) * gap
        dim = (1 - 0.62 * np.abs(k) ** 3) * (1 - 0.16 * phase**6) * np.clip(0.62 + (v - m.line_up) * 4.5, 0, 1)
        c.paint(
            box,
            teeth,
            linear((0.95 - 0.08 * p.old, 0.925 - 0.11 * p.old, 0.88 - 0.16 * p.old)) * level * dim * 0.93,
        )
        np.copyto(c.labels[box], np.uint8(labels.MOUTH), where=(gap > 0.5))
    natural = np.clip(p.skin * np.array([0.88, 0.58, 0.58]) + p.lip_redness * np.array([0.06, -0.06, -0.02]), 0.05, 1)
    colour = natural * (1 - 0.82 * q.lipstick) + q.lipstick_colour * 0.82 * q.lipstick
    wrinkle = noise("strand", u * 0.19 + p.mottle_seed[0], v * 0.06)
    lx = float(q.light[0])
    height = np.clip((v - m.top) / np.maximum(m.line_up - m.top, 0.04), 0, 1)
    upper = linear(colour) * level * ((0.86 - 0.30 * height + 0.25 * lx * k) * (1 + 0.045 * wrinkle))
    alpha = c.cover(m.top - v, 0.035) * c.cover(v - m.line_up, 0.02) * ends
    c.paint(box, alpha, upper)
    np.copyto(c.labels[box], np.uint8(labels.U_LIP), where=alpha > 0.5)
    depth = (v - m.line_low) / np.maximum(m.bottom - m.line_low, 0.05)
    shine = bell(depth, 0.40, 0.24) * bell(k, 0.25 * lx, 0.42) * (0.16 + 0.34 * q.lipstick + 0.1 * q.gloss)
    lower = (
        linear(colour) * level * ((1.12 - 0.42 * np.clip(depth, 0, 1) + 0.25 * lx * k) * (1 + 0.06 * wrinkle))
        + shine * level * 0.55
    )
    alpha = c.cover(m.line_low - v, 0.02) * c.cover(v - m.bottom, 0.05) * ends
    c.paint(box, alpha, lower)
    np.copyto(c.labels[box], np.uint8(labels.L_LIP), where=alpha > 0.5)
    if m.gape <= 0.03:
        seam = np.exp(-(((v - m.line_up) / (0.030 + 0.2 * m.gape)) ** 2)) * c.cover((np.abs(k) - 1.02) * m.half, 0.1)
        c.paint(box, seam * 0.85, linear((0.25, 0.08, 0.08)) * level * (0.5 + 0.6 * float(p.skin[0])))
    corner = bell(np.abs(k), 1.02, 0.07) * bell(v, float(np.interp(1.0, k[0], m.line_up[0])), 0.07)
    c.shade(box, 1 - 0.5 * corner)


def paint_facial_hair(scene: Scene) -> None:
    """Stubble as a tint with grain, beards and moustaches as strands that follow the jaw."""
    c, p = scene.canvas, scene.person
    if not (p.male and p.age > 15):
        return
    nose, mouth = p.nose_length, p.mouth_y
    middle = float(scene.centre.mean())
    box = c.box(middle - 2.6, scene.row(-0.1), middle + 2.6, scene.row(scene.chin) + 0.6)
    rows, columns = box
    a, u, v = scene.a[:, columns], scene.u[:, columns], scene.v[rows]
    m = Mouth(scene, u)
    below = scene.distance[box] - 0.16 * p.beard * ramp(1.2, 2.6, v)
    within = c.cover(below, 0.05)
    strands = noise("strand", u * 0.15 + 0.05 * v * u + p.mottle_seed[1], v * 0.30 + p.mottle_seed[0])
    locks = noise("lock", u * 0.12 + 0.02 * v, v * 0.08 + p.mottle_seed[0])
    cheek = np.minimum(v - (2.45 - 0.88 * np.clip(a, 0, 1.62) - 2.2 * np.clip(a - 1.62, 0, 0.6)), 1.0)
    lips = 0.30 - (
        ((u - 0.12 * scene.picture.yaw) / (m.half * 1.12)) ** 2
        + ((v - (m.line_up + m.line_low) * 0.5) / (0.27 + 0.5 * m.gape)) ** 2
        - 0.72
    )
    under_nose = np.minimum(v - nose - 0.13, (p.mouth_y - 0.02) - v + 0.25 * a)
    full = np.minimum(cheek, -lips)
    level = scene.level
    if p.stubble > 0.05 or p.beard:
        area = np.clip(full * 2.2 + 0.15, 0, 1)
        area = (
            np.maximum(area, np.clip(under_nose * 5 + 0.1, 0, 1) * np.clip(1.6 - a / 0.62, 0, 1))
            * within
            * np.clip(-lips * 6 + 0.6, 0, 1)
        )
        grain = noise("grain", u * 0.12 + p.mottle_seed[0], v * 0.12)
        tint = linear(np.clip(p.beard_colour * 0.7 + np.array([0.08, 0.09, 0.11]), 0, 1)) * level
        c.paint(box, np.clip(area * p.stubble * (0.42 + 0.22 * grain), 0, 0.8), tint)
    shape = np.zeros(np.broadcast_shapes(a.shape, v.shape), f32)
    if p.beard_kind == "full":
        shape = np.clip((full + 0.10 + 0.05 * locks) * 4.5, 0, 1) * within
    elif p.beard_kind == "goatee":
        chin = np.minimum(0.78 + 0.06 * locks - a, np.minimum(v - mouth + 0.1, -lips))
        shape = np.clip(chin * 5 + 0.3, 0, 1) * within
    if p.moustache:
        bend = nose + 0.29 + 0.30 * np.clip(a / 0.9, 0, 1.2) ** 2.2 - 0.05 * bell(a, 0, 0.12)
        thick = 0.165 * np.clip(1 - (a / 1.08) ** 3.5, 0, 1) - 0.05 * bell(a, 0, 0.08)
        shape = np.maximum(shape, np.clip(0.5 - (np.abs(v - bend) - thick - 0.03 * strands) / 0.10, 0, 1) * (a < 1.08))
    if not (p.beard or p.moustache):
        return
    nx = np.clip(scene.across[box] / np.maximum(scene.width[rows], 0.3), -1, 1) * 0.8
    light = scene.lit(nx, 0.25 + 0 * nx, np.sqrt(1 - nx * nx)) / 1.05
    colour = (
        linear(p.beard_colour) * light * np.clip(0.95 + 0.34 * strands + 0.08 * locks, 0.2, 2.2)
        + 0.012 * np.clip(strands, 0, 2) * level
    )
    strength = np.clip((0.84 + 0.12 * strands) * max(p.beard, p.moustache * 0.95), 0, 1)
    c.paint(box, shape * strength, colour)
    box_chin = shape * (scene.head[box] < 0.5) > 0.5
    np.copyto(c.labels[box], np.uint8(labels.SKIN), where=box_chin)
