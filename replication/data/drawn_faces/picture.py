"""How one picture of a person was taken: pose, light, expression, wear, background, from a picture seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replication.data.drawn_faces.person import Person, choice, clipped

PLAIN_CLOTHES = np.array(
    [
        (0.10, 0.10, 0.12),
        (0.93, 0.92, 0.90),
        (0.16, 0.20, 0.34),
        (0.55, 0.10, 0.14),
        (0.30, 0.36, 0.32),
        (0.62, 0.62, 0.64),
        (0.75, 0.62, 0.46),
        (0.20, 0.45, 0.60),
        (0.86, 0.72, 0.20),
        (0.78, 0.45, 0.52),
        (0.35, 0.22, 0.40),
        (0.17, 0.42, 0.33),
    ]
)


@dataclass(frozen=True)
class Picture:
    """What belongs to one picture: pose, light, expression, clothes, background."""

    yaw: float  # sine; positive turns the face to the right of the picture
    pitch: float  # sine; positive looks down
    tilt: float  # slope of the body against the head (the crop takes the roll out of the head)
    shift: tuple[float, float]  # misalignment of the crop
    light: np.ndarray  # (3,) unit vector towards the key light
    key: np.ndarray  # (3,) linear RGB
    ambient: np.ndarray
    rim: float
    rim_side: int
    gloss: float
    smile: float
    opening: float
    closed: float  # how far the lids are down
    brow_raise: float
    gaze: tuple[float, float]
    glasses: str  # none, clear, sun
    frame_colour: np.ndarray
    lens_colour: np.ndarray
    hat: str  # none, cap, beanie, brim, headscarf
    hat_colour: np.ndarray
    hat_seed: float
    earrings: str  # none, stud, hoop, drop
    lipstick: float
    lipstick_colour: np.ndarray
    eye_shadow: float
    eye_shadow_colour: np.ndarray
    liner: float
    necklace: str  # none, chain, beads, pendant
    collar: str  # crew, vneck, shirt, suit, turtle, bare, hood
    cloth: np.ndarray
    cloth_second: np.ndarray
    pattern: str  # plain, stripes, checks, knit, dots
    background: str
    exposure: float
    contrast: float
    warmth: float
    flow: tuple[float, float]  # offsets into the noise tables for this picture's hair


def _light(rng: np.random.Generator, wild: bool) -> dict:
    """A key light, its colour and the ambient light: soft and frontal in a studio, anything outdoors."""
    side = clipped(rng, 0.0, 0.62 if wild else 0.36, 1.9)
    height = -abs(clipped(rng, 0.45, 0.28, 1.8)) - 0.08
    light = np.array([side, height, 0.72 if wild else 0.95])
    hard = float(rng.uniform(0.45, 1.0) if wild else rng.uniform(0.25, 0.6))
    hue = rng.standard_normal() * (0.11 if wild else 0.045)
    sky = rng.standard_normal() * (0.08 if wild else 0.03)
    ambient = 0.50 - 0.30 * hard
    return {
        "light": light / np.linalg.norm(light),
        "key": (0.54 + 0.36 * hard) * np.array([1 + hue, 1.0, 1 - 1.2 * hue]),
        "ambient": ambient * np.array([1 + sky - 0.3 * hue, 1.0, 1 - sky + 0.5 * hue]),
        "rim": float(rng.uniform(0.3, 1.0)) if rng.random() < (0.35 if wild else 0.2) else 0.0,
        "rim_side": int(-np.sign(side) or 1),
        "gloss": float(rng.uniform(0.3, 1.0)),
    }


def _wear(rng: np.random.Generator, person: Person, wild: bool) -> dict:
    """Glasses, hat, jewellery and clothes of one picture."""
    glasses = "clear" if rng.random() < person.wears_glasses else "none"
    if rng.random() < (0.05 if wild else 0.015) and person.age > 5:
        glasses = "sun"
    dark = rng.random() < 0.72
    frame = (
        np.full(3, 0.06)
        if dark
        else np.array(
            [(0.62, 0.50, 0.28), (0.55, 0.56, 0.58), (0.35, 0.10, 0.10), (0.20, 0.22, 0.36)][int(rng.integers(4))]
        )
    )
    hats = (("cap", 0.4), ("beanie", 0.3), ("brim", 0.2), ("headscarf", 0.1 if not person.male else 0.0))
    hat = choice(rng, hats) if rng.random() < (0.13 if wild else 0.03) else "none"
    earrings = "none"
    if rng.random() < person.earring_probability:
        earrings = choice(rng, (("stud", 0.35), ("hoop", 0.3), ("drop", 0.35)))
    collars = (
        (("suit", 0.34), ("shirt", 0.26), ("crew", 0.22), ("vneck", 0.1), ("turtle", 0.05), ("hood", 0.03))
        if person.male and not wild
        else (
            ("crew", 0.35),
            ("shirt", 0.28),
            ("hood", 0.14),
            ("vneck", 0.1),
            ("suit", 0.07),
            ("turtle", 0.06),
        )
        if person.male or wild
        else (
            ("bare", 0.34),
            ("vneck", 0.24),
            ("crew", 0.2),
            ("shirt", 0.12),
            ("turtle", 0.06),
            ("suit", 0.04),
        )
    )
    collar = choice(rng, collars)
    necklace = "none"
    if not person.male and person.age > 10 and collar in ("bare", "vneck", "crew") and rng.random() < 0.32:
        necklace = choice(rng, (("chain", 0.4), ("beads", 0.3), ("pendant", 0.3)))
    return {
        "glasses": glasses,
        "frame_colour": frame,
        "lens_colour": np.array([(0.03, 0.03, 0.035), (0.10, 0.05, 0.03), (0.03, 0.06, 0.10)][int(rng.integers(3))]),
        "hat": hat,
        "hat_colour": PLAIN_CLOTHES[int(rng.integers(len(PLAIN_CLOTHES)))],
        "hat_seed": float(rng.random()),
        "earrings": earrings,
        "necklace": necklace,
        "collar": collar,
        "cloth": np.clip(
            PLAIN_CLOTHES[int(rng.integers(len(PLAIN_CLOTHES)))] + 0.05 * rng.standard_normal(3), 0.03, 0.96
        ),
        "cloth_second": PLAIN_CLOTHES[int(rng.integers(len(PLAIN_CLOTHES)))],
        "pattern": choice(rng, (("plain", 0.5), ("stripes", 0.13), ("checks", 0.13), ("knit", 0.14), ("dots", 0.1))),
    }


def sample_picture(person: Person, identity: int, picture: int, distribution: str) -> Picture:
    """Sample pose, light, expression, wear and background of picture number `picture` of `identity`."""
    wild = distribution == "ffhq"
    rng = np.random.default_rng([identity, 29, picture, int(wild)])
    smiling = rng.random() < (0.50 if not wild else 0.54)
    smile = float(rng.uniform(0.5, 1.0)) if smiling else float(rng.uniform(-0.12, 0.18))
    opens = rng.random() < (0.74 if smiling else 0.20)
    opening = float(rng.uniform(0.35, 1.0)) * (1.0 if smiling else 0.8) if opens else 0.0
    closed = 1.0 if rng.random() < (0.03 if not wild else 0.06) else float(np.clip(rng.normal(0.02, 0.08), 0, 0.35))
    colours = np.array(
        [(0.72, 0.10, 0.14), (0.80, 0.32, 0.38), (0.60, 0.16, 0.26), (0.78, 0.38, 0.32), (0.42, 0.08, 0.16)]
    )
    shadows = np.array(
        [(0.42, 0.30, 0.26), (0.30, 0.26, 0.30), (0.32, 0.36, 0.50), (0.52, 0.34, 0.42), (0.46, 0.40, 0.28)]
    )
    outdoor = (("bokeh", 0.34), ("street", 0.22), ("foliage", 0.24), ("sky", 0.10), ("wall", 0.10))
    studio = (("studio", 0.48), ("curtain", 0.12), ("wall", 0.14), ("panel", 0.16), ("bokeh", 0.10))
    made_up = person.make_up * float(rng.uniform(0.5, 1.15))
    return Picture(
        yaw=float(np.clip(rng.normal(0, 0.15 if not wild else 0.25), -0.48, 0.48)),
        pitch=float(np.clip(rng.normal(0.0, 0.055 if not wild else 0.10), -0.22, 0.22)),
        tilt=float(np.clip(rng.normal(0, 0.10 if not wild else 0.15), -0.32, 0.32)),
        shift=tuple(float(v) for v in np.clip(rng.standard_normal(2), -2, 2) * (0.02 if not wild else 0.05)),
        **_light(rng, wild),
        smile=smile,
        opening=opening,
        closed=closed,
        brow_raise=float(np.clip(rng.normal(0.0, 0.06) + 0.08 * (rng.random() < 0.1), -0.09, 0.2)),
        gaze=(float(np.clip(rng.normal(0, 0.3), -1, 1)), float(np.clip(rng.normal(0, 0.2), -0.6, 0.6))),
        **_wear(rng, person, wild),
        lipstick=float(np.clip(made_up, 0, 1)) if made_up > 0.42 else 0.0,
        lipstick_colour=colours[int(rng.integers(5))],
        eye_shadow=made_up * float(rng.uniform(0.2, 1.0)),
        eye_shadow_colour=shadows[int(rng.integers(5))],
        liner=made_up,
        background=choice(rng, outdoor if wild else studio),
        exposure=clipped(rng, 1.0, 0.16 if wild else 0.08),
        contrast=clipped(rng, 0.72, 0.25),
        warmth=clipped(rng, 0.0, 0.05 if wild else 0.02),
        flow=(float(rng.random()), float(rng.random())),
    )
