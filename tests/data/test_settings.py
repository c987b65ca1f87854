"""What a section of params.yaml on a set of photos may say, and what is refused with its key."""

from __future__ import annotations

import pytest

from replication.data.settings import Photos
from replication.settings import Faults, read

GOOD = {"source": "photos", "title": "p", "folder": "f", "table": "t.csv"}


def test_defaults_are_what_they_always_were():
    data = read(Photos, GOOD)
    assert data.resize == "lanczos" and data.splits is None


FAULTS = {
    "another filter": ({"resize": "bicubic"}, "resize: must be one of lanczos, box, got 'bicubic'"),
    "no mapping": ({"splits": "val"}, "splits: must be a mapping, got 'val'"),
    "another use": ({"splits": {"train": "train", "val": "measure"}}, "splits.val: must be one of train, test, unused"),
    "a number as name": ({"splits": {0: "train", "1": "test"}}, "splits.0: a name must be a text, got 0"),
    "nothing to measure": ({"splits": {"train": "train", "val": "unused"}}, "splits: one name at least has to become"),
    "capitals": ({"splits": {"Train": "train", "test": "test"}}, "splits.Train: names are compared in small letters"),
    "no table": ({"splits": {"train": "train", "val": "test"}, "table": None}, "table: needed with a column split"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name):
    values, words = FAULTS[name]
    with pytest.raises(Faults) as caught:
        read(Photos, GOOD | values)
    assert str(caught.value).startswith(words)
