"""The 19 parsing labels of CelebAMask-HQ and the attributes that a drawn face carries.

`l_` and `r_` are the subject's left and right, as in CelebAMask-HQ: the left eye of the person, label
`l_eye`, lies in the right half of the picture.
"""

from __future__ import annotations

import numpy as np

from replication.data.drawn_faces.person import Person
from replication.data.drawn_faces.picture import Picture

LABELS = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r", "nose",
    "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip
(
    BACKGROUND, SKIN, L_BROW, R_BROW, L_EYE, R_EYE, EYE_G, L_EAR, R_EAR, EAR_R, NOSE,
    MOUTH, U_LIP, L_LIP, NECK, NECK_L, CLOTH, HAIR, HAT,
) = range(19)  # fmt: skip

ATTRIBUTES = (
    "eyeglasses", "sunglasses", "moustache", "beard", "smiling", "mouth_open", "eyes_closed", "hat", "bangs",
    "bald", "young", "child", "male", "grey_hair", "blond_hair", "black_hair", "brown_hair", "red_hair",
    "long_hair", "curly_hair", "earrings", "lipstick", "make_up", "necklace", "pale_skin", "freckles",
)  # fmt: skip
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
BOXES = ("left_eye", "right_eye", "eyes", "mouth")


def attributes_of(person: Person, picture: Picture, parsing: np.ndarray) -> dict[str, float]:
    """The attributes as 0.0 or 1.0, in the order of ATTRIBUTES. What may be hidden (a necklace under hair,
    an earring outside the picture) counts only where the parsing map shows it."""
    seen = np.bincount(parsing.ravel(), minlength=len(LABELS))
    hair = person.hair_name
    bald = person.style == "bald"
    truth = {
        "eyeglasses": seen[EYE_G] > 0,
        "sunglasses": picture.glasses == "sun",
        "moustache": person.moustache > 0,
        "beard": person.beard > 0,
        "smiling": picture.smile > 0.4,
        "mouth_open": seen[MOUTH] > 0,
        "eyes_closed": picture.closed > 0.5,
        "hat": seen[HAT] > 0,
        "bangs": person.fringe and not bald and picture.hat == "none",
        "bald": bald,
        "young": person.age < 40,
        "child": person.age < 15,
        "male": person.male,
        "grey_hair": hair in ("grey", "white") and not bald,
        "blond_hair": hair in ("blond", "platinum") and not bald,
        "black_hair": hair == "black" and not bald,
        "brown_hair": hair in ("dark_brown", "brown", "light_brown") and not bald,
        "red_hair": hair == "red" and not bald,
        "long_hair": person.style in ("long", "wavy", "curly_long"),
        "curly_hair": person.style in ("curly_short", "curly_long"),
        "earrings": seen[EAR_R] > 0,
        "lipstick": picture.lipstick > 0.3,
        "make_up": person.make_up > 0.45,
        "necklace": seen[NECK_L] > 0,
        "pale_skin": person.tone < 0.1,
        "freckles": person.freckles > 0,
    }
    return {name: float(truth[name]) for name in ATTRIBUTES}
