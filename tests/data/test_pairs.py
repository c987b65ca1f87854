from __future__ import annotations

import json

import numpy as np
import pytest

from replication.data.holes import EYE_BOXES, REGIONS, box_holes, boxes_over_eyes, region_holes
from replication.data.irregular_masks import draw_mask_store
from replication.data.masks import BUCKETS, bucket_of, reach_border
from replication.data.pair_rules import PairRule
from replication.data.pairs import COLUMNS, EvaluationPairs, pairable, sample_seed, write_pairs
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
        "holes": [0.01, 0.2], "images": 10, "masks": 12, "times_through_the_masks": 1, "of_the_other_border_kind": 0,
    }  # fmt: skip


def test_the_draw_is_that_of_the_committed_results(tmp_path, pairs, faces, masks):
    """Digests from before protocols had names: what is shown under irregular holes has not changed since."""
    assert pairs.card["shown_sha256"] == "12653752e0d15a78be0338ff536941769de8a6d724ce6a1783e701030503f3ba"
    assert pairs.content_sha256 == "a916479dac391b07ffb8d0dcd6a1904ab54b629371cdae2fc63271d01ebe01fc"
    fewer = write_pairs(tmp_path / "fewer.csv", faces, masks, seed=4, per_bucket=6)
    assert fewer.content_sha256 == "1a2ff1a1e35dc504561ec34d9dbb8cbf8b6035d2824873e3393dc503a2a6a8b6"


def test_the_card_names_protocol_and_rule(pairs, faces, masks):
    assert (pairs.protocol, pairs.buckets, pairs.has_exemplars) == ("irregular", tuple(BUCKETS), False)
    assert {key: pairs.card[key] for key in ("protocol", "holes", "exemplar", "left_out")} == {
        "protocol": "irregular", "holes": "irregular", "exemplar": "none", "left_out": {},
    }  # fmt: skip
    assert pairs.card["faces_sha256"] == faces.card["sha256"]
    assert pairs.card["masks_sha256"] == masks.card["sha256"] == pairs.holes_sha256
    buckets = {name: list(ratios) for name, ratios in BUCKETS.items()}
    assert pairs.rule == {"name": "irregular", "holes": "irregular", "exemplar": "none", "buckets": buckets}
    table = pairs.bucket("20-40%").iloc[3:5]
    assert np.array_equal(pairs.holes(table, masks), masks.test[table["mask_row"].to_numpy()])


def test_every_pair_has_a_seed_of_its_own(tmp_path, pairs, faces, masks):
    seeds = pairs.table["seed"]
    assert seeds.is_unique and seeds.min() >= 0 and seeds.max() < 2**53 and seeds.max() > 2**50
    row = pairs.table.iloc[13]
    assert row["seed"] == sample_seed(4, "irregular", row["bucket"], row["image_row"])
    few = write_pairs(tmp_path / "few.csv", faces, masks, seed=4, per_bucket=4).table
    both = few.merge(pairs.table, on=["bucket", "image_row"])
    assert len(both) == 12 and both["seed_x"].equals(both["seed_y"]), "whatever else is measured"
    others = [sample_seed(5, "irregular", "1-20%", 24), sample_seed(4, "b", "1-20%", 24)]
    others += [sample_seed(4, "irregular", "20-40%", 24), sample_seed(4, "irregular", "1-20%", 25)]
    assert len({*others, sample_seed(4, "irregular", "1-20%", 24)}) == 5


def test_seeds_are_no_part_of_what_is_shown(tmp_path, pairs, faces, masks):
    renamed = write_pairs(tmp_path / "other.csv", faces, masks, seed=4, rule=PairRule("renamed"))
    assert renamed.card["sha256"] != pairs.card["sha256"] and renamed.content_sha256 == pairs.content_sha256
    beside = write_pairs(tmp_path / "beside.csv", faces, masks, seed=4, rule=PairRule(exemplar="other_identity"))
    assert beside.content_sha256 != pairs.content_sha256


def test_holes_over_the_eyes_of_the_same_person(tmp_path, faces):
    rule = PairRule("eyes", "eye_boxes", exemplar="same_identity")
    pairs = write_pairs(tmp_path / "faces.csv", faces, None, seed=4, rule=rule)
    table, rows = pairs.bucket("eyes"), faces.rows("test")
    assert pairs.buckets == ("eyes",) and pairs.protocol == "eyes" and tuple(table.columns) == COLUMNS
    assert table["image_row"].tolist() == rows.tolist() and table["mask_row"].tolist() == list(range(10))
    expected = box_holes(boxes_over_eyes(faces, rows, seed=4), 16)
    assert np.array_equal(pairs.holes(table, None), expected) and expected.any((1, 2)).all()
    assert np.array_equal(np.load(tmp_path / "faces_holes.npy"), expected)
    assert table["ratio"].tolist() == expected.mean((1, 2)).tolist()
    assert faces.identities[table["exemplar_row"]].tolist() == faces.identities[rows].tolist()
    assert (table["exemplar_row"] != table["image_row"]).all() and table["exemplar_row"].is_unique
    assert pairs.rule == {"name": "eyes", "holes": "eye_boxes", "exemplar": "same_identity",
                          "buckets": {"eyes": EYE_BOXES}}  # fmt: skip
    assert pairs.card["left_out"] == {
        "images_of_unknown_people": 0, "people_with_one_image": 0, "images_with_eyes_outside": 0,
    }  # fmt: skip
    assert pairs.holes_sha256 == pairs.card["holes_sha256"]
    few = write_pairs(tmp_path / "few.csv", faces, None, seed=4, per_bucket=4, rule=rule)
    both = few.table.merge(pairs.table, on="image_row")
    assert both["exemplar_row_x"].equals(both["exemplar_row_y"]), "also of images that are not measured themselves"
    assert np.array_equal(few.holes(few.table, None), expected[both["mask_row_y"]])


def test_a_bucket_for_each_region(tmp_path, faces):
    rule = PairRule("parts", "regions", regions=("face", "nose"))
    pairs = write_pairs(tmp_path / "faces.csv", faces, None, seed=4, rule=rule)
    holes = region_holes(faces, faces.rows("test"), ("face", "nose"))
    assert pairs.buckets == ("face", "nose") and np.array_equal(pairs.own_holes, holes)
    for k, name in enumerate(pairs.buckets):
        table = pairs.bucket(name)
        assert table["image_row"].tolist() == faces.rows("test").tolist() and set(table["mask_row"]) == {k}
        assert set(table["ratio"]) == {holes[k].mean()} and set(table["exemplar_row"]) == {-1}
        assert pairs.card["buckets"][name]["mean_ratio"] == pytest.approx(holes[k].mean(), abs=1e-6)
    assert pairs.rule["buckets"] == {"face": REGIONS["face"], "nose": REGIONS["nose"]}
    with pytest.raises(InputError, match="bucket '1-20%': allowed are face, nose"):
        pairs.bucket("1-20%")


def test_another_draw_of_the_boxes_is_other_content(tmp_path, faces):
    rule = PairRule("e", "eye_boxes")
    one, two = (write_pairs(tmp_path / f"{seed}.csv", faces, None, seed=seed, rule=rule) for seed in (1, 2))
    assert one.content_sha256 != two.content_sha256
    again = write_pairs(tmp_path / "again.csv", faces, None, seed=1, rule=rule)
    assert again.content_sha256 == one.content_sha256
    assert (tmp_path / "again_holes.npy").read_bytes() == (tmp_path / "1_holes.npy").read_bytes()


def test_images_that_cannot_be_paired_are_left_out_and_counted(tmp_path, chunk):
    test = chunk(0, 7, split="test")
    test.rows["identity"] = ["a", "a", "a", "b", "", "c", "c"]
    for column in ("left_eye_x", "right_eye_x"):
        test.rows.loc[1, column] = -40.0
    store = write_store(tmp_path / "s", name="n", size=16, chunks=[test], source={})
    rule = PairRule("eyes", "eye_boxes", exemplar="same_identity")
    assert pairable(store, rule, seed=0) == 4
    pairs = write_pairs(tmp_path / "p.csv", store, None, seed=0, rule=rule)
    assert pairs.table["image_row"].tolist() == [0, 2, 5, 6] and pairs.table["exemplar_row"].tolist() == [1, 0, 6, 5]
    assert pairs.card["left_out"] == {
        "images_of_unknown_people": 1, "people_with_one_image": 1, "images_with_eyes_outside": 1,
    }  # fmt: skip
    with pytest.raises(InputError, match=r"per_bucket=5: .* has 4 test images that can be paired"):
        write_pairs(tmp_path / "p.csv", store, None, seed=0, per_bucket=5, rule=rule)
    test.rows["identity"] = list("abcdefg")
    alone = write_store(tmp_path / "alone", name="n", size=16, chunks=[test], source={})
    sentence = (
        r"^protocol 'eyes' on data set 'n': 0 test images can be paired, and at least 2 are needed \(left out: "
        r"0 images of unknown people, 7 people with one image, 0 images with eyes outside\)$"
    )
    with pytest.raises(InputError, match=sentence):
        pairable(alone, rule, seed=0)


NEEDS = [
    (PairRule("eyes", "eye_boxes"), ["id", "split", "identity"], "landmarks", "identity, image, parsing"),
    (PairRule("p", exemplar="same_identity"), ["id", "split"], "identity", "image, parsing"),
    (PairRule("p", exemplar="other_identity"), ["id", "split"], "identity", "image, parsing"),
    (PairRule("parts", "regions", ("face",)), ["id", "split"], "landmarks or parsing", "image"),
]


@pytest.mark.parametrize(("rule", "columns", "field", "there"), NEEDS)
def test_a_field_that_the_store_lacks_is_one_sentence(tmp_path, chunk, masks, rule, columns, field, there):
    faces = chunk(0, 6, split="test", parsing=rule.holes != "regions")
    faces.rows = faces.rows[columns]
    store = write_store(tmp_path / "s", name="n", size=16, chunks=[faces], source={})
    sentence = (
        f"^protocol '{rule.protocol}' on data set 'n': needs the field {field}, which the set lacks "
        rf"\(it has: {there}\)$"
    )
    with pytest.raises(InputError, match=sentence):
        write_pairs(tmp_path / "p.csv", store, masks, seed=0, rule=rule)
    with pytest.raises(InputError, match=sentence):
        pairable(store, rule, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_holes_that_were_changed_or_lost_are_refused(tmp_path, faces):
    rule = PairRule("eyes", "eye_boxes")
    pairs = write_pairs(tmp_path / "faces.csv", faces, None, seed=4, rule=rule)
    file = tmp_path / "faces_holes.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"faces_holes\.npy was changed after it was frozen"):
        EvaluationPairs.open(pairs.path)
    file.unlink()
    with pytest.raises(InputError, match=r"faces_holes\.npy is missing"):
        EvaluationPairs.open(pairs.path)


def test_another_kind_of_holes_leaves_none_of_the_last(tmp_path, faces, masks):
    write_pairs(tmp_path / "faces.csv", faces, None, seed=4, rule=PairRule("p", "eye_boxes"))
    pairs = write_pairs(tmp_path / "faces.csv", faces, masks, seed=4, rule=PairRule("p"))
    assert pairs.own_holes is None and sorted(f.name for f in tmp_path.iterdir()) == ["faces.csv", "faces.json"]


def test_pairs_of_an_earlier_version_are_to_be_prepared_again(pairs):
    card = json.loads(pairs.path.with_suffix(".json").read_text())
    del card["shown_sha256"]
    pairs.path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="are of an earlier version; prepare them again"):
        EvaluationPairs.open(pairs.path)


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
    with pytest.raises(InputError, match=r"per_bucket=11: .* has 10 test images that can be paired"):
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
