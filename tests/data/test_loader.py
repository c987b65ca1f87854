from __future__ import annotations

import numpy as np
import pytest
import torch

from replication.data.irregular_masks import draw_mask_store
from replication.data.labels import mirror
from replication.data.loader import (
    TrainingBatches,
    images_to_tensor,
    tensor_to_images,
)
from replication.data.store import write_store
from replication.errors import InputError

ALL = ("parsing", "attributes", "identity", "landmarks", "boxes")


def same(a: dict, b: dict) -> bool:
    if a.keys() != b.keys():
        return False
    return all(torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else np.array_equal(a[k], b[k]) for k in a)


def joined(parts: list[dict]) -> dict:
    """What several ranks hold, one after another."""
    out = {}
    for key, value in parts[0].items():
        pieces = [p[key] for p in parts]
        if isinstance(value, torch.Tensor):
            out[key] = torch.cat(pieces)
        else:
            out[key] = np.concatenate(pieces)
        if isinstance(value, list):
            out[key] = out[key].tolist()
    return out


def test_conversion_is_exact_both_ways():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = images_to_tensor(values)
    assert tensor.dtype == torch.float32 and tensor.shape == (1, 3, 16, 16) and tensor.is_contiguous()
    assert tensor.min() == -1 and tensor.max() == 1
    assert np.array_equal(tensor_to_images(tensor), values)
    assert images_to_tensor(values[..., 0]).shape == (1, 1, 16, 16)
    assert tensor_to_images(torch.full((1, 3, 2, 2), 1.7)).max() == 255


def test_batch_fields(faces, masks):
    batch = TrainingBatches(faces, masks, batch_size=6, seed=1, fields=ALL).batch(0)
    assert batch["image"].shape == (6, 3, 16, 16) and batch["image"].dtype == torch.float32
    assert batch["mask"].shape == (6, 1, 16, 16) and set(batch["mask"].unique().tolist()) == {0.0, 1.0}
    assert batch["parsing"].shape == (6, 16, 16) and batch["parsing"].dtype == torch.int64
    assert batch["attributes"].shape == (6, 2) and batch["identity"].dtype == torch.int64
    assert batch["landmarks"].shape == (6, 5, 2) and batch["boxes"].shape == (6, 2, 4)
    assert all(isinstance(i, str) for i in batch["ids"]) and batch["pairs"].tolist() == list(range(6))
    plain = TrainingBatches(faces, masks, batch_size=6, seed=1).batch(0)
    assert plain.keys() == {"image", "mask", "ids", "pairs"}


def test_one_is_hole(faces, masks):
    batches = TrainingBatches(faces, masks, batch_size=30, seed=1)
    _, mask_rows, _ = batches.samples(np.arange(30))
    train = masks.index[masks.index["split"] == "train"]
    assert batches.batch(0)["mask"].mean(dim=(1, 2, 3)).numpy() == pytest.approx(train["ratio"].to_numpy()[mask_rows])


def test_a_batch_is_a_function_of_seed_and_step(faces, masks):
    one, two = (TrainingBatches(faces, masks, batch_size=5, seed=1, fields=ALL) for _ in range(2))
    forwards = [one.batch(s) for s in range(12)]
    for step in (11, 3, 0, 7):
        assert same(two.batch(step), forwards[step])
    other = TrainingBatches(faces, masks, batch_size=5, seed=2, fields=ALL)
    assert other.batch(0)["ids"] != forwards[0]["ids"]


def test_every_round_shows_every_training_face_and_mask_once(faces, masks):
    batches = TrainingBatches(faces, masks, batch_size=5, seed=1)
    image_rows, mask_rows, flips = batches.samples(np.arange(240))
    for start in range(0, 240, 24):
        assert sorted(image_rows[start : start + 24]) == list(range(24))
        assert flips[start : start + 24].sum() == 12
    for start in range(0, 240, 30):
        assert sorted(mask_rows[start : start + 30]) == list(range(30))
    assert not np.array_equal(image_rows[:24], image_rows[24:48])
    shown = [i for s in range(24) for i in batches.batch(s)["ids"]]  # 5 does not divide 24
    assert sorted(shown) == sorted(faces.ids[:24].tolist() * 5)


@pytest.mark.parametrize("fixed_pairs", [None, 10])
def test_ranks_together_are_the_single_process(faces, masks, fixed_pairs):
    extras = {"labels": np.arange(10)} if fixed_pairs else None
    options = {"batch_size": 6, "seed": 1, "fields": ALL, "fixed_pairs": fixed_pairs, "extras": extras}
    whole = TrainingBatches(faces, masks, **options)
    ranks = [TrainingBatches(faces, masks, **options, rank=r, world_size=3) for r in range(3)]
    for step in (0, 3, 5, 40):
        parts = [r.batch(step) for r in ranks]
        assert [len(p["ids"]) for p in parts] == [2, 2, 2]
        assert same(joined(parts), whole.batch(step))


def test_flipping_mirrors_image_labels_landmarks_and_boxes_but_not_the_hole(faces, masks):
    flipped, plain = (TrainingBatches(faces, masks, batch_size=24, seed=1, fields=ALL, flip=f) for f in (True, False))
    rows, _, flips = flipped.samples(np.arange(24))
    a, b = flipped.batch(0), plain.batch(0)
    assert torch.equal(a["mask"], b["mask"]) and a["ids"] == b["ids"]
    assert flips.any() and not flips.all()
    for k in range(24):
        if not flips[k]:
            assert all(torch.equal(a[f][k], b[f][k]) for f in ("image", *ALL))
            continue
        assert torch.equal(a["image"][k], b["image"][k].flip(-1))
        assert np.array_equal(a["parsing"][k], mirror(faces.parsing[rows[k]]))
        left, right = a["landmarks"][k, 0], b["landmarks"][k, 1]
        assert left.tolist() == [16 - right[0], right[1]]
        assert a["landmarks"][k, 3].tolist() == [16 - b["landmarks"][k, 4, 0], b["landmarks"][k, 4, 1]]
        assert a["boxes"][k].tolist() == [[7, 3, 14, 6], [4, 10, 12, 14]]
        assert torch.equal(a["attributes"][k], b["attributes"][k]) and a["identity"][k] == b["identity"][k]


def test_the_stores_are_never_written(faces, masks):
    before = faces.images[:].copy(), faces.parsing[:].copy(), faces.landmarks.copy(), faces.boxes.copy()
    batch = TrainingBatches(faces, masks, batch_size=24, seed=1, fields=ALL).batch(0)
    for key in ("image", "parsing", "landmarks", "boxes", "attributes", "identity"):
        batch[key].zero_()
    after = faces.images, faces.parsing, faces.landmarks, faces.boxes
    assert all(np.array_equal(x, y) for x, y in zip(before, after, strict=True))
    assert faces.attributes.any() and faces.identities.any()


def test_fixed_pairs_are_a_table_visited_in_new_order_each_round(faces, masks):
    batches = TrainingBatches(faces, masks, batch_size=4, seed=1, fixed_pairs=12, fields=("parsing",))
    stream = TrainingBatches(faces, masks, batch_size=4, seed=1, fields=("parsing",))
    rounds = [np.concatenate([batches.batch(s)["pairs"] for s in range(r, r + 3)]) for r in (0, 3)]
    assert all(sorted(r) == list(range(12)) for r in rounds) and not np.array_equal(*rounds)
    batch = batches.batch(5)
    for place, j in enumerate(batch["pairs"].tolist()):
        image_row, mask_row, flip = batches.fixed_pair(j)
        assert batch["ids"][place] == faces.ids[image_row]
        assert torch.equal(batch["mask"][place, 0], torch.from_numpy(masks.train[mask_row].astype(np.float32)))
        one = images_to_tensor(faces.images[image_row][None])[0]
        assert torch.equal(batch["image"][place], one.flip(-1) if flip else one)
    assert same(batches.assemble(np.arange(12)), stream.assemble(np.arange(12)))  # entry j is sample j
    for j in (-1, 12):
        with pytest.raises(InputError, match=f"fixed pair {j}: there are 12"):
            batches.fixed_pair(j)


def test_extras_are_those_of_the_pair(faces, masks):
    rng = np.random.default_rng(0)
    extras = {
        "coarse": rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8),
        "depth": rng.integers(0, 256, (12, 16, 16), dtype=np.uint8),
        "labels": rng.integers(0, 14, (12, 16, 16), dtype=np.uint8),
        "code": rng.normal(size=(12, 4)),
    }
    options = {"fixed_pairs": 12, "extras": extras, "extra_images": ("coarse", "depth")}
    batch = TrainingBatches(faces, masks, batch_size=5, seed=1, **options).batch(1)
    j = batch["pairs"]
    assert torch.equal(batch["coarse"], images_to_tensor(extras["coarse"][j]))
    assert batch["depth"].shape == (5, 1, 16, 16) and batch["depth"].min() >= -1
    assert batch["labels"].dtype == torch.int64 and np.array_equal(batch["labels"], extras["labels"][j])
    assert batch["code"].dtype == torch.float32 and batch["code"].shape == (5, 4)


def test_a_choice_of_rows(faces, masks):
    batches = TrainingBatches(faces, masks, batch_size=4, seed=1, image_rows=np.array([3, 7]))
    assert batches.image_count == 2 and set(batches.batch(2)["ids"]) == {"000003", "000007"}


def test_impossible_requests(tmp_path, faces, masks, chunk):
    def refused(match, store=faces, holes=masks, **options):
        with pytest.raises(InputError, match=match):
            TrainingBatches(store, holes, **{"batch_size": 4, "seed": 0, **options})

    refused("batch_size=0", batch_size=0)
    refused("multiple of the 3 processes", world_size=3)
    refused("rank=2", rank=2, world_size=2)
    refused("fixed_pairs=0: a table has at least one pair", fixed_pairs=0)
    refused("batch field 'depth' is unknown; allowed are attributes", fields=("depth",))
    refused("image_rows is empty", image_rows=np.array([], dtype=int))
    refused("extra 'a' has 3 rows; it has to be aligned with 4 fixed pairs", fixed_pairs=4, extras={"a": np.zeros(3)})
    refused("names 'b', which is no extra", fixed_pairs=4, extras={"a": np.zeros(4)}, extra_images=("b",))
    large = draw_mask_store(tmp_path / "l", size=32, train=6, test_per_bucket=2, seed=0)
    refused("faces of 16 px .* masks of 32 px", holes=large)
    plain = write_store(tmp_path / "f", name="n", size=16, chunks=[chunk(0, 4, parsing=False)], source={})
    refused("has no parsing; it has", store=plain, fields=("parsing", "attributes"))
