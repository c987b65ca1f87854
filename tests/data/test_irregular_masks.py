from __future__ import annotations

import numpy as np
import pytest

from replication.data.irregular_masks import draw_mask, draw_mask_store, draw_masks
from replication.data.masks import BUCKETS, MaskStore, border_margin, bucket_of, mask_hash, reach_border
from replication.errors import InputError


@pytest.mark.parametrize("size", [16, 33, 64, 128])
def test_every_bucket_and_border_kind_at_any_size(size):
    for index in range(12):
        mask = draw_mask(size=size, seed=5, index=index)
        assert mask.shape == (size, size) and mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}
        assert bucket_of(mask.mean()) == list(BUCKETS)[index % 3]
        assert bool(reach_border(mask[None])[0]) == (index // 3 % 2 == 0)


def test_border_free_masks_keep_nvidias_margin_and_others_reach_the_edge():
    m = border_margin(64)
    assert m == 6
    for index in range(8):
        free = draw_mask(size=64, seed=1, index=index, bucket="40-60%", touches_border=False)
        assert free[:m].sum() + free[-m:].sum() + free[:, :m].sum() + free[:, -m:].sum() == 0
        reaching = draw_mask(size=64, seed=1, index=index, bucket="20-40%", touches_border=True)
        assert reach_border(reaching[None])[0]


def test_a_mask_is_a_function_of_seed_and_index():
    first = draw_mask(size=32, seed=2, index=9)
    draw_mask(size=32, seed=2, index=8)
    assert np.array_equal(draw_mask(size=32, seed=2, index=9), first)
    assert not np.array_equal(draw_mask(size=32, seed=3, index=9), first)
    assert not np.array_equal(draw_mask(size=32, seed=2, index=15), first)  # same bucket and border
    assert not np.array_equal(draw_mask(size=32, seed=2, index=9, variant=1), first)
    # batches, however cut and by however many processes, hold the same masks
    batch = np.concatenate(list(draw_masks(11, size=32, seed=2, split="train")))
    assert np.array_equal(batch[9], first)
    more = np.concatenate(list(draw_masks(13, size=32, seed=2, split="train", workers=2)))
    assert np.array_equal(more[:11], batch)


def test_ratios_spread_over_their_bucket():
    low, high = BUCKETS["20-40%"]
    ratios = [draw_mask(size=32, seed=4, index=k, bucket="20-40%").mean() for k in range(60)]
    assert np.histogram(ratios, bins=4, range=(low, high))[0].min() >= 5


def test_store_has_every_bucket_half_border_free_and_no_mask_twice(tmp_path):
    store = draw_mask_store(tmp_path / "m", size=16, train=60, test_per_bucket=10, seed=0)
    assert len(store.train) == 60 and len(store.test) == 30
    for bucket in BUCKETS:
        assert store.card["buckets"]["test"][bucket] == {"reaching_border": 5, "border_free": 5}
        assert store.card["buckets"]["train"][bucket] == {"reaching_border": 10, "border_free": 10}
    hashes = [mask_hash(m) for m in np.concatenate([store.train, store.test])]
    assert len(set(hashes)) == 90
    again = draw_mask_store(tmp_path / "again", size=16, train=60, test_per_bucket=10, seed=0)
    assert again.card == MaskStore.open(tmp_path / "m", verify=True).card


def test_a_repeated_mask_is_drawn_in_another_variant():
    plain = next(draw_masks(3, size=16, seed=0, split="train"))
    avoiding = next(draw_masks(3, size=16, seed=0, split="train", avoid={mask_hash(plain[1])}))
    assert np.array_equal(avoiding[[0, 2]], plain[[0, 2]])
    assert np.array_equal(avoiding[1], draw_mask(size=16, seed=0, index=1, variant=1))


def test_impossible_requests(tmp_path):
    with pytest.raises(InputError, match="mask size 8"):
        draw_mask(size=8, seed=0, index=0)
    with pytest.raises(InputError, match="bucket '60-80%': allowed are 1-20%"):
        draw_mask(size=32, seed=0, index=0, bucket="60-80%")
    with pytest.raises(InputError, match="test_per_bucket=0"):
        draw_mask_store(tmp_path / "m", size=16, train=5, test_per_bucket=0, seed=0)
