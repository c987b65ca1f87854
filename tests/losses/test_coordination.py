from __future__ import annotations

import pytest
import torch
from torch import nn

from replication.errors import InputError
from replication.losses.coordination import coordination_loss, region_weights
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork


def case(batch=2, channels=5, grid=4, classes=6, seed=0):
    torch.manual_seed(seed)
    output = torch.rand(batch, channels, grid, grid)
    truth = torch.rand(batch, channels, grid, grid)
    labels = torch.randint(0, classes - 1, (batch, 8 * grid, 8 * grid))
    mask = torch.zeros(batch, 1, 8 * grid, 8 * grid)
    mask[:, :, 4:20, 8:25] = 1
    return output, truth, mask, labels


def by_hand(output, truth, mask, labels, classes, divide=True):
    """Equations 6 and 7 with loops over samples and pairs."""
    size = output.shape[-1]
    step = labels.shape[-1] // size
    means = []
    for b in range(len(output)):
        intra, inter = [], []
        hole = mask[b, 0].reshape(size, step, size, step).amax(dim=(1, 3)) > 0
        small = labels[b, ::step, ::step]
        inside = {i: (small == i) & hole for i in range(classes)}
        outside = {i: (small == i) & ~hole for i in range(classes)}
        for i in range(classes):
            for j in range(classes):
                for pairs, columns in ((intra, inside), (inter, outside)):
                    if inside[i].any() and columns[j].any():
                        products = [f[b][:, inside[i]].mean(1) @ f[b][:, columns[j]].mean(1) for f in (output, truth)]
                        pairs.append((products[0] - products[1]).abs() / output.shape[1])
        # Over the pairs of an image first; an image without pairs counts 0.
        means.append(torch.stack([torch.stack(p).mean() if p else torch.zeros(()) for p in (intra, inter)]))
    return torch.stack(means).mean(0).unbind()


def test_equals_the_equations_written_as_loops():
    output, truth, mask, labels = case()
    loss = coordination_loss(output, truth, mask, labels, classes=6)
    intra, inter = by_hand(output, truth, mask, labels, 6)
    torch.testing.assert_close(loss.intra, intra)
    torch.testing.assert_close(loss.inter, inter)
    assert loss.intra > 0 and loss.inter > 0


@pytest.mark.parametrize("regions", ["semantic", "mask"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_zero_for_equal_features(regions, similarity):
    output, _, mask, labels = case()
    loss = coordination_loss(output, output, mask, labels, classes=6, regions=regions, similarity=similarity)
    assert loss.intra == 0 and loss.inter == 0


def test_renaming_the_classes_changes_nothing():
    output, truth, mask, labels = case()
    renamed = torch.tensor([3, 5, 0, 1, 4, 2])[labels]
    one = coordination_loss(output, truth, mask, labels, classes=6)
    other = coordination_loss(output, truth, mask, renamed, classes=6)
    torch.testing.assert_close(one.intra, other.intra)
    torch.testing.assert_close(one.inter, other.inter)


def test_mask_reading_compares_one_number_per_image():
    output, truth, mask, _ = case(batch=1)
    hole = region_weights(None, mask, (4, 4), 1)[0, 0] > 0
    loss = coordination_loss(output, truth, mask, regions="mask")
    mine, theirs = output[0][:, hole].mean(1), truth[0][:, hole].mean(1)
    torch.testing.assert_close(loss.intra, (mine @ mine - theirs @ theirs).abs() / 5)


def test_cosine_ignores_the_scale_of_the_features():
    output, truth, mask, labels = case()
    one = coordination_loss(output, truth, mask, labels, classes=6, similarity="cosine")
    other = coordination_loss(3 * output, 7 * truth, mask, labels, classes=6, similarity="cosine")
    torch.testing.assert_close(one.intra, other.intra)
    torch.testing.assert_close(one.inter, other.inter)


@pytest.mark.parametrize("hole", [0.0, 1.0])
def test_without_any_pair_the_value_is_zero_with_its_graph(hole):
    output, truth, mask, labels = case()
    output.requires_grad_()
    loss = coordination_loss(output, truth, torch.full_like(mask, hole), labels, classes=6)
    # No hole: neither part has a row. All hole: inter has no column.
    assert loss.inter == 0 and (loss.intra == 0) == (hole == 0)
    (loss.intra + loss.inter).backward()
    assert output.grad.isfinite().all()


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_finite_when_a_class_is_only_in_the_hole_only_known_or_nowhere(similarity):
    output, truth, mask, _ = case()
    labels = torch.where(mask[:, 0] > 0, 0, 1)
    labels[:, :4] = 2
    output.requires_grad_()
    loss = coordination_loss(output, truth, mask, labels, classes=6, similarity=similarity)
    assert loss.intra.isfinite() and loss.inter.isfinite()
    (loss.intra + loss.inter).backward()
    assert output.grad.isfinite().all() and output.grad.abs().sum() > 0


def test_a_cell_is_known_only_if_all_its_pixels_are():
    mask = torch.zeros(1, 1, 32, 32)
    mask[0, 0, 9, 17] = 1
    weights = region_weights(torch.zeros(1, 32, 32, dtype=torch.int64), mask, (4, 4), 3)
    assert weights.shape == (1, 6, 4, 4)
    assert weights[0, 0].nonzero().tolist() == [[1, 2]] and weights[0, 3].sum() == 15
    assert (weights.sum(dim=1) == 1).all()


def intra_gradient(encoder, size=96) -> torch.Tensor:
    """Gradient of intra with respect to the image; the hole is 8x8 pixels in the middle."""
    torch.manual_seed(1)
    truth = torch.rand(1, 3, size, size) * 2 - 1
    images = (truth + 0.3 * torch.randn_like(truth)).requires_grad_()
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, 44:52, 44:52] = 1
    labels = torch.zeros(1, size, size, dtype=torch.int64)
    labels[:, 48:] = 1
    coordination_loss(encoder(images), encoder(truth), mask, labels, classes=2).intra.backward()
    return images.grad.abs().sum(dim=1)[0]


def far_from_the_hole(size=96) -> torch.Tensor:
    rows = torch.arange(size)
    distance = torch.maximum(44 - rows, rows - 51).clamp(min=0)
    return torch.maximum(distance[:, None], distance[None, :]) > 32


def test_intra_has_no_gradient_beyond_32_pixels_with_the_frozen_encoder():
    encoder = ReconstructionEncoder(ReconstructionNetwork(width=8))
    gradient = intra_gradient(encoder)
    assert gradient.sum() > 0
    assert (gradient[far_from_the_hole()] == 0).all()


def test_an_instance_norm_encoder_breaks_that():
    encoder = ReconstructionNetwork(width=8).encoder
    for index, layer in enumerate(encoder):
        if isinstance(layer, nn.BatchNorm2d):
            encoder[index] = nn.InstanceNorm2d(layer.num_features)
    gradient = intra_gradient(encoder.requires_grad_(False))
    assert (gradient[far_from_the_hole()] > 0).any()


def test_wrong_arguments_are_refused():
    output, truth, mask, labels = case()
    with pytest.raises(InputError, match="regions"):
        coordination_loss(output, truth, mask, labels, regions="both")
    with pytest.raises(InputError, match="similarity"):
        coordination_loss(output, truth, mask, labels, similarity="euclidean")
    with pytest.raises(InputError, match="labels"):
        coordination_loss(output, truth, mask)
    with pytest.raises(InputError, match="multiples"):
        coordination_loss(output, truth, mask[:, :, :30], labels, classes=6)
