"""Which other test image comes with a pair: one of the same person, or one of somebody else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replication.data.random_streams import stream
from replication.data.store import FaceStore
from replication.errors import InputError


def same_person(people: Sequence[np.ndarray]) -> dict[int, int]:
    """Image row -> row of the next image of the same person, of the first one for the last.

    ExGAN's benchmark: every image is the exemplar of exactly one other. Who has a single image has no exemplar, and is
    left out. people: the rows of each person's images.
    """
    return {
        int(row): int(following)
        for rows in people
        if len(rows) > 1
        for row, following in zip(rows, np.roll(rows, -1), strict=True)
    }


def other_person(people: Sequence[np.ndarray], *, seed: int) -> dict[int, int]:
    """Image row -> row of an image of another person, drawn evenly from all such images, from seed and row alone.

    Raises InputError for fewer than two people.
    """
    if len(people) < 2:
        raise InputError("an exemplar of another person needs test images of at least 2 people")
    rows = np.concatenate(people)
    person = np.repeat(np.arange(len(people)), [len(own) for own in people])
    chosen = {}
    for row, own in zip(rows.tolist(), person.tolist(), strict=True):
        rng = stream(seed, "exemplar of another person", row)
        while person[drawn := int(rng.integers(len(rows)))] == own:
            pass
        chosen[row] = int(rows[drawn])
    return chosen


def draw_exemplars(store: FaceStore, kind: str, *, seed: int) -> tuple[dict[int, int], dict[str, int]]:
    """Test image row -> row of its exemplar, and who is left out: images of unknown people, people with one image.

    kind: "same_identity" or "other_identity". The exemplar is the same in every bucket, whose holes alone differ.
    """
    people = store.people("test")
    left_out = {"images_of_unknown_people": len(store.rows("test")) - sum(map(len, people))}
    if kind == "other_identity":
        return other_person(people, seed=seed), left_out
    left_out["people_with_one_image"] = sum(len(rows) == 1 for rows in people)
    return same_person(people), left_out
