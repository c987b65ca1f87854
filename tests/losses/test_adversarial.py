from __future__ import annotations

import math

import pytest
import torch

from replication.errors import InputError
from replication.losses.adversarial import discriminator_loss, generator_loss


def test_equal_to_the_log_losses_of_a_sigmoid():
    torch.manual_seed(0)
    real, fake = torch.randn(2, 1, 5, 5), torch.randn(2, 1, 5, 5)
    expected = -torch.sigmoid(real).log().mean() - (1 - torch.sigmoid(fake)).log().mean()
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), -torch.sigmoid(fake).log().mean())
    torch.testing.assert_close(generator_loss(fake, "saturating"), (1 - torch.sigmoid(fake)).log().mean())


def test_undecided_discriminator():
    assert float(discriminator_loss(torch.zeros(1), torch.zeros(1))) == pytest.approx(2 * math.log(2))


def test_no_saturation_at_large_logits():
    fake = torch.full((1,), -200.0, requires_grad=True)
    generator_loss(fake).backward()
    assert float(fake.grad) == pytest.approx(-1.0)
    saturated = torch.full((1,), -200.0, requires_grad=True)
    generator_loss(saturated, "saturating").backward()
    assert float(saturated.grad) == 0.0
    with pytest.raises(InputError, match="form"):
        generator_loss(fake, "hinge")
