from __future__ import annotations

import hashlib

import numpy as np
import pytest

from replication.data.parallel import ordered_map
from replication.data.random_streams import stream
from replication.data.row_files import RowWriter, hash_rows, open_rows
from replication.errors import InputError


def double(x: int) -> int:
    if x == 7:
        raise InputError("seven")
    return 2 * x


def test_rows_appended_are_an_ordinary_npy_file(tmp_path):
    rows = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    with RowWriter(tmp_path / "r.npy", (2, 2), np.uint8) as file:
        file.append(rows[:1])
        file.append(rows[1:1])
        file.append(rows[1:])
        with pytest.raises(ValueError):
            file.append(rows.astype(np.int16))
    assert np.array_equal(np.load(tmp_path / "r.npy", allow_pickle=False), rows)
    mapped = open_rows(tmp_path / "r.npy", (6, 2, 2), "file")
    assert isinstance(mapped, np.memmap)
    assert file.sha256 == hash_rows(mapped, chunk=4) == hashlib.sha256(rows.tobytes()).hexdigest()
    with pytest.raises(InputError, match="damaged"):
        open_rows(tmp_path / "r.npy", (5, 2, 2), "file")


def test_a_file_is_gone_on_with_behind_the_rows_that_stay(tmp_path):
    rows = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
    with RowWriter(tmp_path / "r.npy", (2, 2), np.uint8) as file:
        file.append(rows[:4])
        file.append(rows[:3])  # these go
    with RowWriter(tmp_path / "r.npy", (2, 2), np.uint8, keep=4) as file:
        file.append(rows[4:])
    assert np.array_equal(np.load(tmp_path / "r.npy", allow_pickle=False), rows)
    assert file.sha256 == hashlib.sha256(rows.tobytes()).hexdigest() and file.rows == 10
    with pytest.raises(ValueError, match="fewer than the 11 rows"):
        RowWriter(tmp_path / "r.npy", (2, 2), np.uint8, keep=11)


def test_ordered_map_keeps_order_and_errors():
    assert list(ordered_map(double, range(5))) == [0, 2, 4, 6, 8]
    with pytest.raises(InputError, match="seven"):
        list(ordered_map(double, range(9)))


def test_several_processes_give_the_same_in_the_same_order():
    results = ordered_map(double, range(20), workers=2)
    assert [next(results) for _ in range(7)] == [0, 2, 4, 6, 8, 10, 12]
    with pytest.raises(InputError, match="seven"):
        next(results)


def test_streams_differ_by_seed_purpose_and_index_only():
    first = stream(1, "a", 2).random(4)
    assert np.array_equal(stream(1, "a", 2).random(4), first)
    for other in (stream(2, "a", 2), stream(1, "b", 2), stream(1, "a", 3)):
        assert not np.array_equal(other.random(4), first)
    with pytest.raises(InputError, match="seed=-1"):
        stream(-1, "a")
