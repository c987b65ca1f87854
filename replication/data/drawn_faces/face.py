"""The head under light: pose, outline, shaded skin, ears and neck."""

from __future__ import annotations

import numpy as np

from replication.data.drawn_faces import labels
from replication.data.drawn_faces.canvas import Box, Canvas, bell, f32, linear, noise, ramp
from replication.data.drawn_faces.person import Person
from replication.data.drawn_faces.picture import Picture

# Light enters skin and leaves it elsewhere, red the farthest: shadows on skin end softly and reddish.
SKIN_WRAP = (0.42, 0.24, 0.18)


class Scene:
    """A canvas with the coordinates of a posed head.

    `u` (1, n) and `v` (n, 1) are the coordinates of the frontal face seen at each column and row: the eyes
    stay at u = -1 and u = 1 as in an aligned crop, what lies nearer or farther moves with yaw and pitch.
    """

    def __init__(self, canvas: Canvas, person: Person, picture: Picture):
        self.canvas, self.person, self.picture = canvas, person, picture
        x, y = canvas.x, canvas.y
        yaw, pitch = picture.yaw, picture.pitch
        bend = 0.29 * yaw
        near = np.clip(x, -2.7, 2.7)
        self.u = (x + bend * (near * near - 1)).astype(f32)
        self.v = (y * (1 + 0.11 * pitch * y)).astype(f32)
        self.a, self.side = np.abs(self.u), np.where(self.u > 0, f32(1), f32(-1))
        self.drop = 0.26 * picture.opening * (1 - 0.45 * max(picture.smile, 0.0))
        self.chin = person.chin + self.drop
        v = self.v
        self.centre = -1.45 * yaw * (1 - 0.72 * ramp(0.6, self.chin, v))
        self.width = self.outline(v)
        slope = np.gradient(self.width[:, 0]) / canvas.step if canvas.n > 1 else np.zeros(1)
        self.upright = (1 / np.sqrt(1 + slope * slope))[:, None].astype(f32)
        self.across = (x - self.centre).astype(f32)
        self.distance = (np.abs(self.across) - self.width) * self.upright
        self.head = canvas.cover(self.distance)
        self.level = self.light_level()

    def outline(self, v: np.ndarray) -> np.ndarray:
        """Half-width of the head at height v, from the crown to the chin; negative beyond them."""
        p = self.person
        lower = np.clip((v - 0.15) / (self.chin - 0.15), 0, 1)
        upper = np.clip((0.15 - v) / (0.15 - p.crown), 0, 1)
        width = p.width * (1 - lower**p.jaw) ** (1 / p.taper) * (1 - upper**2.4) ** (1 / 2.2)
        width = width + 0.05 * p.cheekbones * bell(v, 0.75, 0.5) * (v > 0.15) - 0.05 * bell(v, -0.75, 0.4)
        return (width - 2 * np.clip(v - self.chin, 0, None) - 2 * np.clip(p.crown - v, 0, None)).astype(f32)

    def column(self, u: float) -> float:
        """x of the column that shows u."""
        return float(np.interp(u, self.u[0], self.canvas.x[0]))

    def row(self, v: float) -> float:
        """y of the row that shows v."""
        return float(np.interp(v, self.v[:, 0], self.canvas.y[:, 0]))

    def window(self, u0: float, v0: float, u1: float, v1: float) -> Box:
        """Slices of the samples with u0 <= u <= u1 and v0 <= v <= v1."""
        n = self.canvas.n
        first, last = np.searchsorted(self.u[0], (u0, u1))
        top, bottom = np.searchsorted(self.v[:, 0], (v0, v1))
        return slice(int(top), min(n, int(bottom) + 1)), slice(int(first), min(n, int(last) + 1))

    def light_level(self) -> np.ndarray:
        """Light (3, 1, 1) on a surface that faces the viewer."""
        q = self.picture
        return (q.ambient + q.key * max(0.0, q.light[2])).astype(f32).reshape(3, 1, 1)

    def lit(self, nx, ny, nz, wrap=(0.2, 0.2, 0.2)) -> np.ndarray:
        """Light (3, h, w) on a surface with unit normal (nx, ny, nz): wrapped Lambert, a sky and a rim."""
        q = self.picture
        lx, ly, lz = (float(c) for c in q.light)
        towards = nx * lx + ny * ly + nz * lz
        sky = 1 - 0.28 * ny
        if q.rim:
            edge = np.clip(nx * q.rim_side - 0.55, 0, None)
            sky = sky + (3.2 * q.rim) * edge * edge
        light = np.empty((3, *towards.shape), f32)
        for plane, (w, key, ambient) in enumerate(zip(wrap, q.key, q.ambient, strict=True)):
            np.clip((towards + w) * float(1 / (1 + w)), 0, None, out=light[plane])
            light[plane] *= float(key)
            light[plane] += sky * float(ambient)
        return light

    def bumps(self, box: Box, table: list[tuple]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sum of Gaussian bumps and its slopes along u and v over a box, as three matrix products.

        A bump is (mirrored, u, v, radius u, radius v, height); a mirrored one stands on both sides.
        """
        rows, columns = box
        mirrored, uc, vc, ru, rv, height = (np.array(c, f32)[:, None] for c in zip(*table, strict=True))
        u, v = self.u[:, columns], self.v[rows].T
        du = (u - uc) / ru
        other = (u + uc) / ru
        dv = (v - vc) / rv
        here, there, bv = np.exp(-du * du), np.exp(-other * other) * mirrored, np.exp(-dv * dv) * height
        bu = here + there
        su = (here * du + there * other) * (-2 / ru)
        sv = bv * dv * (-2 / rv)
        return bv.T @ bu, bv.T @ su, sv.T @ bu


def _relief(scene: Scene) -> list[tuple]:
    """The face as bumps on a smooth head: sockets, brow, cheeks, nose, lips, chin."""
    p, q = scene.person, scene.picture
    smile, nose, mouth = max(q.smile, 0.0), p.nose_length, p.mouth_y
    male = 1.0 if p.male and p.age > 14 else 0.3
    turn, nod = q.yaw, q.pitch
    table = [
        (1, 0.95, -0.02, 0.62, 0.42, -0.30),
        (1, 1.0, 0.03, 0.36, 0.25, 0.16),
        (1, 0.85, -0.62, 0.75, 0.24, 0.05 + 0.09 * male),
        (1, 1.28, 0.95 - 0.1 * smile, 0.62, 0.52, 0.16 + 0.14 * p.cheekbones + 0.10 * smile),
        (1, 0.95, 1.15, 0.35, 0.35, 0.10 * smile),
        (1, 1.25, 1.95, 0.5, 0.6, -0.10 * p.cheekbones * (1 - p.child)),
        (1, p.mouth_width + 0.13, mouth, 0.2, 0.22, -0.10 - 0.06 * smile),
        (0, 0, mouth - 0.10, 0.6, 0.2, 0.10),
        (0, 0, mouth + 0.20, 0.5, 0.2, 0.12),
        (0, 0, mouth + 0.52, 0.5, 0.15, -0.13),
        (0, 0, scene.chin - 0.42, 0.55, 0.42, 0.22),
        (0, 0, nose + 0.26, 0.10, 0.2, -0.05),
        (1, 0.20, nose + 0.26, 0.10, 0.2, 0.03),
        (1, 0.55, -1.3, 0.55, 0.5, 0.05),
        (1, 1.75, -0.6, 0.3, 0.6, -0.07),
    ]
    bridge = p.nose_bridge
    for share, height, half in ((0.0, 0.11, 0.28), (0.3, 0.16, 0.30), (0.58, 0.20, 0.32)):
        table.append((0, turn * (0.15 + 0.5 * share), -0.10 + share * nose, half, 0.38, height * bridge))
    tip = nose - 0.27 + 0.6 * nod
    half = p.nose_width
    table += [
        (0, turn * 0.62, tip, 0.29, 0.28, 0.38),
        (0, turn * 0.5 - half * 0.78, nose - 0.13, 0.17, 0.19, 0.22),
        (0, turn * 0.5 + half * 0.78, nose - 0.13, 0.17, 0.19, 0.22),
        (0, turn * 0.4, nose + 0.12, 0.4, 0.12, -0.16),
    ]
    return table


def _hollows(scene: Scene) -> list[tuple]:
    """Where less light arrives or skin is darker, as bumps: darkness 0..1."""
    p, q = scene.person, scene.picture
    nose, mouth, old = p.nose_length, p.mouth_y, p.old
    smile = max(q.smile, 0.0)
    turn = q.yaw
    table = [
        (1, 0.56, -0.08, 0.22, 0.26, 0.13),
        (1, 1.0, -0.27, 0.45, 0.14, 0.16),
        (1, 0.95, 0.34, 0.36, 0.10, 0.10 + 0.14 * old),
        (0, turn * 0.4, nose + 0.10, 0.42, 0.10, 0.34),
        (1, p.nose_width + 0.12, nose - 0.08, 0.10, 0.22, 0.20),
        (0, 0, mouth + p.lower_lip + 0.20 + scene.drop * 0.8, 0.42, 0.10, 0.20),
        (1, p.mouth_width * (1 + 0.18 * smile) + 0.08, mouth - 0.15 * smile, 0.12, 0.12, 0.24),
    ]
    if old > 0:
        for index in range(4):
            height = p.hairline * 0.35 - 0.30 - index * 0.26
            table.append((0, 0.15 * (-1) ** index, height, 1.0 - 0.1 * index, 0.035, 0.24 * old))
        for index in range(3):
            table.append((1, 1.72, -0.14 + 0.15 * index, 0.24, 0.030, 0.20 * old + 0.1 * old * smile))
        table += [
            (1, 0.20, -0.42, 0.04, 0.24, 0.30 * old),
            (1, 0.95, mouth + 0.45, 0.07, 0.35, 0.20 * old),
            (1, 1.0, 0.46, 0.4, 0.05, 0.16 * old),
        ]
    return table


def _reddened(scene: Scene) -> list[tuple]:
    """Where blood (or blush) shows, as bumps."""
    p, q = scene.person, scene.picture
    blush = p.redness + 0.6 * p.make_up
    nose = p.nose_length
    return [
        (1, 1.30, 1.05, 0.55, 0.45, 0.62 * blush),
        (0, q.yaw * 0.55, nose - 0.22, 0.42, 0.30, 0.55 * p.redness),
        (0, 0, scene.chin - 0.4, 0.5, 0.35, 0.22 * p.redness),
        (1, 0.95, 0.25, 0.5, 0.2, 0.25 * p.redness),
        (0, 0, -1.0, 1.1, 0.6, 0.08),
    ]


def skin_planes(scene: Scene, extra_red=0.0, darkness=0.0) -> np.ndarray:
    """Linear skin albedo (3, 1, 1) or (3, h, w) with redness added and brightness taken away."""
    base = linear(scene.person.skin)
    red = np.asarray(extra_red, f32) * (1.15 - 0.75 * scene.person.tone)
    shape = np.broadcast_shapes(np.shape(red), np.shape(darkness)) or (1, 1)
    planes = np.empty((3, *shape), f32)
    keep = 1 - np.asarray(darkness, f32)
    # Darker skin in shade keeps its saturation: blue falls fastest.
    planes[0] = base[0] * (1 - 0.02 * red) * (0.30 + 0.70 * keep)
    planes[1] = base[1] * (1 - 0.30 * red) * keep
    planes[2] = base[2] * (1 - 0.26 * red) * (keep * 1.02 - 0.02)
    return planes


def paint_head(scene: Scene) -> None:
    """Skin over the whole head with relief, light, blush, freckles and wrinkles; labels skin and nose."""
    c, p, q = scene.canvas, scene.person, scene.picture
    middle = float(scene.centre.mean())
    box = c.box(middle - 2.9, scene.row(p.crown) - 0.2, middle + 2.9, scene.row(scene.chin) + 0.2)
    rows, columns = box
    u, a, v = scene.u[:, columns], scene.a[:, columns], scene.v[rows]
    _, su, sv = scene.bumps(box, _relief(scene))
    round_x = np.clip(scene.across[box] / np.maximum(scene.width[rows], 0.25), -1.1, 1.1)
    rise = np.clip((v - 0.4) / (scene.chin - 0.4), -1.15, 1.05)
    nx = round_x * (0.62 + 0.33 * round_x * round_x) - su * 1.05
    ny = rise * (0.40 + 0.25 * rise * rise) - sv * 0.95 + q.pitch * 0.5
    inverse = 1 / np.sqrt(nx * nx + ny * ny + 0.72)
    nx, ny, nz = nx * inverse, ny * inverse, inverse * 0.85
    light = scene.lit(nx, ny, nz, SKIN_WRAP)
    hollow, _, _ = scene.bumps(box, _hollows(scene))
    red, _, _ = scene.bumps(box, _reddened(scene))
    _fold(scene, box, hollow)
    mottle = noise("cloud", u * 0.055 + p.mottle_seed[0], v * 0.055 + p.mottle_seed[1])
    red += 0.11 * mottle
    hollow += (0.010 + 0.02 * p.old) * noise("grain", v * 0.06 + p.mottle_seed[1], u * 0.06 + p.mottle_seed[0])
    if p.freckles:
        dots = noise("grain", u * 0.035 + p.mottle_seed[1], v * 0.035 + p.mottle_seed[0])
        where = bell(v, 0.75, 0.75) * bell(a, 0.75, 1.1)
        hollow += np.clip(dots - 0.75, 0, 0.8) * where * (0.42 * p.freckles)
    elif p.old > 0.3:
        dots = noise("cloud", u * 0.11 + p.mottle_seed[1], v * 0.11 + p.mottle_seed[0])
        hollow += np.clip(dots - 1.5, 0, 0.6) * (0.35 * p.old)
    edge = np.clip(-scene.distance[box], 0, 0.5)
    hollow += 0.16 * (1 - 2 * edge) ** 2
    colour = skin_planes(scene, red, np.clip(hollow, -0.1, 0.8)) * light
    # Sheen: light mirrored towards the viewer by forehead, nose, cheekbones and lips.
    lx, ly, lz = (float(e) for e in q.light)
    half = np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2)
    mirror = np.clip((nx * lx + ny * ly + nz * (lz + 1)) / half, 0, 1)
    mirror = mirror**2
    mirror = mirror**4
    colour += (
        (0.07 * mirror + 0.15 * q.gloss * mirror**3)
        * linear(np.sqrt(np.clip(q.key, 0, 1)))
        * (0.5 + 0.5 * float(p.skin[0]))
    )
    alpha = scene.head[box]
    c.paint(box, alpha, colour, labels.SKIN)
    scene.nose_shift = q.yaw * 0.5
    share = np.clip((v + 0.25) / (p.nose_length + 0.25), 0, 1)
    wing = 0.17 + (p.nose_width - 0.10) * ramp(0.35, 0.95, share) + 0.10 * share
    below = p.nose_length + 0.07 - 0.25 * (u - scene.nose_shift) ** 2
    inside = (np.abs(u - scene.nose_shift * share) < wing) & (v > -0.12) & (v < below) & (alpha > 0.5)
    np.copyto(c.labels[box], np.uint8(labels.NOSE), where=inside)


def _fold(scene: Scene, box: Box, hollow: np.ndarray) -> None:
    """Fold from the wing of the nose to beyond the corner of the mouth; deepened by smiling and age."""
    p, q = scene.person, scene.picture
    strength = 0.05 + 0.17 * max(q.smile, 0.0) * (1 - 0.5 * p.child) + 0.24 * p.old
    rows, columns = box
    first, last = np.searchsorted(scene.v[rows, 0], (p.nose_length - 0.4, p.mouth_y + 0.5))
    v, a = scene.v[rows][first:last], scene.a[:, columns]
    if not len(v):
        return
    t = np.clip((v - p.nose_length + 0.3) / 1.0, 0, 1.3)
    line = p.nose_width + 0.12 + (0.50 + 0.12 * max(q.smile, 0.0)) * t**0.8
    gap = (a - line) * (1 / (0.06 + 0.05 * (1 - p.old)))
    hollow[first:last] += strength * np.exp(-gap * gap) * np.clip(1.25 - np.abs(t - 0.55) * 1.7, 0, 1)


def paint_nostrils(scene: Scene) -> None:
    """Dark nostrils and the shadow that the nose casts on the side away from the light."""
    c, p, q = scene.canvas, scene.person, scene.picture
    box = scene.window(-1.1, 0.0, 1.1, p.mouth_y)
    rows, columns = box
    u, v = scene.u[:, columns], scene.v[rows]
    reach = float(np.clip(-q.light[0], -0.8, 0.8))
    cast = (
        bell(u, scene.nose_shift + reach * 0.75, 0.30)
        * bell(v, p.nose_length + 0.02, 0.32)
        * min(1.0, abs(reach) * 1.4)
    )
    cast = cast + bell(u, scene.nose_shift, p.nose_width * 0.8) * bell(v, p.nose_length + 0.16, 0.13) * 0.8
    strength = 0.42 * float(q.key.mean() / (q.key.mean() + q.ambient.mean()))
    factor = 1 - strength * np.clip(cast, 0, 1)[None] * np.array([0.75, 1.0, 1.05], f32).reshape(3, 1, 1)
    c.shade(box, factor)
    spread = p.nose_width * 0.50
    squash = 1 + 1.2 * max(0.0, q.pitch * 2)
    centre = scene.nose_shift * 1.05
    du = (np.abs(u - centre) - spread) / (0.150 + 0.05 * (p.nose_width - 0.45))
    dv = (v - p.nose_length - 0.005 - 0.3 * (np.abs(u - centre) - spread)) / (0.084 / squash)
    hole = np.clip(1.35 - np.sqrt(du * du + dv * dv), 0, 1)
    c.paint(box, hole * 0.88, skin_planes(scene, 0.8, 0.85) * scene.level * 0.45)


def paint_ears(scene: Scene) -> None:
    """Ears beside the head, in front of short hair; the far one hides behind a turned face."""
    c, p, q = scene.canvas, scene.person, scene.picture
    for side, label in ((1, labels.L_EAR), (-1, labels.R_EAR)):
        near = -side * q.yaw  # positive for the ear on the side that the face turns away from
        at_x = float(np.interp(0.55, scene.v[:, 0], scene.centre[:, 0])) + side * (
            p.width - 0.02 + 0.6 * p.ear_out + min(near, 0.0) * 1.3 - max(near, 0) * 0.25
        )
        at_y = scene.row(0.55 - 0.4 * q.pitch)
        half_w, half_h = 0.24 + 0.30 * max(near, 0.0) + 0.25 * p.ear_out, p.ear_size
        box = c.box(at_x - 0.8, at_y - 1.0, at_x + 0.8, at_y + 1.0)
        x, y = c.x[:, box[1]], c.y[box[0]]
        dy = (y - at_y) / half_h
        dx = side * (x - at_x - side * 0.12 * (-dy)) / (half_w * (1 - 0.22 * dy))
        radius = np.sqrt(dx * dx + dy * dy)
        behind = 1 - np.clip(0.5 - (scene.distance[box] + 0.10 + 0.35 * max(near, 0.0)) / c.step, 0, 1)
        alpha = c.cover((radius - 1) * half_w) * behind
        if not alpha.size or alpha.max() < 0.5:
            continue
        # Rim bright, shell dark inside, lobe soft.
        inner = np.sqrt((dx + 0.12) ** 2 + (dy + 0.05) ** 2)
        hollow = 0.42 * np.clip(1 - np.abs(inner - 0.42) * 3.0, 0, 1) * (dy < 0.55) + 0.30 * np.clip(0.5 - radius, 0, 1)
        nx, nz = side * (0.35 + 0.25 * dx), 0.85
        light = scene.lit(nx + 0 * y, 0.2 * dy + 0 * x, nz + 0 * x * y, SKIN_WRAP)
        colour = skin_planes(scene, 0.55 * p.redness + 0.25, np.clip(hollow + 0.06, 0, 0.8)) * light
        c.paint(box, alpha, colour, label)


def paint_neck(scene: Scene) -> None:
    """Neck with the shadow of the chin, its tendons and folds."""
    c, p, q = scene.canvas, scene.person, scene.picture
    x, y = c.x, c.y
    male = 1.0 if p.male else 0.0
    half = (1.18 + 0.22 * male * (1 - p.child) - 0.12 * p.child) * p.width / 2.06
    top = scene.row(0.8)
    box = c.box(-4.2, top, 4.2, 4.4)
    x, y = c.x[:, box[1]], c.y[box[0]]
    scene.neck_centre = (-0.85 * q.yaw + q.tilt * (c.y - 2.6)).astype(f32)
    across = x - scene.neck_centre[box[0]]
    flare = np.clip(y - 3.0, 0, None)
    width = half + 0.12 * np.clip(2.6 - y, 0, 1) + 0.55 * flare + 0.9 * flare**2
    alpha = c.cover((np.abs(across) - width) * 0.85)
    round_x = across / half
    nx = np.clip(round_x * 0.72, -0.95, 0.95)
    light = scene.lit(nx, 0.22 + 0 * nx, np.sqrt(1 - nx * nx), SKIN_WRAP)
    shift = float(np.clip(-q.light[0], -0.8, 0.8)) * 0.8
    jaw = np.interp(c.y[box[0], 0] - 0.62 + 0.5 * q.light[1], c.y[:, 0], scene.width[:, 0], right=-9.0)[:, None]
    shadow = np.clip(0.5 - (np.abs(scene.across[box] - shift) - jaw * 0.97) / 0.34, 0, 1)
    chin_y = scene.row(scene.chin)
    below = y - chin_y
    dark = 0.50 * shadow + 0.26 * np.clip(1 - np.abs(below) / 0.35, 0, 1) + 0.10
    tendon = bell(np.abs(across - 0.1), 0.55 - 0.12 * np.clip(below, 0, 2), 0.10) * np.clip(below, 0, 1)
    dark = (
        dark
        + tendon * (0.09 + 0.12 * p.old)
        + (0.10 + 0.1 * p.old) * bell(y, chin_y + 0.62 + 0.05 * across**2, 0.04) * p.old
    )
    c.paint(box, alpha, skin_planes(scene, 0.18, np.clip(dark, 0, 0.82)) * light, labels.NECK)
