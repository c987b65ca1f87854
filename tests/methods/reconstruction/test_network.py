from __future__ import annotations

import torch
from torch import nn

from replication.backbones.frozen import fold_batch_norms
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork
from replication.methods.reconstruction.training import ReconstructionTraining
from replication.training.schedules import LearningRate


def test_bottleneck_at_full_size():
    with torch.device("meta"):
        network = ReconstructionNetwork()
        images = torch.empty(2, 3, 256, 256)
    assert tuple(network.encoder(images).shape) == (2, 256, 32, 32)
    assert tuple(network(images).shape) == (2, 3, 256, 256)


def test_a_frozen_cell_sees_21_pixels():
    torch.manual_seed(0)
    encoder = ReconstructionEncoder(ReconstructionNetwork(width=8))
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    encoder(images)[0, :, 4, 4].sum().backward()
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 21


def test_encoder_is_frozen_and_equals_evaluation_mode():
    torch.manual_seed(0)
    network = ReconstructionNetwork(width=4)
    network(torch.randn(8, 3, 32, 32))  # moves the running statistics
    encoder = ReconstructionEncoder(network).train()
    assert encoder.channels == 16 and not encoder.training
    assert not any(isinstance(m, nn.BatchNorm2d) for m in encoder.modules())
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(encoder(images), network.eval().encoder(images), atol=1e-5, rtol=1e-4)
    assert (encoder(images) >= 0).all()


def test_folding_leaves_the_original_alone():
    network = ReconstructionNetwork(width=4).train()
    names = set(network.state_dict())
    fold_batch_norms(network)
    assert set(network.state_dict()) == names and network.training


def test_training_reduces_the_error():
    torch.manual_seed(0)
    training = ReconstructionTraining(ReconstructionNetwork(width=4), rate=LearningRate(5e-3))
    assert training.needs == frozenset()
    optimizers = training.optimizers()

    def update(name, loss):
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()

    images = nn.functional.interpolate(torch.rand(4, 3, 4, 4) * 2 - 1, size=(32, 32), mode="bilinear")
    losses = [float(training.training_step({"image": images, "images_seen": 0}, update)["loss"]) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    assert set(training.inference_weights()) == set(training.network.state_dict())
