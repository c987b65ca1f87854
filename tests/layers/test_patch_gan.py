from __future__ import annotations

import pytest
import torch

from replication.errors import InputError
from replication.layers.patch_gan import PatchGAN


@pytest.mark.parametrize(
    ("arguments", "count"),
    [({}, 2_763_776), ({"bias": True}, 2_764_737), ({"norm": "batch"}, 2_765_633)],
)
def test_parameter_counts(arguments, count):
    assert sum(p.numel() for p in PatchGAN(**arguments).parameters()) == count


def test_thirty_by_thirty_patches_at_256():
    assert PatchGAN(width=4)(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)


def test_a_logit_sees_seventy_pixels():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 256, 256, requires_grad=True)
    PatchGAN(width=4).eval()(images)[0, 0, 15, 15].backward()
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


def test_spectral_norm_bounds_every_layer():
    torch.manual_seed(0)
    network = PatchGAN(width=4)
    for _ in range(50):
        network(torch.randn(2, 3, 32, 32))
    network.eval()
    for layer in network.layers:
        if isinstance(layer, torch.nn.Conv2d):
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
            torch.testing.assert_close(norm, torch.tensor(1.0), atol=2e-2, rtol=0)


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="norm"):
        PatchGAN(norm="instance")
    with pytest.raises(InputError, match="bias"):
        PatchGAN(norm="batch", bias=True)
