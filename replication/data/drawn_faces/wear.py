"""Clothes, jewellery, glasses and hats."""

from __future__ import annotations

import numpy as np

from replication.data.drawn_faces import labels
from replication.data.drawn_faces.canvas import Box, bell, f32, linear, noise, ramp
from replication.data.drawn_faces.face import Scene
from replication.data.drawn_faces.hair import LONG, ears_show


def _cloth_colour(scene: Scene, box: Box, across: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Pattern and folds on cloth, lit as a rounded chest."""
    c, q = scene.canvas, scene.picture
    y = c.y[box[0]]
    pattern = np.zeros_like(across)
    if q.pattern == "stripes":
        pattern = (np.sin((y + 0.12 * across**2) * 9.0) > 0.2).astype(f32)
    elif q.pattern == "checks":
        pattern = 0.5 * (np.sin(across * 7.5) > 0.3) + 0.5 * (np.sin((y + 0.1 * across**2) * 7.5) > 0.3)
    elif q.pattern == "dots":
        pattern = (np.sin(across * 8) * np.sin(y * 8) > 0.62).astype(f32)
    mixed = linear(colour) + (linear(q.cloth_second) - linear(colour)) * pattern.astype(f32) * 0.8
    weave = noise("grain", across * 0.09, y * 0.09) * (0.05 if q.pattern != "knit" else 0.02)
    if q.pattern == "knit":
        weave = weave + 0.10 * np.sin(across * 22) * np.sin(y * 16 + np.abs(np.sin(across * 11)) * 2)
    folds = noise("lock", across * 0.06 + 0.03 * y + q.flow[0], y * 0.05 + q.flow[1])
    nx = np.clip(across * 0.20 + 0.22 * folds, -0.9, 0.9)
    light = scene.lit(nx, -0.25 + 0 * nx, np.sqrt(1 - nx * nx) * 0.95)
    return mixed * light * (0.88 + weave)


def paint_clothes(scene: Scene) -> None:
    """Shoulders and collar; the cut decides how much of neck and chest stays bare."""
    c, p, q = scene.canvas, scene.person, scene.picture
    box = c.box(-4.4, 2.0, 4.4, 4.5)
    rows, columns = box
    x, y = c.x[:, columns], c.y[rows]
    across = (x - scene.neck_centre[rows] * 0.9).astype(f32)
    a = np.abs(across)
    broad = 1.0 + 0.18 * (p.male and p.age > 15) - 0.22 * p.child
    lean = across * q.tilt * 0.5
    shoulder = (
        3.30 + 0.50 * np.clip((a - 1.25) / broad, 0, None) ** 0.85 + 0.9 * np.clip(a - 3.1 * broad, 0, None) ** 2 - lean
    )
    shoulder = shoulder + 0.12 * p.child
    neck = {
        "crew": 4.12,
        "vneck": 3.80,
        "shirt": 3.58,
        "suit": 3.58,
        "turtle": 3.42,
        "bare": 4.06,
        "hood": 3.8,
    }[q.collar] + 0.12 * (not p.male)
    if q.collar in ("shirt", "suit", "vneck"):
        depth = 4.7 if q.collar != "vneck" else 4.9
        line = depth - np.clip(a / 1.55, 0, 1.2) * (depth - neck) * 1.05
    elif q.collar == "bare":
        line = neck + 0.30 * np.cos(np.clip(a, 0, 3)) + 0.0 * a
    else:
        line = neck - 0.50 * np.clip(a / 1.45, 0, 1.3) ** 2 * (1 if q.collar != "turtle" else 0.2)
    top = np.maximum(shoulder, line)
    if q.collar == "turtle":
        top = np.minimum(shoulder, np.where(a < 1.42, neck - 0.10 * a, 9.0))
    colour = _cloth_colour(scene, box, across, q.cloth)
    if q.collar == "bare":
        # Bare shoulders are skin: they take the neck's label, with straps or an edge of cloth below.
        skin_alpha = c.cover(shoulder - y, 0.05)
        nx = np.clip(across * 0.22, -0.9, 0.9)
        skin = linear(p.skin) * scene.lit(nx, -0.18 + 0 * nx, np.sqrt(1 - nx * nx), (0.42, 0.24, 0.18))
        bone = bell(y + 0.16 * a, 3.95, 0.07) * bell(a, 0.95, 0.6) * 0.20
        chin_dark = 0.0
        outside = c.cover(1.15 - a, 0.5) * skin_alpha
        c.paint(box, outside, skin * (1 - bone - chin_dark))
        np.copyto(c.labels[box], np.uint8(labels.NECK), where=skin_alpha > 0.5)
    alpha = c.cover(top - y, 0.03)
    edge = np.exp(-np.clip((y - top) / 0.10, 0, 6)) * 0.35 if q.collar != "bare" else 0.1
    c.paint(box, alpha, colour * (1 - edge), labels.CLOTH)
    if q.collar == "turtle":
        roll = np.clip((y - top) / 0.55, 0, 1)
        ribs = 0.88 + 0.12 * np.sin(across * 20)
        c.paint(box, alpha * ramp(1.46, 1.36, a) * ramp(1.0, 0.5, roll), colour * (1.25 - 0.5 * roll) * ribs)
    if q.collar in ("shirt", "suit"):
        white = (
            q.cloth
            if q.collar == "shirt"
            else np.array([0.93, 0.93, 0.95]) * (0.6 + 0.4 * (q.cloth_second.mean() > 0.3)) + 0.0
        )
        flap = np.maximum(np.abs((y - 3.50) - 0.62 * (1.50 - a)) - 0.34, np.maximum(a - 1.58, 0.22 - a))
        flap = np.maximum(flap, 3.1 - y)
        shape = c.cover(flap, 0.03)
        shade = 0.80 + 0.30 * np.clip((y - 2.7) / 1.4, 0, 1) - 0.25 * np.exp(-(((flap + 0.02) / 0.05) ** 2))
        c.paint(box, shape, linear(white) * scene.level * shade, labels.CLOTH)
        if q.collar == "suit":
            inner = c.cover(a - 0.62 * np.clip(4.6 - y, 0, 2), 0.03) * c.cover(3.92 - y + 0.5 * (0.5 - a), 0.03)
            c.paint(box, inner, linear(white) * scene.level * 0.9, labels.CLOTH)
            tie = c.cover(a - 0.20 - 0.10 * np.clip(y - 3.7, 0, 1), 0.03) * c.cover(3.92 - y, 0.03)
            if p.male:
                silk = 1 + 0.25 * np.sin((across + y) * 14)
                c.paint(box, tie, linear(q.cloth_second) * scene.level * silk, labels.CLOTH)
            lapel = np.abs(a - 0.62 * np.clip(4.6 - y, 0, 2) - 0.10)
            c.shade(box, 1 - 0.4 * np.exp(-((lapel / 0.05) ** 2)) * (y > 3.3) * alpha)


def paint_necklace(scene: Scene) -> None:
    """A chain, beads or a pendant on the neck."""
    c, q = scene.canvas, scene.picture
    if q.necklace == "none":
        return
    box = c.box(-2.4, 2.4, 2.4, 4.4)
    rows, columns = box
    across = c.x[:, columns] - scene.neck_centre[rows]
    y = c.y[rows]
    low = 4.02 if q.necklace != "beads" else 3.74
    line = low - 0.62 * (np.abs(across) / 1.25) ** 2.2
    on_skin = (np.abs(across) < 1.5) & (c.labels[box] == labels.NECK)
    size = 0.085 if q.necklace == "beads" else 0.045
    metal = np.array([(0.88, 0.72, 0.36), (0.80, 0.81, 0.84), (0.90, 0.86, 0.80)][int(q.hat_seed * 3)])
    glint = 0.65 + 0.55 * np.abs(np.sin(across * 13.0))
    alpha = c.cover(np.abs(y - line) - size, 0.03) * on_skin
    shine = np.clip(1.2 - np.abs(y - line + 0.3 * size) / size, 0.3, 1.2)
    c.shade(box, 1 - 0.35 * np.clip(1 - np.abs(y - line - 0.09) / 0.09, 0, 1) * on_skin)
    c.paint(box, alpha, linear(metal) * scene.level * glint * shine * 1.15, labels.NECK_L)
    if q.necklace == "pendant":
        drop = np.sqrt(across**2 + ((y - low - 0.10) * 0.75) ** 2)
        c.paint(
            box,
            c.cover(drop - 0.15, 0.03) * (y < 4.2),
            linear(q.cloth_second) * scene.level * (1.5 - drop * 5),
            labels.NECK_L,
        )


def paint_earrings(scene: Scene) -> None:
    """Studs, hoops or drops at the lobes; long hair hides studs and lets longer ones show."""
    c, p, q = scene.canvas, scene.person, scene.picture
    if q.earrings == "none":
        return
    free = ears_show(scene)
    if not free and (q.earrings == "stud" or scene.hair.style == "curly_short" or q.hat == "headscarf"):
        return
    metal = linear([(0.90, 0.74, 0.38), (0.82, 0.83, 0.86), (0.93, 0.90, 0.86)][int(q.hat_seed * 3)])
    for side in (1, -1):
        near = -side * q.yaw
        if near < -0.22:
            continue
        centre = float(np.interp(0.9, scene.v[:, 0], scene.centre[:, 0]))
        x0 = centre + side * (p.width + 0.02 + 0.5 * p.ear_out - max(near, 0) * 0.35 + min(near, 0) * 0.5)
        y0 = scene.row(0.45 + 0.86 * p.ear_size)
        box = c.box(x0 - 0.7, y0 - 0.3, x0 + 0.7, y0 + 1.7)
        x, y = c.x[:, box[1]] - f32(x0), c.y[box[0]] - f32(y0)
        if q.earrings == "stud":
            distance = np.sqrt(x * x + y * y) - 0.13
        elif q.earrings == "hoop":
            wide = 0.30 + 0.25 * q.hat_seed
            distance = np.abs(np.sqrt((x / 0.8) ** 2 + (y - wide) ** 2) - wide) - 0.065
        else:
            long = 0.6 + 0.6 * q.hat_seed
            t = np.clip(y / long, 0, 1)
            distance = np.maximum(np.abs(x) - 0.05 - 0.15 * t * t, np.maximum(-y - 0.05, y - long))
        sparkle = 0.75 + 0.6 * np.sin(x * 19 + 1) * np.sin(y * 15 + q.hat_seed * 6)
        c.paint(box, c.cover(distance, 0.03), metal * scene.level * sparkle, labels.EAR_R)


def paint_glasses(scene: Scene) -> None:
    """Frames with temples, and lenses: clear ones reflect a little, dark ones hide the eyes.

    As in CelebAMask-HQ the lens belongs to the label eye_g, but eyes and brows seen through a clear lens
    keep their own labels.
    """
    c, p, q = scene.canvas, scene.person, scene.picture
    if q.glasses == "none":
        return
    sun = q.glasses == "sun"
    box = scene.window(-3.2, -1.3, 3.2, 1.4)
    rows, columns = box
    u, a, v = scene.u[:, columns], scene.a[:, columns], scene.v[rows]
    turn = q.yaw * 0.22
    a = np.abs(u - turn)
    scale = p.frame_size * (1.10 if sun else 1.0)
    half_w, half_h, power, sag = [
        (0.78, 0.50, 4.0, 0.10),
        (0.70, 0.62, 2.0, 0.12),
        (0.80, 0.58, 2.8, 0.16),
        (0.76, 0.44, 3.0, 0.02),
    ][p.frame]
    half_w, half_h = half_w * scale, half_h * scale * (1.12 if sun else 1.0)
    du = np.abs(a - 1.06) / half_w
    dv = np.abs(v - 0.08 - sag * 0.5 + 0.10 * (a - 1.06)) / half_h
    lens = ((du**power + dv**power) ** (1 / power) - 1) * min(half_w, half_h)
    width = (0.050, 0.036, 0.068, 0.034)[p.frame] * (1.15 if sun else 1.0)
    rim = np.abs(lens) - width
    bridge = np.maximum(np.abs(v + 0.10 - 0.25 * a * a) - 0.055, a - (1.08 - half_w))
    reach = 1.06 + half_w
    temple = np.maximum(
        np.abs(v + 0.14) - 0.07,
        np.maximum(reach - 0.04 - a, np.abs(scene.across[box]) - scene.width[rows] * 1.01),
    )
    frame = np.minimum(np.minimum(rim, bridge), temple)
    inside = c.cover(lens, 0.02)
    # Shadow of the frame on the skin below.
    lx = float(q.light[0])
    low = np.abs(lens + 0.02 - 0.12 * (v > 0)) - width * 1.3
    c.shade(box, 1 - 0.22 * c.cover(low, 0.16) * scene.head[box])
    if sun:
        sheen = (
            ramp(0.55, -0.75, v) * 0.30
            + 0.25 * bell(u * 0.8 - v, 0.9 + lx, 0.30)
            + 0.15 * bell(u * 0.8 - v, -1.0 + lx, 0.2)
        )
        colour = linear(q.lens_colour) + sheen * linear((0.62, 0.72, 0.85)) * 0.35 * scene.level
        c.paint(box, inside * 0.96, colour)
    else:
        glare = bell(u * 0.9 - v, 1.25 + lx * 0.4, 0.13) + 0.8 * bell(u * 0.9 - v, -0.85 + lx * 0.4, 0.13)
        c.paint(box, inside * (0.05 + 0.20 * np.clip(glare, 0, 1)), linear((0.9, 0.95, 1.0)) * scene.level)
    edge = c.cover(frame, 0.02)
    gloss = 0.75 + 0.9 * bell(v + 0.25 * (a - 1), -0.42, 0.16) + 0.4 * np.clip(-lens / width, 0, 1)
    c.paint(box, edge, linear(q.frame_colour) * scene.level * gloss + 0.02 * scene.level)
    here = c.labels[box]
    keep = np.isin(here, (labels.L_EYE, labels.R_EYE, labels.L_BROW, labels.R_BROW))
    lens_label = (inside > 0.5) & (~keep if not sun else True)
    np.copyto(here, np.uint8(labels.EYE_G), where=lens_label | (edge > 0.5))


def paint_hat(scene: Scene) -> None:
    """A cap, beanie, brimmed hat or headscarf, with its shadow on forehead and eyes."""
    c, p, q = scene.canvas, scene.person, scene.picture
    if q.hat == "none":
        return
    centre = float(scene.centre[0, 0]) * 0.95
    line = scene.row(max(p.hairline + 0.55, -1.45))
    reach = p.width + 0.30 + 0.25 * (scene.hair.style in LONG)
    full = c.box(-4.4, -4.2, 4.4, line + (3.6 if q.hat == "headscarf" else 1.3))
    rows, columns = full
    x, y = c.x[:, columns] - f32(centre), c.y[rows]
    top = scene.row(p.crown) - 0.42
    bend = 0.05 * x * x
    turn = 0.12 * q.yaw * x
    edge = line + bend + turn
    t = np.clip((line + 0.4 - y) / (line + 0.4 - top), 0, 1)
    width = reach * (1 - t**2.7) ** (1 / 2.4) - 2 * np.clip(top - y, 0, None)
    if q.hat == "brim":
        width = reach * 0.98 * (1 - 0.24 * t) - 8 * np.clip(top - 0.1 - y, 0, None)
    dome = np.maximum(np.abs(x) - width, (y - edge) * 0.9)
    cloth = (
        noise("lock", x * 0.05 + q.hat_seed, y * 0.08) * 0.08 + noise("grain", x * 0.11 + q.hat_seed, y * 0.11) * 0.022
    )
    nx = np.clip(x / reach * 0.9, -0.96, 0.96)
    ny = -0.75 * np.clip(t * 1.15, 0, 1) ** 1.5
    light = scene.lit(nx + 0 * ny, ny + 0 * nx, np.sqrt(np.clip(1.05 - nx * nx - ny * ny, 0.08, 1)))
    colour = linear(q.hat_colour) * light * (0.9 + cloth)
    # Shadow below the edge, on whatever is there.
    depth = 0.75 if q.hat in ("cap", "brim") else 0.25
    drop = (y - edge) / depth
    strength = 0.62 if q.hat in ("cap", "brim") else 0.4
    c.shade(
        full,
        1
        - strength
        * np.clip(1 - drop, 0, 1) ** 1.3
        * (np.abs(x) < reach)
        * (y > edge)
        * c.cover(scene.distance[full], 0.1),
    )
    if q.hat == "beanie":
        ribs = 0.90 + 0.16 * np.sin(x * 17 / np.maximum(np.sqrt(np.clip(1.15 - nx * nx, 0.1, 2)), 0.3))
        cuff = ramp(0.62, 0.56, edge - y)
        colour = colour * ribs * (1 + 0.16 * cuff) * (1 - 0.35 * bell(edge - y, 0.64, 0.06))
    if q.hat == "cap":
        colour = colour * (1 - 0.30 * bell(np.abs(nx), 0.42, 0.02) - 0.3 * bell(nx, 0, 0.015))
        badge = c.cover(np.sqrt((x * 0.8) ** 2 + (y - line + 0.85) ** 2) - 0.38, 0.04)
        colour = colour + badge * (linear(q.cloth_second) * light - colour) * (q.hat_seed > 0.4)
    if q.hat == "brim":
        band = ramp(0.58, 0.52, edge - y)
        colour = colour * (1 - 0.15 * bell(x, 0, 0.5) * t) + band * (linear(q.cloth_second * 0.5) * light - colour)
    c.paint(full, c.cover(dome, 0.03), colour, labels.HAT)
    if q.hat == "headscarf":
        folds = 0.88 + 0.14 * noise("lock", (np.abs(x) - 0.3 * y) * 0.10 + q.hat_seed, y * 0.05)
        away = np.abs(c.x[:, columns] - scene.centre[rows])
        ring = np.maximum(scene.width[rows] * 0.92 - away, away - scene.width[rows] - 0.45)
        side = np.maximum(ring, np.maximum(line - 0.2 - y, y - scene.row(scene.chin) - 0.3))
        c.paint(full, c.cover(side, 0.03), linear(q.hat_colour) * light * folds, labels.HAT)
    if q.hat in ("cap", "brim"):
        long = 0.64 if q.hat == "cap" else 0.32
        wide = reach * (0.86 if q.hat == "cap" else 1.42)
        px, py = x - 1.2 * q.yaw * (q.hat == "cap"), y - line - 0.06 * x * x - 0.10 - turn
        visor = (np.sqrt((px / wide) ** 2 + (py / long) ** 2) - 1) * long
        visor = np.maximum(visor, -py - 0.30)
        tone = np.clip(0.78 - 0.80 * py / long, 0.16, 1.25) * (
            1 - 0.6 * bell(visor, 0.0, 0.03) - 0.5 * bell(py, -0.30, 0.07)
        )
        peak = q.cloth_second if q.hat == "cap" and q.hat_seed > 0.5 else q.hat_colour
        c.paint(full, c.cover(visor, 0.03), linear(peak) * scene.level * tone * (0.95 + cloth), labels.HAT)
