from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from replication.backbones.imagenet import normalise_signed
from replication.errors import InputError
from replication.methods.parser import bisenet
from replication.methods.parser.bisenet import BiSeNet, FaceParser, published_parser
from replication.methods.parser.training import ParserTraining, hard_example_cross_entropy


def with_lively_norms(network: nn.Module) -> nn.Module:
    """Running statistics as after a training, so that folding them is not trivial."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return network.eval()


def published_names() -> set[str]:
    """Names in `79999_iter.pth`: torchvision's ResNet-18 without classifier, and the BiSeNet parts."""
    with torch.device("meta"):
        resnet = torchvision.models.resnet18()
    names = {f"cp.resnet.{name}" for name in resnet.state_dict() if not name.startswith("fc.")}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    blocks = ["cp.arm16.conv", "cp.arm32.conv", "cp.conv_head32", "cp.conv_head16", "cp.conv_avg"]
    blocks += ["ffm.convblk"] + [f"{head}.conv" for head in ("conv_out", "conv_out16", "conv_out32")]
    for block in blocks:
        names |= {f"{block}.conv.weight"} | {f"{block}.bn.{part}" for part in norm}
    for arm in ("cp.arm16", "cp.arm32"):
        names |= {f"{arm}.conv_atten.weight"} | {f"{arm}.bn_atten.{part}" for part in norm}
    names |= {f"{head}.conv_out.weight" for head in ("conv_out", "conv_out16", "conv_out32")}
    return names | {"ffm.conv1.weight", "ffm.conv2.weight"}


@pytest.fixture(scope="module")
def full_size() -> BiSeNet:
    with torch.device("meta"):
        return BiSeNet(19).eval()


def test_published_size_and_names(full_size):
    assert sum(p.numel() for p in full_size.parameters()) == 13_300_416
    assert sum(p.numel() for p in full_size.cp.resnet.parameters()) == 11_176_512
    assert len(full_size.state_dict()) == 191
    assert set(full_size.state_dict()) == published_names()
    shapes = {name: tuple(value.shape) for name, value in full_size.state_dict().items()}
    assert shapes["cp.arm32.conv.conv.weight"] == (128, 512, 3, 3)
    assert shapes["cp.conv_avg.conv.weight"] == (128, 512, 1, 1)
    assert shapes["ffm.conv1.weight"] == (64, 256, 1, 1)
    assert shapes["conv_out.conv_out.weight"] == (19, 256, 1, 1)
    assert shapes["conv_out16.conv.conv.weight"] == (64, 128, 3, 3)


def test_shapes_at_256(full_size):
    images = torch.empty(1, 3, 256, 256, device="meta")
    assert [tuple(y.shape) for y in full_size(images)] == [(1, 19, 256, 256)] * 3
    trunk = full_size.features(images)
    assert tuple(trunk.layer2.shape) == (1, 128, 32, 32)
    assert tuple(trunk.layer3.shape) == (1, 256, 16, 16)
    assert tuple(trunk.layer4.shape) == (1, 512, 8, 8)
    assert tuple(trunk.stem.shape) == (1, 64, 128, 128)


def test_output_stride_four_doubles_the_grid_with_the_same_weights():
    coarse, fine = BiSeNet(19, width=4), BiSeNet(19, width=4, output_stride=4)
    fine.load_state_dict(coarse.state_dict())
    images = torch.zeros(1, 3, 64, 64)
    assert coarse.eval().features(images).layer2.shape[2:] == (8, 8)
    assert fine.eval().features(images).layer2.shape[2:] == (16, 16)
    with pytest.raises(InputError, match="output_stride"):
        BiSeNet(output_stride=16)


def test_one_pass_gives_the_main_head_and_the_trunk():
    torch.manual_seed(0)
    network = with_lively_norms(BiSeNet(19, width=4))
    images = torch.randn(2, 3, 64, 64)
    logits, trunk = network.forward_with_features(images)
    torch.testing.assert_close(logits, network(images)[0])
    torch.testing.assert_close(trunk.layer3, network.features(images).layer3)


@pytest.mark.parametrize("upscale", [1, 2])
def test_frozen_parser_equals_the_unfolded_network_and_labels_are_its_argmax(upscale):
    torch.manual_seed(0)
    network = with_lively_norms(BiSeNet(19, width=4))
    parser = FaceParser(network, upscale=upscale)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    larger = nn.functional.interpolate(normalise_signed(images), scale_factor=upscale, mode="bilinear")
    expected = network(larger)[0]
    logits = parser(images)
    assert logits.shape == (2, 19, 64, 64)
    torch.testing.assert_close(logits, expected[:, :, ::upscale, ::upscale], atol=1e-4, rtol=1e-4)
    # Labels are those of the enlarged image, reduced by nearest.
    labels = parser.labels(images)
    assert labels.dtype == torch.int64
    assert (labels == expected.argmax(1)[:, ::upscale, ::upscale]).float().mean() > 0.999


def test_frozen_parser_passes_gradient_to_the_image_only_and_never_trains():
    parser = FaceParser(BiSeNet(19, width=4), upscale=2)
    parser.train()
    assert not any(module.training for module in parser.modules())
    assert not any(p.requires_grad for p in parser.parameters())
    images = torch.zeros(1, 3, 32, 32, requires_grad=True)
    parser(images).square().sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(p.grad is None for p in parser.parameters())


def test_frozen_parser_is_a_copy():
    network = BiSeNet(19, width=4)
    parser = FaceParser(network)
    images = torch.zeros(1, 3, 32, 32)
    before = parser(images)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1.0)
    assert torch.equal(parser(images), before)
    assert all(p.requires_grad for p in network.parameters())


def test_published_file_is_checked(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        published_parser(tmp_path / "79999_iter.pth")
    torch.save({}, tmp_path / "79999_iter.pth")
    with pytest.raises(InputError, match="468e13ca"):
        published_parser(tmp_path / "79999_iter.pth")


def test_published_names_are_loaded_and_others_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bisenet, "PUBLISHED_SHA256", "")
    torch.manual_seed(0)
    theirs = with_lively_norms(BiSeNet(19)).state_dict()
    assert set(theirs) == published_names()
    path = tmp_path / "79999_iter.pth"
    torch.save(theirs, path)
    ours = published_parser(path).state_dict()
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())
    assert [entry.name for entry in tmp_path.iterdir()] == ["79999_iter.pth"]
    torch.save({f"module.{key}": value for key, value in theirs.items()}, path)
    with pytest.raises(InputError, match=r"lacks the tensor 'cp\.resnet\.conv1\.weight' of 79999_iter\.pth"):
        published_parser(path)
    torch.save(BiSeNet(11).state_dict(), path)
    with pytest.raises(InputError, match=r"'conv_out\.conv_out\.weight' has the shape \(11, 256, 1, 1\)"):
        published_parser(path)


def test_hard_examples_only():
    # 32 pixels, 3 of them hard: more than 1/16, so the mean is over the three.
    logits = torch.zeros(1, 2, 4, 8)
    logits[:, 0] = 5.0
    labels = torch.zeros(1, 4, 8, dtype=torch.int64)
    labels[0, 0, :3] = 1
    hard = float(torch.log1p(torch.exp(torch.tensor(5.0))))
    assert float(hard_example_cross_entropy(logits, labels)) == pytest.approx(hard, rel=1e-5)
    # All easy: the hardest 1/16 (2 pixels).
    logits[0, 0, 0, 0] = 2.0
    easy = [float(torch.log1p(torch.exp(torch.tensor(-x)))) for x in (2.0, 5.0)]
    loss = hard_example_cross_entropy(logits, torch.zeros_like(labels))
    assert float(loss) == pytest.approx(sum(easy) / 2, rel=1e-5)


@pytest.mark.parametrize("side", [4, 16, 64])
def test_of_equally_hard_pixels_the_first_ones_count(side):
    """All are equally easy; the sixteenth that counts is the first in reading order, whatever a sort does with ties."""
    logits = torch.zeros(1, 2, side, side)
    logits[:, 0] = 3.0
    logits.requires_grad_(True)
    hard_example_cross_entropy(logits, torch.zeros(1, side, side, dtype=torch.int64)).backward()
    learned = logits.grad[0, 0].flatten() != 0
    assert learned.nonzero().flatten().tolist() == list(range(side * side // 16))


@pytest.mark.parametrize(("optimizer", "lr"), [("adam", 1e-2), ("sgd", 1e-2)])
def test_training_learns_labels_and_follows_its_schedule(optimizer, lr):
    torch.manual_seed(0)
    training = ParserTraining(BiSeNet(3, width=4, output_stride=4), steps=60, optimizer=optimizer, lr=lr, warmup=6)
    assert training.needs == {"parsing"}
    labels = torch.zeros(4, 32, 32, dtype=torch.int64)
    labels[:, :, 16:], labels[:2, 20:] = 1, 2
    colours = torch.tensor([[-0.8, -0.5, 0.0], [0.8, 0.0, 0.2], [0.0, 0.7, -0.9]])
    images = colours[labels].movedim(-1, 1) + 0.05 * torch.randn(4, 3, 32, 32)
    optimizers = training.optimizers()

    def update(name, loss):
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()

    history = [
        training.training_step({"image": images, "parsing": labels.byte(), "step": step}, update) for step in range(40)
    ]
    assert float(history[-1]["loss"]) < 0.5 * float(history[0]["loss"])
    assert float(history[-1]["accuracy"]) > 0.8
    rates = [float(step["lr"]) for step in history]
    assert rates[0] == pytest.approx(1e-5) and max(rates) == rates[6] == pytest.approx(lr)
    assert training.learning_rate(33) == pytest.approx(lr * 0.5**0.9) and training.learning_rate(60) == 0
    assert set(training.inference_weights()) == set(training.network.state_dict())


def test_sgd_decays_convolutions_only_and_heads_learn_faster():
    training = ParserTraining(BiSeNet(19, width=4), steps=10, optimizer="sgd")
    groups = training.optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [5e-4, 0.0, 5e-4, 0.0]
    assert training.rates == [1.0, 1.0, 10.0, 10.0]
    assert sum(len(group["params"]) for group in groups) == len(list(training.network.parameters()))
    assert all(p.ndim == 4 for p in groups[0]["params"]) and all(p.ndim == 1 for p in groups[1]["params"])
    with pytest.raises(InputError, match="optimizer"):
        ParserTraining(BiSeNet(19, width=4), steps=10, optimizer="lion")
