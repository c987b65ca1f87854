"""The history as a file."""

from __future__ import annotations

import pytest

from replication.training.history import History, read, to_csv


@pytest.fixture
def path(tmp_path):
    history = History(tmp_path / "history.jsonl", 0)
    for step in range(1, 6):
        history.append(step, 8 * step, 0.1 * step, {"loss": 1 / step})
    history.close()
    return history.path


def test_half_written_line_is_ignored(path):
    path.write_bytes(path.read_bytes()[:-5])
    assert [row["step"] for row in read(path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("cut", [0, 5])
def test_resume_cuts_and_goes_on(path, cut):
    path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
    history = History(path, keep_until=3)
    assert history.rows == 3
    history.append(4, 32, 9.0, {"loss": 0.0})
    assert [(row["step"], row["loss"]) for row in read(path)] == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.0)]


def test_start_from_zero_empties(path):
    assert History(path, keep_until=0).rows == 0
    assert path.read_bytes() == b""


def test_csv(tmp_path):
    history = History(tmp_path / "history.jsonl", 0)
    history.append(1, 8, 0.12345, {"g": 0.1, "d": 2.0})
    history.append(2, 16, 0.2, {"g": float("nan"), "r1": 3.0})
    to_csv(history.path, tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == ("step,images_seen,g,d,r1\n1,8,0.1,2.0,\n2,16,,,3.0\n")


def test_absent_history_is_empty(tmp_path):
    assert read(tmp_path / "nothing.jsonl") == []
