from __future__ import annotations

import numpy as np
import pytest

from replication.data.exemplars import draw_exemplars, other_person, same_person
from replication.data.store import write_store
from replication.errors import InputError


def people(*sizes: int) -> list[np.ndarray]:
    """Rows 10, 11, ... of people with so many images each, interleaved."""
    owners = np.concatenate([np.full(size, k) for k, size in enumerate(sizes)])
    owners = np.random.default_rng(0).permutation(owners)
    return [10 + np.flatnonzero(owners == k) for k in range(len(sizes))]


def test_the_next_image_of_the_same_person_and_the_first_after_the_last():
    assert same_person([np.array([4, 7, 9]), np.array([5, 6]), np.array([8])]) == {4: 7, 7: 9, 9: 4, 5: 6, 6: 5}


def test_every_image_is_one_exemplar_and_never_its_own():
    groups = people(2, 5, 1, 3)
    found = same_person(groups)
    together = sorted(int(row) for rows in groups if len(rows) > 1 for row in rows)
    assert sorted(found) == sorted(found.values()) == together
    owner = {int(row): k for k, rows in enumerate(groups) for row in rows}
    assert all(row != other and owner[row] == owner[other] for row, other in found.items())


def test_another_person_is_never_the_same_and_follows_from_seed_and_row():
    groups = people(6, 1, 3, 2)
    owner = {int(row): k for k, rows in enumerate(groups) for row in rows}
    found = other_person(groups, seed=1)
    assert sorted(found) == sorted(owner)
    assert all(owner[row] != owner[other] for row, other in found.items())
    assert other_person(groups, seed=1) == found != other_person(groups, seed=2)
    chosen = np.array([other_person(groups, seed=seed)[int(groups[1][0])] for seed in range(900)])
    shares = [np.isin(chosen, rows).mean() for rows in groups]  # evenly over images: by 6, 0, 3 and 2 of 11
    assert shares == pytest.approx([6 / 11, 0, 3 / 11, 2 / 11], abs=0.06)
    with pytest.raises(InputError, match="at least 2 people"):
        other_person(groups[:1], seed=0)


def test_unknown_and_single_people_are_left_out_and_counted(tmp_path, chunk):
    faces = chunk(0, 9, split="test")
    faces.rows["identity"] = ["a", "a", "", "b", "c", "c", "c", "", "d"]
    extra = chunk(9, 2)  # training images of a person: no exemplars of test images
    extra.rows["identity"] = ["b", "b"]
    store = write_store(tmp_path / "s", name="n", size=16, chunks=[faces, extra], source={})
    assert [rows.tolist() for rows in store.people("test")] == [[0, 1], [3], [4, 5, 6], [8]]
    assert [rows.tolist() for rows in store.people("train")] == [[9, 10]]
    same, left_out = draw_exemplars(store, "same_identity", seed=0)
    assert same == {0: 1, 1: 0, 4: 5, 5: 6, 6: 4}
    assert left_out == {"images_of_unknown_people": 2, "people_with_one_image": 2}
    other, left_out = draw_exemplars(store, "other_identity", seed=0)
    assert sorted(other) == [0, 1, 3, 4, 5, 6, 8] and left_out == {"images_of_unknown_people": 2}
    assert not set(other.values()) & {2, 7}


def test_people_need_identities(tmp_path, chunk):
    plain = chunk(0, 4, split="test")
    plain.rows = plain.rows[["id", "split"]]
    store = write_store(tmp_path / "s", name="n", size=16, chunks=[plain], source={})
    with pytest.raises(InputError, match="has no identity; it has image, parsing"):
        store.people("test")
