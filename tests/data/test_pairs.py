from __future__ import annotations

import numpy as np
import pytest

from replication.data.irregular_masks import draw_mask_store
from replication.data.masks import BUCKETS, bucket_of, reach_border
from replication.data.pairs import COLUMNS, EvaluationPairs, write_pairs
from replication.data.store import Chunk, write_store
from replication.errors import InputError


@pytest.fixture
def pairs(tmp_path, faces, masks):
    return write_pairs(tmp_path / "noise.csv", faces, masks, seed=4)


def test_one_mask_per_image_and_bucket_within_its_bucket(pairs, faces, masks):
    assert tuple(pairs.table.columns) == COLUMNS and len(pairs.table) == 30
    for name in BUCKETS:
        table = pairs.bucket(name)
        assert table["image_row"].tolist() == faces.rows("test").tolist()
        assert table["image_id"].tolist() == faces.ids[24:].tolist()
        assert table["mask_row"].is_unique
        chosen = masks.test[table["mask_row"].to_numpy()]
        assert [bucket_of(m.mean()) for m in chosen] == [name] * 10
        assert table["ratio"].tolist() == [m.mean() for m in chosen]
        # any even number of first pairs is balanced
        assert reach_border(chosen).reshape(-1, 2).sum(axis=1).tolist() == [1] * 5
    assert pairs.card["buckets"]["1-20%"] == {
        "images": 10, "masks": 12, "times_through_the_masks": 1, "of_the_other_border_kind": 0,
    }  # fmt: skip


def test_same_seed_same_file_other_seed_other_pairs(tmp_path, pairs, faces, masks):
    again = write_pairs(tmp_path / "again.csv", faces, masks, seed=4)
    assert again.path.read_bytes() == pairs.path.read_bytes()
    other = write_pairs(tmp_path / "other.csv", faces, masks, seed=5)
    assert other.card["sha256"] != pairs.card["sha256"]


def test_the_same_rows_of_other_pictures_are_other_pairs(tmp_path, pairs, faces, masks):
    """As of faces drawn anew with another seed: the same row numbers and names."""
    pictures = np.asarray(faces.images) ^ 1
    index = faces.index[[name for name in faces.index if name in ("id", "split")]]
    other = write_store(
        tmp_path / "other", name=faces.name, size=faces.size, chunks=[Chunk(pictures, index)], source={}
    )
    again = write_pairs(tmp_path / "again.csv", other, masks, seed=4)
    assert again.card["sha256"] == pairs.card["sha256"] and again.content_sha256 != pairs.content_sha256
    assert EvaluationPairs.open(pairs.path).content_sha256 == pairs.content_sha256


def test_fewer_images_are_among_more_and_the_same_in_every_bucket(tmp_path, faces, masks):
    few = write_pairs(tmp_path / "few.csv", faces, masks, seed=4, per_bucket=4)
    more = write_pairs(tmp_path / "more.csv", faces, masks, seed=4, per_bucket=7)
    images = [set(few.bucket(name)["image_row"]) for name in BUCKETS]
    assert images[0] == images[1] == images[2] and len(images[0]) == 4
    assert images[0] < set(more.bucket("1-20%")["image_row"])
    with pytest.raises(InputError, match=r"per_bucket=11: .* has 10 test images"):
        write_pairs(tmp_path / "x.csv", faces, masks, seed=4, per_bucket=11)


def test_masks_are_repeated_only_when_all_were_used_and_the_card_says_so(tmp_path, faces):
    masks = draw_mask_store(tmp_path / "m", size=16, train=6, test_per_bucket=4, seed=0)
    pairs = write_pairs(tmp_path / "p.csv", faces, masks, seed=0)
    for name in BUCKETS:
        uses = pairs.bucket(name)["mask_row"].value_counts()
        assert sorted(uses) == [2, 2, 3, 3]
        assert pairs.card["buckets"][name]["times_through_the_masks"] == 3


def test_a_missing_border_kind_is_filled_by_the_other_and_counted(tmp_path, faces):
    masks = draw_mask_store(tmp_path / "m", size=16, train=6, test_per_bucket=11, seed=0)
    pairs = write_pairs(tmp_path / "p.csv", faces, masks, seed=0)
    kinds = {name: masks.card["buckets"]["test"][name] for name in BUCKETS}
    for name in BUCKETS:
        short = max(0, 5 - min(kinds[name].values()))
        assert pairs.card["buckets"][name]["of_the_other_border_kind"] == short
        assert pairs.bucket(name)["mask_row"].is_unique


def test_limit_while_reading(pairs):
    assert pairs.bucket("1-20%", per_bucket=4).equals(pairs.bucket("1-20%").head(4))
    with pytest.raises(InputError, match="per_bucket=0"):
        pairs.bucket("1-20%", per_bucket=0)
    with pytest.raises(InputError, match="bucket 'all': allowed are 1-20%"):
        pairs.bucket("all")


def test_an_edited_table_is_refused(pairs):
    EvaluationPairs.open(pairs.path)
    text = pairs.path.read_text()
    pairs.path.write_text(text.replace("000033", "000032"))
    with pytest.raises(InputError, match=r"noise\.csv were changed after they were frozen"):
        EvaluationPairs.open(pairs.path)


def test_missing_files_and_names(tmp_path, pairs, faces, masks):
    pairs.path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"noise\.json do not exist"):
        EvaluationPairs.open(pairs.path)
    with pytest.raises(InputError, match=r"end in \.csv"):
        write_pairs(tmp_path / "pairs.parquet", faces, masks, seed=0)


def test_pairs_belong_to_their_faces_and_masks(tmp_path, pairs, faces, masks, chunk):
    pairs.require(faces, masks)
    other_masks = draw_mask_store(tmp_path / "m", size=16, train=30, test_per_bucket=12, seed=99)
    with pytest.raises(InputError, match="drawn for other masks"):
        pairs.require(faces, other_masks)
    other = write_store(tmp_path / "f", name="n", size=16, chunks=[chunk(5, 9, split="test")], source={})
    with pytest.raises(InputError, match="drawn for other faces"):
        pairs.require(other, masks)
    large = draw_mask_store(tmp_path / "l", size=32, train=6, test_per_bucket=2, seed=0)
    with pytest.raises(InputError, match=r"faces of 16 px .* masks of 32 px"):
        write_pairs(tmp_path / "x.csv", faces, large, seed=0)
    assert np.unique(pairs.table["bucket"]).tolist() == sorted(BUCKETS)
