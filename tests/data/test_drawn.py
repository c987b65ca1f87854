from __future__ import annotations

import numpy as np
import pytest

from replication.data import drawn
from replication.data.drawn import drawn_chunks
from replication.data.store import write_store
from replication.errors import InputError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    chunks = drawn_chunks("both", 32, train=10, test=5, seed=1)
    return write_store(tmp_path_factory.mktemp("d") / "s", name="drawn", size=32, chunks=chunks, source={})


def test_a_store_of_drawn_faces_has_every_field(store):
    assert store.fields == {"image", "parsing", "identity", "attributes", "landmarks", "boxes"}
    assert store.card["splits"] == {"train": 10, "test": 5}
    assert store.landmarks.min() > 0 and store.landmarks.max() < 32
    left_eye, right_eye, nose, mouth_left, mouth_right = np.median(store.landmarks, axis=0)
    assert left_eye[0] < nose[0] < right_eye[0] and mouth_left[0] < mouth_right[0] and mouth_left[1] > nose[1]


def test_labels_lie_where_the_landmarks_are(store):
    """Whoever mixed up columns, rows or the order of the points would not find the nose on the nose."""
    nose = np.floor(store.landmarks[:, 2]).astype(int)
    found = store.parsing[np.arange(len(store)), nose[:, 1], nose[:, 0]]
    assert (found == 10).mean() > 0.5


def test_people_are_kept_apart(store):
    assert store.card["identities"]["in_both_splits"] == 0
    assert store.card["identities"]["train"] >= 3


def test_halves_of_both_distributions_and_no_id_twice(store):
    train = store.index[store.index["split"] == "train"]
    assert train["id"].str.startswith("celebahq-").sum() == 5
    assert store.index["id"].is_unique


def test_bad_requests(monkeypatch):
    with pytest.raises(InputError, match="'lfw': allowed are celebahq, ffhq and both"):
        next(drawn_chunks("lfw", 32, train=1, test=1, seed=0))
    monkeypatch.setattr(drawn, "TEST_START", 8)
    with pytest.raises(InputError, match="train=9"):
        next(drawn_chunks("ffhq", 32, train=9, test=1, seed=0))
