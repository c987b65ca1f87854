"""Where stages keep their files, and the root of a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from replication import paths
from replication.errors import InputError


def test_the_root_of_a_checkout_is_found_from_below(tmp_path, monkeypatch):
    (tmp_path / "replication").mkdir()
    (tmp_path / "dvc.yaml").write_text("")
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    assert paths.go_to_root() == Path.cwd() == tmp_path
    monkeypatch.chdir("/")
    with pytest.raises(InputError, match="is not inside a checkout of this suite"):
        paths.go_to_root()


def test_files_of_a_run():
    assert paths.training("mine", "encoder", 2) == "mine/encoder/seed_2"
    assert paths.model(paths.training("mine", "encoder")) == Path("data/models/mine/encoder/seed_0")
    assert paths.results("mine", 1) == Path("data/results/mine/seed_1")
    assert paths.pairs("eyes", "faces") == Path("data/pairs/eyes/faces.csv")
    assert paths.shared("system", "table", "faces") == Path("data/shared/system/table/faces")
    assert (paths.store("faces"), paths.masks("faces")) == (Path("data/prepared/faces"), Path("data/masks/faces"))
