"""Training of MDRNets: what one step moves, which terms it has, resuming, several processes."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_mdrnet
import torch
from tiny_mdrnet import LOSSES, SGDTraining, generator, pictures, run, state, training

from replication.device import choose_device
from replication.distributed import Distributed
from replication.methods.mdrnet.settings import Losses
from replication.methods.mdrnet.trace import MDRNetTrace
from replication.training.schedules import LearningRate
from replication.training.update import Updater

TERMS = {"intra", "inter", "semantic", "reconstruction", "perceptual", "style", "adversarial", "total_variation"}


def one_step(trainable, batch=None, steps: int = 1):
    trainable.train()
    update = Updater(trainable.optimizers(), Distributed(), choose_device("cpu"))
    if batch is None:
        image, mask = pictures()
        batch = {"image": image, "mask": mask}
    for step in range(steps):
        scalars = trainable.training_step(batch | {"step": step, "images_seen": 4 * step}, update)
    return scalars


def snapshot(module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def test_one_step_moves_generator_discriminator_and_memory():
    trainable = training()
    before = snapshot(trainable)
    scalars = one_step(trainable)
    for name, parameter in trainable.named_parameters():
        assert (before[name] != parameter).any(), name
    names = ("agreement", "drift", "entropy", "perplexity", "read_norm", "slots_hit")
    memory_scalars = {f"memory_{name}" for name in names}
    assert set(scalars) == TERMS | {"discriminator", "generator"} | memory_scalars
    assert not any(value.requires_grad or value.dim() for value in scalars.values())
    memory = trainable.generator.memory
    assert memory.started.any() and (before["generator.memory.slots"] != memory.slots).any()


def test_the_memory_is_written_once_a_step():
    trainable = training()
    writes = []
    update = trainable.generator.memory.update

    def counted(query, value, visible):
        writes.append(int(visible.sum()))
        return update(query, value, visible)

    trainable.generator.memory.update = counted
    one_step(trainable, steps=3)
    assert len(writes) == 3 and trainable.generator.memory.hits.sum() == sum(writes) > 0


def test_the_total_is_the_weighted_sum():
    trainable = training()
    scalars = one_step(trainable)
    total = sum(getattr(LOSSES, name) * scalars[name] for name in TERMS)
    torch.testing.assert_close(scalars["generator"], total)


@pytest.mark.parametrize(
    ("off", "absent"),
    [
        ("semantic", {"semantic"}),
        ("perceptual", {"perceptual"}),
        ("style", {"style"}),
        ("total_variation", {"total_variation"}),
        ("adversarial", {"adversarial", "discriminator"}),
    ],
)
def test_terms_of_weight_zero_are_left_out(off, absent):
    trainable = training(losses=Losses(style=1.0) if off != "style" else Losses(style=0.0))
    trainable.losses = Losses(**{"style": 1.0, off: 0.0})
    before = snapshot(trainable.discriminator)
    scalars = one_step(trainable)
    assert TERMS | {"discriminator"} == (set(scalars) & (TERMS | {"discriminator"})) | absent
    assert not set(scalars) & absent
    if off == "adversarial":
        after = trainable.discriminator.state_dict()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def generator_gradient(**losses) -> torch.Tensor:
    """Gradient of the style encoder's first layer under a choice of weights."""
    off = dict.fromkeys(TERMS, 0.0) | {"reconstruction": 1e-6}
    trainable = training(losses=Losses(**(off | losses)))
    one_step(trainable)
    return trainable.generator.refinement.conv_out.weight.grad.clone()


def test_intra_and_inter_can_be_switched_one_by_one():
    none, intra, inter = generator_gradient(), generator_gradient(intra=1.0), generator_gradient(inter=1.0)
    both = generator_gradient(intra=1.0, inter=1.0)
    assert (intra - none).abs().max() > 0 and (inter - none).abs().max() > 0
    assert (intra - inter).abs().max() > 1e-9
    torch.testing.assert_close(both + none, intra + inter, rtol=1e-3, atol=1e-8)


def test_without_coordination_the_encoder_is_never_asked():
    trainable = training(losses=Losses(style=1.0, intra=0.0, inter=0.0))
    trainable.views.encoder = None
    assert not {"intra", "inter"} & set(one_step(trainable))


def test_frozen_networks_are_in_no_checkpoint_and_take_no_gradient():
    trainable = training()
    assert {key.split(".")[0] for key in trainable.state_dict()} == {"generator", "discriminator"}
    assert set(trainable.inference_weights()) == set(trainable.generator.state_dict())
    before = {name: snapshot(module) for name, module in trainable.frozen.items()}
    assert {"coarse", "first_stage_parser", "parser", "encoder"} <= set(before)
    one_step(trainable)
    for name, module in trainable.frozen.items():
        assert not module.training, name
        assert all(p.grad is None and not p.requires_grad for p in module.parameters()), name
        assert all(torch.equal(tensor, before[name][key]) for key, tensor in module.state_dict().items()), name


def test_gradient_passes_through_the_frozen_networks_to_the_output():
    for name in ("semantic", "perceptual", "style", "intra", "inter"):
        trainable = training()
        image, mask = pictures()
        output = (image * 0.5).requires_grad_(True)
        trainable.generator_terms(output, image, mask)[name].backward()
        assert output.grad.any(), name


def test_a_generator_step_leaves_the_discriminator_and_the_reverse():
    trainable = training()
    trainable.train()
    moved = []
    optimizers = trainable.optimizers()
    inner = Updater(optimizers, Distributed(), choose_device("cpu"))

    def update(name, loss):
        before = snapshot(trainable)
        inner(name, loss)
        changed = {key for key, tensor in trainable.state_dict().items() if not torch.equal(tensor, before[key])}
        moved.append((name, {key.split(".")[0] for key in changed}))

    image, mask = pictures()
    trainable.training_step({"image": image, "mask": mask, "images_seen": 0}, update)
    assert moved == [("discriminator", {"discriminator"}), ("generator", {"generator"})]


def test_terms_of_a_perfect_output_are_zero():
    trainable = training()
    image, mask = pictures()
    terms = trainable.generator_terms(image.clone(), image, mask)
    for name in ("reconstruction", "perceptual", "style", "intra", "inter"):
        assert terms[name].item() == pytest.approx(0, abs=1e-6), name


def test_loss_on_the_composite_ignores_the_output_outside_the_hole():
    image, mask = pictures()
    raw = torch.rand_like(image) * 2 - 1
    seen = {}
    for where in ("raw", "composite"):
        trainable = training(losses=Losses(style=1.0, apply_to=where))
        trainable.generator.forward = lambda *_, **__: MDRNetTrace(raw=raw.clone().requires_grad_(True))
        trainable.optimizers()
        seen[where] = trainable.training_step(
            {"image": image, "mask": mask, "images_seen": 0}, lambda name, loss: None
        )["reconstruction"]
    difference = (raw - image).abs() * 0.5
    torch.testing.assert_close(seen["raw"], difference.mean())
    torch.testing.assert_close(seen["composite"], (difference * mask).mean())


def test_a_first_stage_computed_once_gives_the_step_that_computing_it_gives():
    """Not quantised to 8 bits, a table's coarse faces and labels change nothing."""
    image, mask = pictures()
    computed, prepared = training(), training()
    coarse, labels = prepared.first_stage(image, mask)
    prepared.first_stage.coarse_network = prepared.first_stage.parser = None  # not to be asked
    one = one_step(computed)
    two = one_step(prepared, {"image": image, "mask": mask, "coarse": coarse, "labels": labels.long()})
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-6, atol=1e-7)
    for name, tensor in computed.state_dict().items():
        torch.testing.assert_close(tensor, prepared.state_dict()[name], rtol=1e-6, atol=1e-7)


def test_both_rates_follow_the_images_seen():
    trainable = training(discriminator_lr_ratio=0.1)
    trainable.rate = LearningRate(1e-3, "cosine", 8)
    one_step(trainable, steps=2)  # the second step begins at 4 of 8 images
    assert trainable._generator_optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)
    assert trainable._discriminator_optimizer.param_groups[0]["lr"] == pytest.approx(5e-5)
    assert trainable._generator_optimizer.param_groups[0]["betas"] == (0.9, 0.99)


@pytest.mark.parametrize("options", [{"mcm": False}, {"dmm": False, "mcm": False}, {"spade_norm": "batch"}])
def test_ablations_train(options):
    trainable = training(network=generator(**options))
    before = snapshot(trainable)
    scalars = one_step(trainable)
    assert all(torch.isfinite(value) for value in scalars.values())
    assert all((before[name] != p).any() for name, p in trainable.named_parameters())
    assert ("memory_drift" in scalars) == (trainable.generator.memory is not None)


def test_a_step_in_bfloat16_agrees_roughly_with_float32():
    exact, rough = training(), training()
    one = one_step(exact)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        two = one_step(rough)
    for name in TERMS | {"discriminator"}:
        assert two[name].dtype == torch.float32
        torch.testing.assert_close(one[name], two[name], rtol=0.05, atol=0.02)
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in rough.parameters())


# The loop


class Stumbling(tiny_mdrnet.MDRNetTraining):
    """Fails in the third step."""

    def training_step(self, batch, update):
        if batch["step"] == 2:
            raise RuntimeError("power cut")
        return super().training_step(batch, update)


def test_a_compiled_training_agrees_with_the_plain_one(tmp_path):
    """Generator with its memory and spectral discriminator, traced forward and backward, without the C++ compiler."""

    def weights(compiled: bool) -> dict[str, torch.Tensor]:
        trainable = training(SGDTraining, peak=0.1)
        modules = list(trainable.compiled_modules())
        for module in modules:
            module.compile = functools.partial(torch.nn.Module.compile, module, backend="aot_eager")
        run(tmp_path / str(compiled), trainable=trainable, steps=3, compile=compiled)
        assert all((module._compiled_call_impl is not None) == compiled for module in modules)
        return trainable.state_dict()

    plain, compiled = weights(False), weights(True)
    assert plain["generator.memory.hits"].sum() > 0
    for name, tensor in plain.items():
        torch.testing.assert_close(
            compiled[name], tensor, atol=1e-4, rtol=1e-3, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_a_resumed_run_ends_bit_identical(tmp_path):
    run(tmp_path / "straight", steps=4, trainable=training(), checkpoint_steps=2)
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path / "resumed", steps=4, trainable=training(Stumbling), checkpoint_steps=2)
    report = run(tmp_path / "resumed", steps=4, trainable=training(), checkpoint_steps=2)
    assert report.resumed_from == 2
    straight, resumed = state(tmp_path / "straight", 4), state(tmp_path / "resumed", 4)
    for name, tensor in straight["trainable"].items():
        assert torch.equal(tensor, resumed["trainable"][name]), name
    assert "generator.memory.slots" in straight["trainable"]
    for name, optimizer in straight["optimizers"].items():
        for index, moments in optimizer["state"].items():
            for key, value in moments.items():
                assert torch.equal(value, resumed["optimizers"][name]["state"][index][key]), (name, index, key)


def test_two_processes_equal_one_on_the_joint_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(__file__).parent
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(here.parents[2]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    command = [sys.executable, str(here / "tiny_mdrnet.py"), str(tmp_path / "two")]
    together = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    tiny_mdrnet.joint(tmp_path / "one")
    output, _ = together.communicate(timeout=60)
    assert together.returncode == 0, output
    one, two = state(tmp_path / "one", 2)["trainable"], state(tmp_path / "two", 2)["trainable"]
    start = tiny_mdrnet.training(tiny_mdrnet.SGDTraining).state_dict()
    moved = 0
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")
        moved += not torch.equal(tensor, start[name])
    assert moved > len(one) / 2
    assert torch.equal(one["generator.memory.hits"], two["generator.memory.hits"])
    assert one["generator.memory.hits"].sum() > 0
