"""Files that are whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from replication.atomic import atomic_file, atomic_folder, write_json, write_text


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_in_a_folder_that_is_made(tmp_path):
    target = tmp_path / "a" / "b" / "table.csv"
    with atomic_file(target) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == ".csv"
        temporary.write_text("1,2\n")
        assert not target.exists()
    assert target.read_text() == "1,2\n" and names(target.parent) == ["table.csv"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "card.json"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="disk"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk")
    assert target.read_text() == "old" and names(tmp_path) == ["card.json"]


def test_an_interrupt_counts_as_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_reader_of_the_old_file_keeps_it(tmp_path):
    """Replaced, not overwritten: no reader ever sees half of each."""
    target = tmp_path / "x"
    target.write_text("old")
    with target.open() as reader:
        write_text(target, "new and longer")
        assert reader.read() == "old"
    assert target.read_text() == "new and longer"


def test_mode_bits_follow_the_umask(tmp_path, umask):
    write_text(tmp_path / "x.txt", "shared")
    assert stat.S_IMODE((tmp_path / "x.txt").stat().st_mode) == 0o666 & ~umask
    assert os.umask(umask) == umask  # and the umask is as it was


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "stale").write_text("old")
    with atomic_folder(target) as temporary:
        (temporary / "weights").write_text("new")
        assert names(target) == ["stale"]
    assert names(target) == ["weights"] and names(tmp_path) == ["model"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o500 == 0o500


def test_a_failing_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "deep" / "model"
    target.mkdir(parents=True)
    (target / "weights").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        (temporary / "weights").write_text("half")
        raise RuntimeError
    assert (target / "weights").read_text() == "old" and names(target.parent) == ["model"]


def test_text_is_utf_8_with_unix_line_ends(tmp_path):
    write_text(tmp_path / "x", "é\n")
    assert (tmp_path / "x").read_bytes() == b"\xc3\xa9\n"


def test_json_keeps_the_order_of_keys_and_ends_with_a_line_break(tmp_path):
    write_json(tmp_path / "x.json", {"b": 1, "a": [1.5, None]})
    assert (tmp_path / "x.json").read_text() == '{\n  "b": 1,\n  "a": [\n    1.5,\n    null\n  ]\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_is_no_json_and_keeps_the_old_file(tmp_path, value):
    path = tmp_path / "x.json"
    write_json(path, {"fd": 1.0})
    with pytest.raises(ValueError):
        write_json(path, {"fd": [value]})
    assert json.loads(path.read_text()) == {"fd": 1.0} and names(tmp_path) == ["x.json"]


def test_a_failed_rename_gives_the_old_folder_back(tmp_path, monkeypatch):
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    real = os.replace

    def failing(source, destination):
        if Path(source).name.startswith(".model.") and not Path(source).name.endswith("replaced"):
            raise OSError(5, "input/output error")
        real(source, destination)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="input/output"), atomic_folder(target) as folder:
        (folder / "new").touch()
    assert names(target) == ["old"] and names(tmp_path) == ["model"]


def test_a_link_stays_and_the_folder_that_it_names_is_replaced(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "big")
    with atomic_folder(tmp_path / "link") as folder:
        (folder / "new").touch()
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "big") == ["new"]


@pytest.mark.parametrize("point", ["before the old one is renamed", "before the new one is", "while the old one goes"])
def test_a_folder_that_a_killed_process_was_replacing_is_never_half_of_each(tmp_path, monkeypatch, point):
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    real, calls = os.replace, []

    def killed_replace(source, destination):
        calls.append(source)
        if len(calls) == {"before the old one is renamed": 1, "before the new one is": 2}.get(point):
            raise SystemExit
        real(source, destination)

    def killed_removal(folder, **_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed_replace)
        patch.setattr(shutil, "rmtree", killed_removal)
        with pytest.raises(SystemExit), atomic_folder(target) as folder:
            (folder / "new").touch()
    found = names(target) if target.exists() else []
    assert found == {"before the old one is renamed": ["old"], "before the new one is": []}.get(point, ["new"])
    shutil.rmtree(folder, ignore_errors=True)  # its name is random: a process that ends so leaves it
    with atomic_folder(target) as folder:
        (folder / "newer").touch()
    assert names(target) == ["newer"] and names(tmp_path) == ["model"]
