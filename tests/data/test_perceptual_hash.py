from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from replication.data.drawn import drawn_chunks
from replication.data.perceptual_hash import (
    LARGEST_DISTANCE,
    SMALLEST_CORRELATION,
    close_pairs,
    correlation,
    nearest,
    perceptual_hash,
)


@pytest.fixture(scope="module")
def faces():
    return np.concatenate([c.images for c in drawn_chunks("both", 64, train=60, test=0, seed=1)])


def bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def jpeg(picture):
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=40)
    return Image.open(data)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda p: p.resize((32, 32), Image.Resampling.BICUBIC).resize((64, 64)),
        lambda p: ImageEnhance.Brightness(p).enhance(1.1),
        lambda p: p.rotate(0.7, Image.Resampling.BICUBIC),
    ],
)
def test_small_changes_keep_a_face_close(faces, change):
    for face in faces[:20]:
        other = np.asarray(change(Image.fromarray(face)))
        assert bits(perceptual_hash(face), perceptual_hash(other)) <= LARGEST_DISTANCE
        assert correlation(face, other) >= SMALLEST_CORRELATION


def test_different_faces_are_far_apart(faces):
    hashes = np.array([perceptual_hash(face) for face in faces], dtype=np.uint64)
    pairs = close_pairs(hashes[:30], hashes[30:], LARGEST_DISTANCE)
    assert all(correlation(faces[a], faces[30 + b]) < 0.995 for a, b, _ in pairs)
    distances = np.bitwise_count(hashes[:30, None] ^ hashes[None, 30:])
    assert distances.mean() > 20


def test_the_value_is_pinned():
    """Manifests of two machines have to agree."""
    y, x = np.mgrid[:64, :64]
    image = np.stack([x * 4, y * 4, (x * y) % 256], axis=-1).astype(np.uint8)
    assert f"{perceptual_hash(image):016x}" == PINNED
    assert perceptual_hash(np.full((64, 64, 3), 90, np.uint8)) == 0


PINNED = "050f1f3e78f070f1"


def test_nearest_and_close_pairs_are_those_of_all_pairs():
    rng = np.random.default_rng(3)
    one, other = (rng.integers(0, 2**12, n, dtype=np.uint64) for n in (57, 91))
    table = np.array([[bits(int(a), int(b)) for b in other] for a in one])
    places, distances = nearest(one, other)
    assert distances.tolist() == table.min(axis=1).tolist() and places.tolist() == table.argmin(axis=1).tolist()
    assert close_pairs(one, other, 2).tolist() == [[a, b, table[a, b]] for a, b in np.argwhere(table <= 2)]
    assert close_pairs(one[:0], other).shape == (0, 3)


def test_the_papers_set_takes_seconds():
    rng = np.random.default_rng(3)
    train, test = (rng.integers(0, 2**64, n, dtype=np.uint64) for n in (68_000, 2_000))
    test[7] = train[50_000] ^ np.uint64(0b101)
    began = time.process_time()
    assert [7, 50_000, 2] in close_pairs(test, train).tolist()
    assert nearest(test, train)[0][7] == 50_000
    assert time.process_time() - began < 20  # about 1


def test_correlation_of_flat_pictures():
    grey, white = np.full((40, 40, 3), 90, np.uint8), np.full((40, 40, 3), 255, np.uint8)
    assert correlation(grey, grey) == 1 and correlation(grey, white) == 0
