"""What preparing refuses before it begins, masks of several sizes, and the pairs of each protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replication import paths
from replication.config import parameters_of
from replication.data.masks import BUCKETS, MaskStore
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.errors import InputError
from replication.profile_files import profile_text
from replication.stages import faces as faces_stage
from replication.stages import holes as holes_stage
from replication.yaml_files import parse_yaml


def smoke(data=None, protocols=None, **values):
    """The profile `smoke` with other data sets, protocols and top-level values."""
    content = parse_yaml(profile_text("smoke"), "smoke")
    content["data"] |= data or {}
    content["protocols"] |= protocols or {}
    return parameters_of(content | values)


def of(name: str, values: dict):
    """The profile with one data set of these values."""
    return smoke({name: {"title": "p"} | values})


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """5 photos and a table with a single one of them for testing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(faces_stage, "usable_processors", lambda: 1)
    monkeypatch.setattr(holes_stage, "usable_processors", lambda: 1)
    Path("photos").mkdir()
    for k in range(5):
        noise = np.random.default_rng(k).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"photos/{k}.png")
    Path("one.csv").write_text("file,split\n0.png,test\n1.png,train\n2.png,train\n")
    Path("none.csv").write_text("file,split\n0.png,test\n1.png,test\n")
    return {"source": "photos", "folder": "photos", "train": None, "test": None}


@pytest.mark.parametrize("dataset", ["celebahq", "ffhq"])
def test_a_single_test_image_is_refused_before_work_is_done(photos, dataset):
    for values, sentence in (
        ({"table": "one.csv"}, f"data.{dataset}.folder: photos gives 1 test image, and at least 2 are needed"),
        ({"table": "none.csv"}, f"data.{dataset}.folder: photos gives 0 train images, and at least 1 is needed"),
        ({"test": 1}, f"data.{dataset}.test: at least 2 test images are needed to evaluate, got 1"),
    ):
        with pytest.raises(InputError, match=sentence):
            faces_stage.prepare_faces(of(dataset, photos | values), dataset)
        assert not Path("data").exists() and not Path(".state").exists()
    with pytest.raises(InputError, match=f"data.{dataset}.test: at least 2 test images are needed to evaluate"):
        of(dataset, {"source": "drawn", "distribution": "ffhq", "train": 4, "test": 1})


def test_splits_and_the_filter_are_chosen_in_the_parameters(photos, capsys):
    Path("val.csv").write_text("file,split\n0.png,test\n1.png,train\n2.png,val\n3.png,test\n4.png,extra\n")
    with pytest.raises(InputError, match=r"split of '4\.png' is 'extra'; allowed are 'train', 'test', 'val'"):
        faces_stage.prepare_faces(of("celebahq", photos | {"table": "val.csv"}), "celebahq")
    become = {"train": "train", "val": "train", "test": "test", "extra": "unused"}
    chosen = photos | {"table": "val.csv", "splits": become, "resize": "box"}
    store = faces_stage.prepare_faces(of("celebahq", chosen), "celebahq")
    assert store.card["splits"] == {"train": 2, "test": 2}
    told = capsys.readouterr().out
    assert "as in the table (train is train, val is train, test is test, extra is unused): 2 train, 2 test" in told
    assert "filter of resizing: box (Pillow, antialiased)" in told


def test_a_skipped_photo_is_no_test_image(photos):
    Path("photos/3.png").write_bytes(b"no image")
    Path("two.csv").write_text("file,split\n0.png,test\n1.png,train\n2.png,train\n3.png,test\n")
    with pytest.raises(InputError, match="gives 1 test image, and at least 2 are needed"):
        faces_stage.prepare_faces(of("celebahq", photos | {"table": "two.csv", "skip_corrupt": True}), "celebahq")


def test_sets_that_no_protocol_names_may_do_without_test_images(photos):
    store = faces_stage.prepare_faces(of("attributes", photos | {"table": "one.csv"}), "attributes")
    assert len(store.rows("test")) == 1
    extra = smoke({"more": {"title": "m", **photos, "table": "one.csv"}})
    assert faces_stage.prepare_faces(extra, "more").path == paths.store("more")


def test_a_data_set_has_its_own_size(photos):
    drawn = {"source": "drawn", "train": 2, "test": 2, "image_size": 48}
    p = smoke({"wide": {"title": "w", **drawn}, "ffhq": {"title": "f", **drawn, "image_size": None}})
    assert faces_stage.prepare_faces(p, "wide").size == 48
    assert faces_stage.prepare_faces(p, "ffhq").size == 32
    with pytest.raises(InputError, match="data set 'wild' does not exist; did you mean 'wide'"):
        faces_stage.prepare_faces(p, "wild")


FEW = {"source": "drawn", "train": 12, "test_per_bucket": 4, "seed": 5}


def test_masks_of_one_size_are_made_once(photos, monkeypatch):
    drawn = {"title": "d", "source": "drawn", "train": 2, "test": 4}
    sets = {name: drawn | {"image_size": size} for name, size in (("celebahq", None), ("ffhq", 48), ("third", 32))}
    protocols = {"irregular": {"datasets": ["celebahq", "ffhq", "third"]}}
    p = smoke(sets, protocols, masks=FEW)
    sizes, real = [], holes_stage._make_masks
    monkeypatch.setattr(holes_stage, "_make_masks", lambda *args: sizes.append(args[-1]) or real(*args))
    stores = holes_stage.prepare_masks(p)
    assert sizes == [32, 48] and list(stores) == ["celebahq", "ffhq", "third"]
    assert {name: store.size for name, store in stores.items()} == {"celebahq": 32, "ffhq": 48, "third": 32}
    files = sorted(path.name for path in paths.masks("celebahq").iterdir())
    assert files == ["index.csv", "masks.json", "test.npy", "train.npy"]
    for file in files:
        assert (paths.masks("third") / file).read_bytes() == (paths.masks("celebahq") / file).read_bytes()

    def no_links(*args):
        raise OSError("the file system has no links")

    monkeypatch.setattr(holes_stage.os, "link", no_links)
    before = stores["third"].card
    assert holes_stage.prepare_masks(p)["third"].card == before


def test_pairs_of_each_protocol_have_a_place_of_their_own(photos):
    drawn = {"title": "d", "source": "drawn", "train": 2, "test": 9}
    protocols = {
        "irregular": {"datasets": ["celebahq", "ffhq"]},
        "eyes": {"holes": "eye_boxes", "exemplar": "same_identity", "datasets": ["celebahq"]},
        "parts": {"holes": "regions", "regions": ["mouth", "face"], "datasets": ["celebahq"]},
    }
    p = smoke({"celebahq": drawn}, protocols, masks=FEW)
    faces_stage.prepare_faces(p, "celebahq")
    eyes = holes_stage.prepare_pairs(p, "eyes", "celebahq")  # needs no masks
    parts = holes_stage.prepare_pairs(p, "parts", "celebahq")
    holes_stage.prepare_masks(p)
    irregular = holes_stage.prepare_pairs(p, "irregular", "celebahq")
    assert [one.protocol for one in (irregular, eyes, parts)] == ["irregular", "eyes", "parts"]
    assert [one.buckets for one in (eyes, parts)] == [("eyes",), ("mouth", "face")]
    assert irregular.buckets == ("1-20%", "20-40%", "40-60%")
    assert EvaluationPairs.open(paths.pairs("eyes", "celebahq")).content_sha256 == eyes.content_sha256
    # Four pictures of two drawn people each, and one of a third, who has no other one.
    assert len(eyes.table) == 8 and eyes.card["left_out"]["people_with_one_image"] == 1
    assert len(parts.bucket("mouth")) == len(irregular.bucket("1-20%")) == 9
    for wanted, given in ((5, 5), (20, 8)):
        evaluation = {"pairs_per_bucket": wanted, "batch_size": 2, "samples": 1, "seed": 6, "features": "attributes"}
        limited = smoke({"celebahq": drawn}, protocols, evaluation=evaluation)
        assert len(holes_stage.prepare_pairs(limited, "eyes", "celebahq").table) == given
    with pytest.raises(InputError, match=r"^protocol 'eye' does not exist; did you mean 'eyes'"):
        holes_stage.prepare_pairs(p, "eye", "celebahq")
    with pytest.raises(InputError, match=r"^protocols\.eyes\.datasets: 'ffhq' is not among them"):
        holes_stage.prepare_pairs(p, "eyes", "ffhq")


LACKING = [
    ({"holes": "eye_boxes"}, {}, "landmarks", "image"),
    ({"holes": "regions", "regions": ["face"]}, {}, "landmarks or parsing", "image"),
    ({"exemplar": "same_identity"}, {"parsing_folder": "maps"}, "identity", "image, parsing"),
]


@pytest.mark.parametrize(("protocol", "values", "field", "there"), LACKING)
def test_what_photos_cannot_have_is_told_when_the_parameters_are_read(photos, protocol, values, field, there):
    sentence = (
        f"^protocols.own: protocol 'own' on data set 'faces': needs the field {field}, which the set lacks "
        rf"\(it has: {there}\)$"
    )
    with pytest.raises(InputError, match=sentence):
        smoke({"faces": {"title": "p", **photos, **values}}, {"own": {"datasets": ["faces"], **protocol}})


def test_what_a_table_lacks_is_told_before_pairs_are_drawn(photos):
    Path("two.csv").write_text("file,split\n0.png,test\n1.png,train\n2.png,train\n3.png,test\n")
    values = photos | {"table": "two.csv"}
    p = smoke({"faces": {"title": "p", **values}}, {"own": {"datasets": ["faces"], "exemplar": "other_identity"}})
    faces_stage.prepare_faces(p, "faces")
    sentence = r"^protocol 'own' on data set 'faces': needs the field identity, which the set lacks \(it has: image\)$"
    with pytest.raises(InputError, match=sentence):
        holes_stage.prepare_pairs(p, "own", "faces")


def test_what_all_runs_read_is_prepared(built):
    for dataset in built.parameters.data:
        store = FaceStore.open(paths.store(dataset))
        assert store.images.shape == (built.faces + built.tests, 32, 32, 3) and store.size == 32
        assert len(store.rows("train")) == built.faces and len(store.rows("test")) == built.tests
    for dataset in ("celebahq", "ffhq"):
        masks = MaskStore.open(paths.masks(dataset))
        assert masks.train.shape == (12, 32, 32) and masks.test.shape == (3 * built.tests, 32, 32)
    table = EvaluationPairs.open(paths.pairs("irregular", "celebahq")).table
    assert table.groupby("bucket").size().to_dict() == dict.fromkeys(BUCKETS, built.tests)
    assert set(table["image_row"]) == set(FaceStore.open(paths.store("celebahq")).rows("test"))
