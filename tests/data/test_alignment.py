from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from replication.data.alignment import cut_face, cut_labels, face_crop
from replication.data.drawn import drawn_chunks
from replication.data.photos import PhotoFolder
from replication.data.store import LANDMARK_COLUMNS
from replication.errors import InputError

MARKS = {0: (255, 0, 0), 1: (0, 255, 0), 3: (0, 0, 255), 4: (255, 255, 0)}  # point -> colour of its disc


@pytest.fixture(scope="module")
def drawn():
    """A drawn face of 256 px and its landmarks (5,2)."""
    chunk = next(iter(drawn_chunks("ffhq", 256, train=1, test=0, seed=5)))
    return chunk.images[0], chunk.rows[list(LANDMARK_COLUMNS)].to_numpy(dtype=float).reshape(5, 2)


def in_a_photo(face, points, *, degrees, scale, at, shape=(900, 1100)):
    """The face turned about its centre, enlarged and put at `at` in a photo; where its landmarks are there."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = np.linalg.inv(turn)
    shift = np.array([128.0, 128.0]) - back @ at
    picture = Image.fromarray(face).transform(
        shape[::-1],
        Image.Transform.AFFINE,
        (*back[0], shift[0], *back[1], shift[1]),
        Image.Resampling.BICUBIC,
        fillcolor=(90, 120, 150),
    )
    return picture, (points - 128) @ turn.T + at


def with_discs(picture, points, radius):
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for k, colour in MARKS.items():
        # PIL's coordinates name pixel centres
        draw.ellipse([*(points[k] - 0.5 - radius), *(points[k] - 0.5 + radius)], fill=colour)
    return picture


def disc(image, colour):
    """Centre of the pixels of one pure colour, from the corner of the picture."""
    y, x = np.nonzero((np.abs(image.astype(int) - colour).max(axis=-1)) < 90)
    return np.array([x.mean() + 0.5, y.mean() + 0.5])


@pytest.mark.parametrize("alignment", ["ffhq", "celebahq"])
@pytest.mark.parametrize(
    "degrees, scale, at", [(0, 2.0, (550, 450)), (25, 1.5, (500, 500)), (-40, 0.8, (700, 400)), (10, 2.5, (330, 300))]
)
def test_eyes_and_mouth_land_where_the_formula_puts_them(drawn, alignment, degrees, scale, at):
    face, points = drawn
    picture, there = in_a_photo(face, points, degrees=degrees, scale=scale, at=np.array(at, dtype=float))
    picture = with_discs(picture.convert("L").convert("RGB"), there, radius=7 * scale)  # only discs have colour
    size = 128
    crop = face_crop(there, alignment, "photo")
    image = cut_face(picture, crop, size, alignment)
    moved = crop.points(there, size)
    # where the formula wants them, by the distances alone: no turn is left, whatever the turn was
    plain = face_crop(points, "ffhq", "photo").points(points, size)
    shift = 0.5 * size / crop.side if alignment == "celebahq" else 0.0
    assert np.abs(moved - plain).max() < 0.01 + 1.5 * shift
    for k, colour in MARKS.items():
        found = disc(image, colour)
        assert np.hypot(*(found - moved[k])) < 1
        assert alignment != "ffhq" or np.hypot(*(found - plain[k])) < 1
    assert abs(moved[0, 1] - moved[1, 1]) < 12 and moved[0, 0] < size / 2 < moved[1, 0]


def test_the_square_is_that_of_ffhq():
    """Eyes 64 apart on a line, mouth 64 below: 4 eye distances wide, a tenth of the way down."""
    points = np.array([[96, 120], [160, 120], [128, 150], [100, 184], [156, 184]], dtype=float)
    crop = face_crop(points, "ffhq", "photo")
    assert crop.side == pytest.approx(256) and crop.corner == pytest.approx([0, 120 + 6.4 - 128])
    assert crop.quad == pytest.approx(np.array([[0, -1.6], [0, 254.4], [256, 254.4], [256, -1.6]]))
    assert face_crop(points, "celebahq", "photo").corner == pytest.approx([0.5, -1.1])
    tall = points + np.array([[0, 0], [0, 0], [0, 0], [0, 30], [0, 30]])
    assert face_crop(tall, "ffhq", "photo").side == pytest.approx(3.6 * 94)


def test_borders_are_mirrored_and_fade_without_black_corners(drawn):
    face, points = drawn
    bright = np.maximum(face, 60)
    crop = face_crop(points + 70, "ffhq", "photo")  # the crop reaches far over the right and lower border
    image = cut_face(Image.fromarray(bright), crop, 96, "ffhq")
    assert image.min() > 30 and image[-3:, -3:].std(axis=(0, 1)).max() < 4


def test_a_large_photo_is_reduced_without_aliasing(drawn):
    _, points = drawn
    stripes = np.zeros((2048, 2048, 3), np.uint8)
    stripes[:, ::2] = 255
    image = cut_face(Image.fromarray(stripes), face_crop(points * 8, "ffhq", "photo"), 64, "ffhq")
    assert np.abs(image[20:44, 20:44].astype(int) - 128).max() < 30


def test_the_filter_of_the_last_step_is_chosen(drawn):
    """A dot on a pixel that a box shares out within its square, and Lanczos beyond it."""
    _, points = drawn
    crop = face_crop(points, "ffhq", "photo")
    dot = np.zeros((256, 256, 3), np.uint8)
    dot[crop.quad[0, 1].astype(int) + 130, 130] = 255
    lit = {
        name: (cut_face(Image.fromarray(dot), crop, 64, "ffhq", name) > 0).any(-1).sum() for name in ("box", "lanczos")
    }
    assert 0 < lit["box"] < lit["lanczos"]
    default = cut_face(Image.fromarray(dot), crop, 64, "ffhq")
    assert np.array_equal(default, cut_face(Image.fromarray(dot), crop, 64, "ffhq", "lanczos"))


def test_small_faces_are_enlarged(drawn):
    face, points = drawn
    small = Image.fromarray(face).resize((64, 64), Image.Resampling.LANCZOS)
    for alignment in ("ffhq", "celebahq"):
        crop = face_crop(points / 4, alignment, "photo")
        assert cut_face(small, crop, 128, alignment).shape == (128, 128, 3)


def test_label_maps_follow_by_nearest_neighbour(drawn):
    face, points = drawn
    labels = np.zeros((450, 550), np.uint8)  # half the photo's resolution
    picture, there = in_a_photo(face, points, degrees=20, scale=1.6, at=np.array([560.0, 450.0]))
    map_picture = Image.fromarray(labels)
    draw = ImageDraw.Draw(map_picture)
    for k in (0, 1):
        draw.ellipse([*(there[k] / 2 - 6.5), *(there[k] / 2 + 5.5)], fill=4 + k)
    crop = face_crop(there, "ffhq", "photo")
    cut = cut_labels(map_picture, picture.size, crop, 128)
    assert set(np.unique(cut)) == {0, 4, 5}
    for k in (0, 1):
        y, x = np.nonzero(cut == 4 + k)
        assert np.hypot(*(np.array([x.mean(), y.mean()]) + 0.5 - crop.points(there, 128)[k])) < 1
    beyond = face_crop(there - [500, 400], "ffhq", "photo")
    outside = cut_labels(Image.fromarray(labels + 3), picture.size, beyond, 64)
    assert outside[0, 0] == 0 and outside[-1, -1] == 3


def photos_with_table(tmp_path, points, size=(300, 280), **table):
    folder = tmp_path / "photos"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    lines = []
    for k, own in enumerate(points):
        noise = rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{k}.png")
        lines.append([f"{k}.png", "train" if k else "test", *np.ravel(own)])
    frame = pd.DataFrame(lines, columns=["file", "split", *LANDMARK_COLUMNS])
    frame.to_csv(tmp_path / "t.csv", index=False)
    return folder, tmp_path / "t.csv"


GOOD = np.array([[120, 110], [180, 110], [150, 140], [125, 170], [175, 170]], dtype=float)


def test_a_folder_is_aligned_with_its_landmarks(tmp_path):
    folder, table = photos_with_table(tmp_path, [GOOD, GOOD + 8])
    photos = PhotoFolder(folder, size=64, table=table, align="ffhq")
    (chunk,) = photos.chunks()
    points = chunk.rows[list(LANDMARK_COLUMNS)].to_numpy().reshape(2, 5, 2)
    assert points[0] == pytest.approx(points[1], abs=0.01)
    assert points[0, :2] == pytest.approx(np.array([[24, 30.4], [40, 30.4]]), abs=0.01)
    assert photos.source["alignment"] == "ffhq" and "FFHQ's crop" in photos.source["resize"]


@pytest.mark.parametrize(
    "points, options, message",
    [
        (
            GOOD + np.array([[0, 0], [0, 0], [300, 0], [0, 0], [0, 0]]),
            {},
            r"landmark nose of photo .*0\.png is at \(450, 140\), out",
        ),
        (GOOD[[1, 0, 2, 4, 3]], {"align": "ffhq"}, r"landmarks of photo .*0\.png are not those of an upright face"),
        (GOOD * 0 + 100, {"align": "celebahq"}, r"landmarks of photo .*0\.png are not those"),
        (
            GOOD,
            {"align": "ffhq", "size": 256},
            r"0\.png shows its face 240 pixels wide, smaller than the target of 256",
        ),
    ],
)
def test_landmarks_that_cannot_be_used(tmp_path, points, options, message):
    folder, table = photos_with_table(tmp_path, [points, GOOD])
    with pytest.raises(InputError, match=message):
        list(PhotoFolder(folder, table=table, **{"size": 64} | options).chunks())


def test_alignment_needs_landmarks(tmp_path):
    folder, _ = photos_with_table(tmp_path, [GOOD])
    with pytest.raises(InputError, match="align='ffhq': needs a table with the ten landmark columns"):
        PhotoFolder(folder, size=64, align="ffhq")
    with pytest.raises(InputError, match="align='dlib': allowed are none, ffhq, celebahq"):
        PhotoFolder(folder, size=64, align="dlib")
