from __future__ import annotations

import pytest
import torch
import torchvision

from replication.backbones.face_embedding import FaceEmbedding, embedding_network
from replication.errors import InputError


def test_published_size_and_names():
    network = embedding_network()
    assert sum(p.numel() for p in network.parameters()) == 43_024_704
    assert tuple(network.fc.weight.shape) == (256, 2048)


def test_takes_the_published_names_and_equals_torchvisions_network(tmp_path):
    torch.manual_seed(0)
    reference = torchvision.models.resnet101(num_classes=256).eval()
    for module in reference.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    path = tmp_path / "Arcface.pth"
    torch.save(reference.state_dict(), path)
    embedding = FaceEmbedding(path)
    images = (torch.rand(2, 3, 64, 64) * 2 - 1).requires_grad_()
    vectors = embedding(images)
    assert vectors.shape == (2, 256)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    resized = torch.nn.functional.interpolate(images, size=112, mode="bilinear")
    torch.testing.assert_close(vectors, torch.nn.functional.normalize(reference(resized)), rtol=1e-3, atol=1e-5)
    (1 - vectors[0] @ vectors[1]).backward()
    assert images.grad.abs().sum() > 0 and all(p.grad is None for p in embedding.parameters())
    assert embedding.published["file"] == "Arcface.pth" and len(embedding.published["sha256"]) == 64


def test_another_network_is_refused(tmp_path):
    path = tmp_path / "Arcface.pth"
    torch.save(torchvision.models.resnet18(num_classes=256).state_dict(), path)
    with pytest.raises(InputError, match=r"lacks the tensor 'layer1\.0\.conv3\.weight'"):
        FaceEmbedding(path)
    with pytest.raises(InputError, match="begins with"):
        FaceEmbedding(path, sha256="00000000")
