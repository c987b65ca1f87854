from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from replication.evaluation import frechet

sys.path.insert(0, str(Path(__file__).parent))  # for `import toy_samples`


def pictures(height: int = 40, width: int = 33, count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth pictures, and copies with noise of growing strength, so that similarity covers a wide range."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    a, b = [], []
    for i in range(count):
        picture = 128 + 90 * np.sin(x / (4 + i) + rng.uniform(0, 6, (3, 1, 1))) * np.cos(y / 7)
        a.append(picture)
        b.append(picture + rng.normal(0, 1 + 12 * i, picture.shape))
    tensors = (torch.from_numpy(np.clip(np.round(np.stack(v)), 0, 255).astype(np.uint8)) for v in (a, b))
    return tuple(tensors)


@pytest.fixture
def make_pair():
    return pictures


@pytest.fixture
def channels_last():
    return lambda images: images.permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory):
    """A weights file of Inception's layout with random values, scaled so that nothing overflows.

    The published file is not in the repository.
    """
    torch.manual_seed(0)
    network = frechet._inception()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point and value.ndim > 1:
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(network.state_dict(), path)
    return path
