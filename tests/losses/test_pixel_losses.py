from __future__ import annotations

import torch

from replication.losses.reconstruction import reconstruction_loss
from replication.losses.total_variation import total_variation_loss


def test_reconstruction_is_in_unit_range():
    white, black = torch.ones(2, 3, 4, 4), -torch.ones(2, 3, 4, 4)
    assert float(reconstruction_loss(white, black)) == 1.0
    assert float(reconstruction_loss(white, white)) == 0.0


def test_total_variation_of_known_pictures():
    assert float(total_variation_loss(torch.full((1, 3, 8, 8), 0.3))) == 0.0
    stripes = torch.ones(1, 3, 8, 8)
    stripes[..., ::2] = -1
    # Every horizontal step is 1 in [0, 1] units, every vertical step 0.
    assert float(total_variation_loss(stripes)) == 1.0
    board = stripes.clone()
    board[:, :, ::2] *= -1
    assert float(total_variation_loss(board)) == 2.0
