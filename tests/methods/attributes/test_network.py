from __future__ import annotations

import torch

from replication.evaluation.frechet import FeatureExtractor, metric_key
from replication.methods.attributes.network import AttributeFeatures, AttributeNetwork
from replication.methods.attributes.training import AttributeTraining
from replication.training.schedules import LearningRate


def test_training_learns_attributes():
    torch.manual_seed(0)
    training = AttributeTraining(AttributeNetwork(2, width=4, dimensions=16), rate=LearningRate(1e-2))
    assert training.needs == {"attributes"}
    optimizers = training.optimizers()

    def update(name, loss):
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()

    truth = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]] * 2)
    images = 0.1 * torch.randn(8, 3, 32, 32)
    images[:, 0] += truth[:, :1, None] - 0.5
    images[:, 1, :16] += truth[:, 1:, None] - 0.5
    batch = {"image": images, "attributes": truth, "images_seen": 0}
    scalars = [training.training_step(batch, update) for _ in range(30)]
    assert float(scalars[-1]["loss"]) < 0.3 * float(scalars[0]["loss"])
    assert float(scalars[-1]["accuracy"]) == 1.0


def test_features_are_one_row_per_image_and_named_for_what_they_are():
    torch.manual_seed(0)
    network = AttributeNetwork(3, width=4, dimensions=16)
    network(torch.randn(8, 3, 32, 32))
    extractor = AttributeFeatures(network)
    assert isinstance(extractor, FeatureExtractor)
    assert extractor.name == "FD (attribute network)" and metric_key(extractor) == "FD"
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    rows = extractor.features(images)
    assert rows.shape == (5, 16) and rows.dtype == torch.float32 and not rows.requires_grad
    torch.testing.assert_close(rows[2:3], extractor.features(images[2:3]))
    signed = images.float() / 127.5 - 1
    torch.testing.assert_close(rows, network.eval().embed(signed), atol=1e-5, rtol=1e-4)
