"""Holes at parts of the face: boxes over both eyes as ExGAN's data set has them, and fixed regions."""

from __future__ import annotations

import numpy as np
import pytest

from replication.data.drawn import drawn_chunks
from replication.data.holes import (
    REGIONS,
    box_holes,
    boxes_over_eyes,
    eye_boxes,
    eye_sides,
    points_of_labels,
    region_hole,
    region_holes,
)
from replication.data.labels import LABELS, mirror
from replication.data.store import Chunk, write_store
from replication.errors import InputError

POINTS = np.array([(24, 30), (40, 30), (32, 40), (26, 46), (38, 46)], np.float64)  # eyes 16 px apart, in 64 px


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    chunks = drawn_chunks("celebahq", 64, train=2, test=12, seed=1)
    return write_store(tmp_path_factory.mktemp("drawn") / "s", name="drawn", size=64, chunks=chunks, source={})


def test_sides_are_those_of_the_published_data_set():
    sides = np.array([eye_sides(0, row, 256) for row in range(4000)])
    assert sides.shape == (4000, 2, 2) and sides.min() == 48 and sides.max() == 96
    # int(|N(48, 24)|) stays below 49 for half of all draws, and those become 48.
    assert (sides == 48).mean() == pytest.approx(0.515, abs=0.01)
    assert sides.mean() == pytest.approx(57.1, abs=0.4)
    flat = sides.reshape(-1, 4)
    assert np.abs(np.corrcoef(flat.T) - np.eye(4)).max() < 0.06, "all four are drawn by themselves"
    for size in (128, 64):
        assert np.array_equal([eye_sides(0, row, size) for row in range(9)], np.rint(sides[:9] * size / 256))


def test_sides_follow_from_seed_and_row_alone():
    assert np.array_equal(eye_sides(3, 7, 256), eye_sides(3, 7, 256))
    others = {eye_sides(seed, row, 256).tobytes() for seed in range(4) for row in range(10)}
    assert len(others) == 40


def test_boxes_are_centred_and_cut_at_the_edge():
    eyes = np.array([[(20, 20), (40.4, 21)], [(2, 3), (-30, 8)]])
    sides = np.array([[(8, 6), (9, 4)], [(12, 12), (12, 12)]])
    boxes = eye_boxes(eyes, sides, 64)
    assert boxes[0].tolist() == [[16, 17, 24, 23], [36, 19, 45, 23]]
    assert boxes[1, 0].tolist() == [0, 0, 8, 9]
    assert boxes[1, 1, 2] == boxes[1, 1, 0] == 0, "no area outside of the image"


def test_a_hole_is_the_union_of_its_boxes():
    (hole,) = box_holes(np.array([[(2, 2, 6, 6), (4, 4, 9, 8)]]), 16)
    assert hole.dtype == np.uint8 and hole.sum() == 16 + 20 - 4
    assert hole[2:6, 2:6].all() and hole[4:8, 4:9].all()


def test_eyes_of_drawn_faces_are_under_their_boxes(drawn):
    rows = drawn.rows("test")
    boxes = boxes_over_eyes(drawn, rows, seed=0)
    holes = box_holes(boxes, 64)
    # Two boxes cover 10 % on average in the published data set, 7 to 28.1 %.
    assert holes.mean((1, 2)).min() > 0.06 and 0.08 < holes.mean() < 0.12
    for row, hole in zip(rows, holes, strict=True):
        eyes = np.isin(drawn.parsing[row], [LABELS.index("l_eye"), LABELS.index("r_eye")])
        assert hole[eyes].mean() > 0.9
    assert np.array_equal(boxes_over_eyes(drawn, rows[5:6], seed=0)[0], boxes[5])
    assert not np.array_equal(boxes_over_eyes(drawn, rows, seed=1), boxes)


def test_regions_by_hand():
    mouth = region_hole(POINTS, "mouth", 64)  # centre (32, 46), 25.6 by 14.4
    rows, columns = np.flatnonzero(mouth.any(1)), np.flatnonzero(mouth.any(0))
    assert (columns[0], columns[-1], rows[0], rows[-1]) == (19, 44, 39, 52) and mouth.sum() == 26 * 14
    eyes = region_hole(POINTS, "eyes", 64)  # centre (32, 27.6), 35.2 by 14.4
    rows, columns = np.flatnonzero(eyes.any(1)), np.flatnonzero(eyes.any(0))
    assert (columns[0], columns[-1], rows[0], rows[-1]) == (14, 49, 20, 34)
    nose = region_hole(POINTS, "nose", 64)  # centre (32, 40), 14.4 by 14.4
    assert nose.sum() == 14 * 14 and nose[33:47, 25:39].all()
    face = region_hole(POINTS, "face", 64)  # centre (32, 38.2), axes 38.4 and 51.2
    assert face.sum() == pytest.approx(np.pi * 19.2 * 25.6, rel=0.01)
    assert face[38, 32] and not face[13, 14]
    for part in (eyes, nose, mouth):
        assert part.dtype == np.uint8 and set(np.unique(part)) == {0, 1}
    with pytest.raises(InputError, match=r"^region 'ear': allowed are mouth, eyes, nose, face$"):
        region_hole(POINTS, "ear", 64)


def test_one_hole_a_region_at_the_median_of_the_landmarks(drawn):
    rows = drawn.rows("test")
    holes = region_holes(drawn, rows, ("face", "mouth"))
    median = np.median(drawn.landmarks[rows], axis=0)
    assert np.array_equal(holes, [region_hole(median, name, 64) for name in ("face", "mouth")])
    lips = np.isin(drawn.parsing[rows], [LABELS.index(name) for name in ("mouth", "u_lip", "l_lip")])
    assert np.broadcast_to(holes[1] > 0, lips.shape)[lips].mean() > 0.95
    assert np.broadcast_to(holes[0] > 0, lips.shape)[lips].mean() > 0.99


def test_label_maps_stand_in_for_landmarks(tmp_path, drawn):
    rows = drawn.index[["id", "split"]]
    labelled = write_store(
        tmp_path / "s", name="m", size=64, chunks=[Chunk(drawn.images[:], rows, drawn.parsing[:])], source={}
    )
    assert labelled.fields == {"image", "parsing"}
    test = drawn.rows("test")
    read = [points_of_labels(drawn.parsing[row]) for row in test]
    assert np.abs(np.median(read, axis=0) - np.median(drawn.landmarks[test], axis=0)).max() < 1.5
    for ours, known in zip(
        region_holes(labelled, test, tuple(REGIONS)), region_holes(drawn, test, tuple(REGIONS)), strict=True
    ):
        assert (ours & known).sum() / (ours | known).sum() > 0.8


def test_the_left_eye_is_the_left_one_in_the_picture(drawn):
    labels = np.asarray(drawn.parsing[drawn.rows("test")[0]])
    points, mirrored = points_of_labels(labels), points_of_labels(mirror(labels))
    assert points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0]
    assert mirrored[0] == pytest.approx([64 - points[1, 0], points[1, 1]])
    swapped = labels.copy()
    swapped[labels == LABELS.index("l_eye")], swapped[labels == LABELS.index("r_eye")] = (
        LABELS.index("r_eye"), LABELS.index("l_eye"),
    )  # fmt: skip
    assert np.array_equal(points_of_labels(swapped), points)


def test_hidden_parts(tmp_path, chunk):
    blank = chunk(0, 4, split="test")
    blank.parsing[:] = LABELS.index("skin")
    assert points_of_labels(blank.parsing[0]) is None
    blank.rows = blank.rows[["id", "split"]]
    store = write_store(tmp_path / "s", name="b", size=16, chunks=[blank], source={})
    with pytest.raises(InputError, match="no label map shows both eyes, nose and mouth"):
        region_holes(store, store.rows("test"), ("mouth",))


def test_a_region_outside_the_image_is_refused(tmp_path, chunk):
    far = chunk(0, 4, split="test")
    for column in [name for name in far.rows if name.startswith("mouth_") and name.endswith("_y")]:
        far.rows[column] = 90.0
    store = write_store(tmp_path / "s", name="b", size=16, chunks=[far], source={})
    with pytest.raises(InputError, match=r"the region 'mouth' covers 0% of the image at its landmarks"):
        region_holes(store, store.rows("test"), ("nose", "mouth"))
