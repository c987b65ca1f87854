from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from replication.errors import InputError
from replication.layers.region_pooling import broadcast_regions, region_pool


def onehot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return F.one_hot(labels, classes).movedim(-1, 1).float()


@pytest.fixture
def case():
    torch.manual_seed(0)
    labels = torch.randint(0, 4, (2, 6, 5))  # class 4 of 5 is absent
    return torch.randn(2, 3, 6, 5), labels, onehot(labels, 5)


def test_equals_a_loop_over_regions(case):
    features, labels, regions = case
    vectors, presence = region_pool(features, regions)
    for b in range(2):
        for i in range(5):
            inside = labels[b] == i
            assert presence[b, i] == inside.any()
            expected = features[b][:, inside].mean(dim=1) if inside.any() else torch.zeros(3)
            torch.testing.assert_close(vectors[b, i], expected)


def test_constant_map_gives_the_constant_and_zero_for_absent_classes(case):
    _, _, regions = case
    vectors, presence = region_pool(torch.full((2, 3, 6, 5), 1.7), regions)
    torch.testing.assert_close(vectors[presence], torch.full((int(presence.sum()), 3), 1.7))
    assert not presence[:, 4].any() and (vectors[:, 4] == 0).all()


def test_permuting_pixels_together_changes_nothing(case):
    features, _, regions = case
    order = torch.randperm(30)

    def shuffle(x):
        return x.flatten(2)[:, :, order].view_as(x)

    torch.testing.assert_close(region_pool(shuffle(features), shuffle(regions))[0], region_pool(features, regions)[0])


def test_area_weighted_mean_of_regions_is_the_global_mean(case):
    features, _, regions = case
    vectors, _ = region_pool(features, regions)
    area = regions.sum(dim=(2, 3)) / 30
    torch.testing.assert_close((area.unsqueeze(-1) * vectors).sum(1), features.mean(dim=(2, 3)))


def test_linear_in_the_features(case):
    features, _, regions = case
    other = torch.randn_like(features)
    torch.testing.assert_close(
        region_pool(2 * features - 3 * other, regions)[0],
        2 * region_pool(features, regions)[0] - 3 * region_pool(other, regions)[0],
    )


def test_known_everywhere_gives_v_equal_q_and_known_nowhere_gives_zero(case):
    features, _, regions = case
    query, _ = region_pool(features, regions)
    value, visible = region_pool(features, regions * torch.ones(2, 1, 6, 5))
    assert torch.equal(query, value) and visible.any()
    nothing, visible = region_pool(features, regions * torch.zeros(2, 1, 6, 5))
    assert not visible.any() and (nothing == 0).all()


def test_broadcast_then_pool_is_the_identity_on_present_regions(case):
    _, labels, regions = case
    vectors = torch.randn(2, 5, 7)
    spread = broadcast_regions(vectors, regions)
    assert spread.shape == (2, 7, 6, 5) and spread.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(spread[1, :, 2, 3], vectors[1, labels[1, 2, 3]])
    pooled, presence = region_pool(spread, regions)
    torch.testing.assert_close(pooled[presence], vectors[presence])


def test_gradient_reaches_features_only_and_is_finite_with_empty_regions(case):
    features, _, regions = case
    features, regions = features.requires_grad_(), regions.requires_grad_()
    vectors, _ = region_pool(features, regions)
    vectors.square().sum().backward()
    assert features.grad.isfinite().all() and features.grad.abs().sum() > 0
    assert regions.grad is None


def test_sums_stay_float32_under_autocast(case):
    features, _, regions = case
    expected, _ = region_pool(features.bfloat16().float(), regions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors, _ = region_pool(features.bfloat16(), regions)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, expected)


def test_sizes_that_do_not_match_are_refused(case):
    features, _, regions = case
    with pytest.raises(InputError, match="height and width"):
        region_pool(features[:, :, :4], regions)
