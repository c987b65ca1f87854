"""Who is drawn: traits sampled from an identity seed.

Lengths are in eye units: half the distance between the eyes, an eighth of the picture's width. The eyes
lie at (-1, 0) and (1, 0), y points down, and the picture covers x in [-4, 4] and y in [-3.8, 4.2].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DISTRIBUTIONS = ("celebahq", "ffhq")

# sRGB in 0..1, from very light to very dark.
SKIN_TONES = np.array(
    [
        (0.975, 0.825, 0.745),
        (0.955, 0.770, 0.665),
        (0.915, 0.705, 0.585),
        (0.840, 0.620, 0.480),
        (0.725, 0.515, 0.375),
        (0.560, 0.375, 0.265),
        (0.400, 0.265, 0.190),
        (0.300, 0.200, 0.150),
    ]
)
HAIR_COLOURS = {
    "black": (0.145, 0.120, 0.115),
    "dark_brown": (0.235, 0.155, 0.110),
    "brown": (0.385, 0.255, 0.165),
    "light_brown": (0.530, 0.380, 0.250),
    "blond": (0.800, 0.640, 0.400),
    "platinum": (0.900, 0.815, 0.640),
    "red": (0.600, 0.270, 0.120),
    "grey": (0.580, 0.570, 0.565),
    "white": (0.860, 0.850, 0.840),
}
IRIS_COLOURS = {
    "brown": (0.300, 0.170, 0.090),
    "dark": (0.160, 0.095, 0.065),
    "hazel": (0.430, 0.320, 0.150),
    "green": (0.330, 0.450, 0.270),
    "blue": (0.300, 0.480, 0.660),
    "grey": (0.450, 0.520, 0.560),
}
MALE_STYLES = (
    ("short", 0.34),
    ("side", 0.25),
    ("crop", 0.17),
    ("buzz", 0.10),
    ("curly_short", 0.10),
    ("long", 0.04),
)
FEMALE_STYLES = (
    ("long", 0.30),
    ("wavy", 0.22),
    ("bob", 0.16),
    ("curly_long", 0.09),
    ("bun", 0.10),
    ("tied", 0.08),
    ("short", 0.05),
)


@dataclass(frozen=True)
class Person:
    """What all pictures of one identity share. Factors are in 0..1 unless said otherwise."""

    male: bool
    age: float  # years
    child: float  # 1 at 4 years, 0 from 16 on
    old: float  # 0 until 42 years, 1 from 78 on
    tone: float  # 0 very light .. 1 very dark
    skin: np.ndarray  # (3,) sRGB
    redness: float
    freckles: float
    mottle_seed: tuple[float, float]
    width: float  # half-width of the face at the cheekbones
    chin: float  # y of the chin
    crown: float  # y of the top of the skull
    jaw: float  # exponent of the jaw: larger is squarer
    taper: float
    brow_height: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    eye_size: float  # factor
    eye_open: float  # factor
    eye_tilt: float
    eye_round: float
    crease: float
    iris: np.ndarray  # (3,) sRGB
    nose_length: float  # y of the base of the nose
    nose_width: float  # half-width of the wings
    nose_bridge: float  # height of the bridge
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    bow: float
    lip_redness: float
    ear_size: float
    ear_out: float
    cheekbones: float
    style: str
    hair_name: str
    hair: np.ndarray  # (3,) sRGB
    hairline: float  # y of the hairline at the centre
    recession: float
    volume: float
    part: float  # -1..1: where the hair is parted
    fringe: bool  # bangs
    hair_end: float  # y where long hair ends
    wave: float
    stubble: float
    beard: float
    beard_kind: str  # none, full, goatee
    moustache: float
    beard_colour: np.ndarray
    wears_glasses: float  # probability in a picture
    frame: int
    frame_size: float
    make_up: float
    earring_probability: float
    wiry: float  # how much single strands stand out


def choice(rng: np.random.Generator, table: tuple[tuple[str, float], ...]) -> str:
    """Draw a name from (name, weight) pairs."""
    total = sum(weight for _, weight in table)
    draw = rng.random() * total
    for name, weight in table:
        draw -= weight
        if draw < 0:
            return name
    return table[-1][0]


def clipped(rng: np.random.Generator, mean: float, deviation: float, reach: float = 2.0) -> float:
    """A normal draw, cut off `reach` deviations from the mean."""
    return mean + deviation * float(np.clip(rng.standard_normal(), -reach, reach))


def _blend(palette: np.ndarray, position: float) -> np.ndarray:
    place = float(np.clip(position, 0, 1)) * (len(palette) - 1)
    low = min(int(place), len(palette) - 2)
    return palette[low] + (palette[low + 1] - palette[low]) * (place - low)


def sample_person(identity: int, distribution: str) -> Person:
    """Sample the traits of `identity`; a deterministic function of both arguments."""
    wild = distribution == "ffhq"
    rng = np.random.default_rng([identity, 17, int(wild)])
    male = bool(rng.random() < (0.48 if wild else 0.38))
    kind = rng.random()
    if not wild:
        age = float(np.clip(rng.normal(31 if male else 27, 8.5), 18, 72))
    elif kind < 0.2:
        age = float(rng.uniform(3, 14))
    elif kind < 0.74:
        age = float(rng.uniform(15, 54))
    else:
        age = float(rng.uniform(54, 86))
    child = float(np.clip((16 - age) / 12, 0, 1))
    old = float(np.clip((age - 42) / 36, 0, 1))
    tone = float(rng.beta(0.9, 2.7) if not wild else rng.beta(0.95, 1.7))
    skin = _blend(SKIN_TONES, tone) * (1 + 0.03 * rng.standard_normal(3))
    m = 1.0 if male and age > 14 else 0.0
    n = lambda mean, deviation: clipped(rng, mean, deviation)  # noqa: E731
    style = choice(rng, MALE_STYLES if male else FEMALE_STYLES)
    if male and age < 15 and style == "buzz":
        style = "short"
    if not male and age < 11 and style in ("bun", "curly_long"):
        style = "long"
    if male and age > 28 and rng.random() < 0.05 + 0.30 * old:
        style = "bald"
    if not male and old > 0.4 and rng.random() < 0.65:
        style = ("short", "bob", "curly_short")[int(rng.integers(3))]
    if tone > 0.62 and rng.random() < 0.5:
        style = {"short": "buzz", "side": "curly_short", "long": "curly_long", "wavy": "curly_long"}.get(style, style)
    greying = float(np.clip((age - 40) / 30 + 0.15 * rng.standard_normal(), 0, 1)) if age > 36 else 0.0
    dark = float(np.clip(tone * 1.9, 0, 1))
    colours = (
        ("black", 0.09 + 0.55 * dark),
        ("dark_brown", 0.30),
        ("brown", 0.26 * (1 - 0.8 * dark)),
        ("light_brown", 0.14 * (1 - dark)),
        ("blond", (0.24 if not male else 0.12) * (1 - dark)),
        ("platinum", (0.07 + 0.08 * child) * (1 - dark)),
        ("red", 0.07 * (1 - dark)),
    )
    hair_name = choice(rng, colours)
    dyed = not male and rng.random() < (0.75 if not wild else 0.45)
    hair = np.array(HAIR_COLOURS[hair_name])
    beard_colour = hair * (0.9 + 0.25 * rng.random())
    if greying > 0.45 and not dyed:
        hair_name = "white" if greying > 0.88 and rng.random() < 0.6 else "grey"
        hair = hair * 0.15 + np.array(HAIR_COLOURS[hair_name]) * 0.85
    beard_colour = beard_colour * (1 - greying) + np.array(HAIR_COLOURS["grey"]) * greying
    hair = np.clip(hair * (1 + 0.06 * rng.standard_normal()) + 0.012 * rng.standard_normal(3), 0.03, 0.95)
    beard_kind, beard, moustache, stubble = "none", 0.0, 0.0, 0.0
    if male and age > 18:
        draw = rng.random()
        stubble = float(np.clip(rng.normal(0.28, 0.2), 0, 0.8))
        if draw < 0.16:
            beard_kind, beard, moustache = "full", float(rng.uniform(0.65, 1.0)), 1.0
        elif draw < 0.23:
            beard_kind, beard, moustache = "goatee", float(rng.uniform(0.6, 1.0)), float(rng.random() < 0.7)
        elif draw < 0.31:
            moustache = 1.0
    fringe = bool(
        style in ("long", "bob", "wavy", "short", "tied", "bun")
        and rng.random() < (0.12 if male else 0.30 + 0.25 * child)
    )
    receding = float(np.clip(rng.normal(0.15 + 0.55 * old, 0.25), 0, 1)) if male and age > 25 else 0.0
    light_eyes = (1 - dark) * (0.75 if hair_name in ("blond", "platinum", "light_brown", "red") else 0.4)
    iris_name = choice(
        rng,
        (
            ("brown", 0.35),
            ("dark", 0.15 + 0.8 * dark),
            ("hazel", 0.2 * (1 - dark)),
            ("green", 0.35 * light_eyes),
            ("blue", 0.75 * light_eyes),
            ("grey", 0.25 * light_eyes),
        ),
    )
    width = n(2.06, 0.085) + 0.05 * m + 0.07 * child
    chin = n(3.54, 0.12) + 0.14 * m - 0.46 * child
    mouth_y = n(2.02, 0.07) + 0.03 * m - 0.16 * child
    return Person(
        male=male,
        age=age,
        child=child,
        old=old,
        tone=tone,
        skin=np.clip(skin, 0.08, 0.99),
        redness=float(np.clip(n(0.45, 0.28) + 0.2 * child, 0.05, 1.1)),
        freckles=float(rng.uniform(0.4, 1.0))
        if tone < 0.28 and rng.random() < (0.42 if hair_name == "red" else 0.13)
        else 0.0,
        mottle_seed=(float(rng.random()), float(rng.random())),
        width=width,
        chin=chin,
        crown=n(-3.12, 0.08) - 0.12 * child,
        jaw=n(1.92, 0.16) + 0.34 * m + 0.15 * child,
        taper=n(1.55, 0.13) + 0.17 * m + 0.32 * child,
        brow_height=n(0.63, 0.055) - 0.07 * m + 0.02 * child,
        brow_thickness=n(0.122, 0.02) + 0.03 * m - 0.015 * child,
        brow_arch=n(0.13, 0.05) - 0.05 * m,
        brow_tilt=n(0.075, 0.06),
        eye_size=n(1.03, 0.06) + 0.10 * child - 0.04 * m - 0.06 * old,
        eye_open=n(1.06, 0.11) + 0.12 * child - 0.1 * m - 0.12 * old,
        eye_tilt=n(0.06, 0.07) - 0.06 * old,
        eye_round=n(0.5, 0.18),
        crease=float(np.clip(n(0.65, 0.25), 0, 1)),
        iris=np.clip(np.array(IRIS_COLOURS[iris_name]) * n(1.0, 0.12), 0.03, 0.9),
        nose_length=n(1.43, 0.07) - 0.14 * child + 0.05 * m + 0.05 * old,
        nose_width=n(0.46, 0.045) + 0.05 * m + 0.11 * tone + 0.03 * old,
        nose_bridge=n(1.0, 0.18) - 0.4 * child - 0.25 * tone + 0.12 * m,
        mouth_y=mouth_y,
        mouth_width=n(0.80, 0.06) + 0.03 * m - 0.07 * child,
        upper_lip=n(0.190, 0.035) - 0.03 * m - 0.035 * old + 0.06 * tone,
        lower_lip=n(0.275, 0.04) - 0.03 * m - 0.04 * old + 0.06 * tone,
        bow=n(0.055, 0.02),
        lip_redness=float(np.clip(n(0.5, 0.2) + (0.0 if male else 0.15), 0.05, 1)),
        ear_size=n(0.64, 0.05) + 0.06 * old,
        ear_out=n(0.05, 0.05),
        cheekbones=float(np.clip(n(0.6, 0.3), 0, 1.2)),
        style=style,
        hair_name=hair_name,
        hair=hair,
        hairline=n(-2.12, 0.15) - 0.35 * receding + 0.08 * child,
        recession=receding,
        volume=float(np.clip(n(0.54, 0.17), 0.15, 0.95)),
        part=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.15, 0.9)),
        fringe=fringe,
        hair_end=float(rng.uniform(2.9, 5.2)),
        wave=float(rng.uniform(0.3, 1.0)),
        stubble=stubble,
        beard=beard,
        beard_kind=beard_kind,
        moustache=moustache,
        beard_colour=np.clip(beard_colour, 0.04, 0.95),
        wears_glasses=(0.85 if rng.random() < (0.06 if not wild else 0.2 + 0.2 * old - 0.08 * child) else 0.02),
        frame=int(rng.integers(4)),
        frame_size=n(1.0, 0.08),
        make_up=0.0 if male or age < 15 else float(np.clip(n(0.72 if not wild else 0.35, 0.25), 0, 1)),
        earring_probability=0.02 if male else (0.45 if not wild else 0.33) * (age > 8),
        wiry=float(rng.uniform(0.5, 1.0)),
    )
