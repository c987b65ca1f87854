"""Drawn faces are deterministic, their labels tell the truth, and identities and distributions differ."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from replication.data.drawn_faces import ATTRIBUTES, BOXES, DISTRIBUTIONS, LABELS, draw_face, draw_faces
from replication.errors import InputError

LABEL = {name: value for value, name in enumerate(LABELS)}


def gather(distribution: str, count: int = 160, seed: int = 3, pictures: int = 4, size: int = 64) -> dict:
    batches = list(
        draw_faces(0, count, distribution=distribution, size=size, seed=seed, pictures_per_identity=pictures)
    )
    fields = ("images", "parsing", "identities", "attributes", "landmarks", "boxes")
    return {name: np.concatenate([getattr(b, name) for b in batches]) for name in fields}


@pytest.fixture(scope="module", params=DISTRIBUTIONS)
def faces(request) -> dict:
    return gather(request.param)


@pytest.fixture(scope="module")
def both() -> dict[str, dict]:
    return {name: gather(name, count=240, pictures=1) for name in DISTRIBUTIONS}


def flag(faces: dict, name: str) -> np.ndarray:
    return faces["attributes"][:, ATTRIBUTES.index(name)] > 0.5


def area(faces: dict, name: str) -> np.ndarray:
    return (faces["parsing"] == LABEL[name]).sum((1, 2))


def test_the_same_seeds_give_the_same_bytes() -> None:
    first, second = (draw_face(7, 2, distribution="ffhq", size=64) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.parsing.tobytes() == second.parsing.tobytes()
    assert first.attributes == second.attributes and first.boxes == second.boxes
    other = draw_face(7, 3, distribution="ffhq", size=64)
    assert first.image.tobytes() != other.image.tobytes()


def test_a_face_does_not_depend_on_start_batch_or_workers() -> None:
    def digests(start: int, count: int, **options: int) -> dict[int, str]:
        stream = draw_faces(start, count, distribution="celebahq", size=32, seed=11, **options)
        return {
            batch.start + row: hashlib.sha256(image.tobytes() + labels.tobytes()).hexdigest()
            for batch in stream
            for row, (image, labels) in enumerate(zip(batch.images, batch.parsing, strict=True))
        }

    whole = digests(0, 14)
    assert list(whole) == list(range(14)) and len(set(whole.values())) == 14
    assert digests(0, 14, batch=3) == whole
    assert digests(0, 14, batch=4, workers=2) == whole
    assert digests(5, 6, batch=5) == {index: whole[index] for index in range(5, 11)}


def test_the_stream_names_people_by_seed_and_index() -> None:
    batch = next(draw_faces(6, 4, distribution="ffhq", size=32, seed=2, pictures_per_identity=4))
    assert batch.identities.tolist() == [2_000_001, 2_000_001, 2_000_002, 2_000_002]
    same = draw_face(2_000_001, 2, distribution="ffhq", size=32)
    assert (batch.images[0] == same.image).all() and (batch.parsing[0] == same.parsing).all()


def test_labels_are_the_celebamask_set_and_every_face_has_its_parts(faces) -> None:
    assert faces["parsing"].dtype == np.uint8 and faces["parsing"].max() <= 18
    for name in ("background", "skin", "nose", "l_lip"):
        assert (area(faces, name) > 0).all(), name
    for name in ("l_brow", "r_brow", "neck", "cloth", "u_lip"):
        assert (area(faces, name) > 0).mean() > 0.9, name
    eyes_seen = ~flag(faces, "sunglasses")
    for name in ("l_eye", "r_eye"):
        assert (area(faces, name)[eyes_seen] > 0).mean() > 0.9, name


@pytest.mark.parametrize(
    ("attribute", "label"),
    [
        ("eyeglasses", "eye_g"),
        ("hat", "hat"),
        ("earrings", "ear_r"),
        ("necklace", "neck_l"),
        ("mouth_open", "mouth"),
    ],
)
def test_labels_agree_with_attributes(faces, attribute: str, label: str) -> None:
    assert (flag(faces, attribute) == (area(faces, label) > 0)).all()


def test_sunglasses_hide_the_eyes_and_bald_heads_have_little_hair(faces) -> None:
    dark = flag(faces, "sunglasses")
    assert (area(faces, "l_eye") + area(faces, "r_eye"))[dark].sum() == 0
    assert (flag(faces, "eyeglasses") | ~dark).all()
    bald = flag(faces, "bald")
    if bald.any():
        assert area(faces, "hair")[bald].mean() < 0.5 * area(faces, "hair")[~bald].mean()


def test_eye_labels_lie_at_the_landmarks_and_left_is_the_subjects_left(faces) -> None:
    rows, columns = np.mgrid[:64, :64] + 0.5
    for name, place in (("r_eye", 0), ("l_eye", 1)):
        for labels, landmarks in zip(faces["parsing"], faces["landmarks"], strict=True):
            inside = labels == LABEL[name]
            if inside.sum() >= 5:
                centre = np.array([columns[inside].mean(), rows[inside].mean()])
                assert np.abs(centre - landmarks[place]).max() < 2.5
    mean = faces["landmarks"].mean(0) / 64
    assert np.abs(mean[:2] - [(0.375, 0.475), (0.625, 0.475)]).max() < 0.01
    assert mean[0, 0] < mean[2, 0] < mean[1, 0] and mean[3, 0] < mean[4, 0] and mean[3, 1] > mean[2, 1]


def test_boxes_hold_the_labelled_eyes_and_mouth(faces) -> None:
    parts = {
        "left_eye": ("r_eye",), "right_eye": ("l_eye",), "eyes": ("l_eye", "r_eye"),
        "mouth": ("mouth", "u_lip", "l_lip"),
    }  # fmt: skip
    for place, box_name in enumerate(BOXES):
        for labels, box in zip(faces["parsing"], faces["boxes"][:, place], strict=True):
            x0, y0, x1, y1 = box
            assert 0 <= x0 < x1 <= 64 and 0 <= y0 < y1 <= 64
            inside = np.isin(labels, [LABEL[name] for name in parts[box_name]])
            assert inside[y0:y1, x0:x1].sum() >= 0.97 * inside.sum(), box_name


def test_pictures_of_one_person_share_hair_and_skin(faces) -> None:
    def colours(name: str) -> np.ndarray:
        inside = (faces["parsing"] == LABEL[name])[..., None]
        return (faces["images"] * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)

    people = faces["identities"]
    same = (people[:, None] == people) & ~np.eye(len(people), dtype=bool)
    for name in ("skin", "hair"):
        colour = colours(name)
        seen = area(faces, name) > 60
        pairs = seen[:, None] & seen
        distance = np.linalg.norm(colour[:, None] - colour, axis=-1)
        assert distance[same & pairs].mean() < 0.6 * distance[(people[:, None] != people) & pairs].mean(), name
    for name in ("male", "young", "bald", "moustache", "beard"):
        values = flag(faces, name)
        assert (values[:, None] == values)[same].all(), name


def test_the_distributions_differ(both) -> None:
    studio, wild = both["celebahq"], both["ffhq"]
    for name in ("eyeglasses", "hat", "child", "grey_hair"):
        assert flag(wild, name).mean() > flag(studio, name).mean() + 0.05, name
    for name in ("young", "make_up", "lipstick"):
        assert flag(studio, name).mean() > flag(wild, name).mean() + 0.1, name
    turn = {name: faces["landmarks"][:, 2, 0].std() for name, faces in both.items()}
    assert turn["ffhq"] > 1.3 * turn["celebahq"]
    misaligned = {name: faces["landmarks"][:, 0].std(0).max() for name, faces in both.items()}
    assert misaligned["ffhq"] > 1.5 * misaligned["celebahq"]

    def background_contrast(faces: dict) -> float:
        luminance = faces["images"].mean(-1)
        return float(np.mean([x[y == 0].std() for x, y in zip(luminance, faces["parsing"], strict=True)]))

    assert background_contrast(wild) > 1.2 * background_contrast(studio)


@pytest.mark.parametrize("size", [32, 47, 64, 100, 128, 256, 511, 512])
def test_every_size_works(size: int) -> None:
    face = draw_face(5, 1, distribution="ffhq", size=size)
    assert face.image.shape == (size, size, 3) and face.image.dtype == np.uint8
    assert face.parsing.shape == (size, size) and face.parsing.dtype == np.uint8
    assert face.landmarks.shape == (5, 2) and face.landmarks.dtype == np.float32
    assert face.image.std() > 20
    assert {"skin", "nose", "hair", "cloth"} <= {LABELS[k] for k in np.unique(face.parsing)}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_large_face_scaled_down_is_the_small_face(distribution: str) -> None:
    for identity in range(6):
        small = draw_face(identity, 0, distribution=distribution, size=64)
        large = draw_face(identity, 0, distribution=distribution, size=256)
        down = large.image.reshape(64, 4, 64, 4, 3).astype(float).mean((1, 3))
        assert np.abs(down - small.image).mean() < 8
        assert np.corrcoef(down.ravel(), small.image.ravel())[0, 1] > 0.97
        assert (large.parsing[2::4, 2::4] == small.parsing).mean() > 0.93
        assert np.abs(large.landmarks / 4 - small.landmarks).max() < 0.6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distribution": "lfw"}, "distribution is 'lfw'; it must be one of celebahq, ffhq"),
        ({"size": 31}, "size is 31; it must be a whole number from 32 to 512"),
        ({"size": 513}, "size is 513"),
        ({"size": 64.0}, "size is 64.0"),
        ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"pictures_per_identity": 0}, "pictures_per_identity is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"start": 10**7}, "1000000 people only"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(change: dict, words: str) -> None:
    arguments = {"start": 0, "count": 4, "distribution": "ffhq", "size": 64, "seed": 0} | change
    start, count = arguments.pop("start"), arguments.pop("count")
    with pytest.raises(InputError, match=words):
        draw_faces(start, count, **arguments)


def test_a_negative_identity_is_refused() -> None:
    with pytest.raises(InputError, match="identity is -1"):
        draw_face(-1, 0, distribution="ffhq", size=64)


def test_the_renderer_needs_no_torch() -> None:
    code = "import sys, replication.data.drawn_faces; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
