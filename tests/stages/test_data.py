"""What preparing refuses before it begins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replication.config import PROFILES, load_parameters
from replication.errors import InputError
from replication.stages import data as prepare


def smoke(role: str, **values):
    p = load_parameters(PROFILES / "smoke.yaml")
    data = dataclasses.replace(p.data, **{role: dataclasses.replace(getattr(p.data, role), **values)})
    return dataclasses.replace(p, data=data)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """5 photos and a table with a single one of them for testing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "_workers", lambda: 1)
    Path("photos").mkdir()
    for k in range(5):
        noise = np.random.default_rng(k).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"photos/{k}.png")
    Path("one.csv").write_text("file,split\n0.png,test\n1.png,train\n2.png,train\n")
    Path("none.csv").write_text("file,split\n0.png,test\n1.png,test\n")
    return {"source": "photos", "folder": "photos", "train": None, "test": None}


@pytest.mark.parametrize("role", ["celebahq", "ffhq"])
def test_a_single_test_image_is_refused_before_work_is_done(photos, role):
    for values, sentence in (
        ({"table": "one.csv"}, f"data.{role}.folder: photos gives 1 test image, and at least 2 are needed"),
        ({"table": "none.csv"}, f"data.{role}.folder: photos gives 0 train images, and at least 1 is needed"),
        ({"test": 1}, f"data.{role}.test: at least 2 test images are needed to evaluate, got 1"),
        ({"source": "drawn", "distribution": "ffhq", "train": 4, "test": 1}, f"data.{role}.test: at least 2"),
    ):
        with pytest.raises(InputError, match=sentence):
            prepare.prepare_faces(smoke(role, **{**photos, **values}), role)
        assert not Path("data").exists() and not Path(".state").exists()


def test_a_skipped_photo_is_no_test_image(photos):
    Path("photos/3.png").write_bytes(b"no image")
    Path("two.csv").write_text("file,split\n0.png,test\n1.png,train\n2.png,train\n3.png,test\n")
    with pytest.raises(InputError, match="gives 1 test image, and at least 2 are needed"):
        prepare.prepare_faces(smoke("celebahq", **photos, table="two.csv", skip_corrupt=True), "celebahq")


def test_other_roles_may_do_without_test_images(photos):
    store = prepare.prepare_faces(smoke("attributes", **photos, table="one.csv"), "attributes")
    assert len(store.rows("test")) == 1
