"""What the loop does besides resuming: NaN policy, precision, compilation, seeding, its words."""

from __future__ import annotations

import importlib
import json

import pytest
import torch
from torch import nn
from toy_runs import BATCH, ToyBatches, ToyGAN, train

from replication.device import arithmetic
from replication.errors import InputError
from replication.training.fit import fit
from replication.training.history import read
from replication.training.state import furthest_other_run
from replication.training.status import duration
from replication.training.trainable import Trainable
from replication.training.update import NonFiniteError


def run(trainable, tmp_path, *, steps=3, batches=None, **options):
    arguments = {"state_root": tmp_path, "name": "toy", "config": {}, "seed": 0, "device": "cpu"}
    return fit(trainable, batches or ToyBatches(), steps=steps, **(arguments | options))


def test_report_and_history(tmp_path):
    report = train(tmp_path, steps=10)
    rows = read(report.history)
    assert [row["step"] for row in rows] == [3, 6, 9, 10]  # lines of 3 steps; the last step always has one
    assert set(rows[0]) == {"step", "images_seen", "seconds", "d", "g", "average"}
    assert (report.steps, report.images_seen, report.skipped_updates) == (10, 10 * BATCH, 0)
    assert report.device == "cpu" and report.world_size == 1 and report.resumed_from is None
    assert report.images_per_s > 0 and 0 <= report.loader_wait < 1 and report.peak_memory_mb > 50
    assert report.state_folder.parent == tmp_path / "toy"


def test_a_line_of_the_history_is_the_mean_of_its_steps(tmp_path):
    fine = read(train(tmp_path, steps=6, history_every=1).history)
    coarse = read(train(tmp_path, steps=6, history_every=6).history)
    assert coarse[0]["g"] == pytest.approx(sum(row["g"] for row in fine) / 6, rel=1e-12)
    averages = [row["average"] for row in fine if "average" in row]  # reported at every second step
    assert len(averages) == 3 and coarse[0]["average"] == pytest.approx(sum(averages) / 3, rel=1e-12)


def test_random_numbers_are_a_function_of_seed_and_step(tmp_path):
    class Draws(ToyGAN):
        def training_step(self, batch, update):
            self.clock.append(torch.randn(()).item())
            return super().training_step(batch, update)

    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(draws))  # what came before the run must not matter
        trainable = Draws()
        run(trainable, tmp_path / str(len(draws)), seed=seed)
        draws.append(trainable.clock[::2])
    assert draws[0] == draws[1] and draws[0] != draws[2]
    assert len(set(draws[0])) == 3


def test_nan_stops_with_the_ids_and_leaves_the_weights(tmp_path):
    with pytest.raises(NonFiniteError, match=r"step 7, optimiser 'd': the loss is nan; .*'face-28', "):
        train(tmp_path, broken=7)
    (written,) = tmp_path.glob("toy/*/nan_batch.json")
    particulars = json.loads(written.read_text())
    assert particulars["ids"] == [f"face-{BATCH * 7 + i}" for i in range(BATCH)]
    assert (particulars["step"], particulars["optimizer"], particulars["seed"]) == (7, "d", 3)
    assert sorted(path.name for path in written.parent.glob("*.pt")) == ["step-000000005.pt"]


def test_nan_within_tolerance_is_skipped_and_counted(tmp_path):
    report = train(tmp_path, broken=7, keep_going_on_nan=2)  # both losses of that step
    assert report.skipped_updates == 2
    # The step's images were seen by the moving average, but no optimiser moved: Adam counts its steps.
    state = torch.load(report.state_folder / "step-000000030.pt", weights_only=True)
    assert {int(s["step"]) for o in state["optimizers"].values() for s in o["state"].values()} == {29}
    assert [row["step"] for row in read(report.history) if row["g"] is None] == [9]
    with pytest.raises(NonFiniteError, match="1 updates were skipped before"):
        train(tmp_path, broken=7, keep_going_on_nan=1)


def test_infinite_gradient_of_a_finite_loss_is_caught(tmp_path):
    class Root(ToyGAN):
        def training_step(self, batch, update):
            update("g", (self.g(torch.zeros(1, 4, 4, 4)) * 0).abs().sum().sqrt())
            return {}

    with pytest.raises(NonFiniteError, match=r"optimiser 'g': the gradients have the norm nan \(loss 0\)"):
        run(Root(), tmp_path)


def test_update_computes_only_its_own_gradients(tmp_path):
    class OnlyG(ToyGAN):
        def training_step(self, batch, update):
            loss = self.d(self.g(torch.cat([batch["image"], batch["mask"]], 1))).mean()
            update("g", loss)
            assert all(p.grad is None for p in self.d.parameters())
            assert all(p.grad is not None for p in self.g.parameters())
            return {"g": loss}

    run(OnlyG(), tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda update, loss: update("generator", loss), r"update\('generator'\): the optimisers are d, g"),
        (lambda update, loss: update("g", loss.repeat(2)), r"the loss has shape \(2,\)"),
    ],
)
def test_update_refuses(tmp_path, call, message):
    class Wrong(ToyGAN):
        def training_step(self, batch, update):
            call(update, self.g(torch.zeros(1, 4, 4, 4)).mean())

    with pytest.raises(InputError, match=message):
        run(Wrong(), tmp_path)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_weights(tmp_path):
    class Watching(ToyGAN):
        def training_step(self, batch, update):
            self.seen = self.g(torch.cat([batch["image"], batch["mask"]], 1)).dtype
            return super().training_step(batch, update)

    trainable = Watching()
    run(trainable, tmp_path, precision="bfloat16")
    assert trainable.seen == torch.bfloat16
    assert {p.dtype for p in trainable.parameters()} == {torch.float32}
    exact = ToyGAN()
    run(exact, tmp_path, precision="float32")
    assert torch.allclose(exact.average, trainable.average, atol=1e-3)


def test_bfloat16_never_uses_a_stale_cast(tmp_path):
    """Autocast's own cache would keep the cast of before `update`, and lose gradients after no_grad."""

    class TwoHalves(Trainable):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.d = nn.Linear(4, 1, bias=False)

        def optimizers(self):
            return {"d": torch.optim.SGD(self.d.parameters(), 1.0)}

        def training_step(self, batch, update):
            x = torch.ones(1, 4)
            with torch.no_grad():
                before = self.d(x).sum()
            update("d", self.d(x).sum())
            assert self.d.weight.grad is not None
            return {"moved": before.float() - self.d(x).sum().float()}

    report = run(TwoHalves(), tmp_path, steps=1, precision="bfloat16")
    assert read(report.history)[0]["moved"] == pytest.approx(4.0, abs=0.05)


def test_channels_last_reaches_weights_and_batches(tmp_path):
    class Watching(ToyGAN):
        def training_step(self, batch, update):
            self.seen = batch["image"].is_contiguous(memory_format=torch.channels_last)
            return super().training_step(batch, update)

    for wanted in (True, False):
        trainable = Watching()
        run(trainable, tmp_path, channels_last=wanted)
        assert trainable.g[0].weight.is_contiguous(memory_format=torch.channels_last) == wanted
        assert trainable.seen == wanted


def test_compiled_agrees_with_eager(tmp_path):
    class Generator(nn.Sequential):
        def compile(self):
            # Traced forward and backward, but without the C++ compiler, which takes 15 s.
            super().compile(backend="aot_eager")

    results = []
    for compiled in (False, True):
        trainable = ToyGAN(noise=False)
        trainable.g = Generator(*trainable.g)
        # Spectral norm in the discriminator is slow to trace and adds nothing to the question.
        trainable.compiled_modules = lambda trainable=trainable: [trainable.g]
        report = run(trainable, tmp_path, compile=compiled)
        results.append((trainable.g[0].weight.detach(), read(report.history)))
        assert (trainable.g._compiled_call_impl is not None) == compiled
    (eager, eager_rows), (fast, fast_rows) = results
    assert torch.allclose(eager, fast, atol=1e-4)
    assert [row["g"] for row in eager_rows] == pytest.approx([row["g"] for row in fast_rows], abs=1e-4)


def test_strict_holds_for_the_compiler_too():
    config = importlib.import_module("torch._inductor.config")
    for compiled in (False, True):
        with arithmetic(True, torch.device("cpu"), compiled):
            assert torch.is_deterministic_algorithms_warn_only_enabled() and config.deterministic == compiled
        assert not torch.are_deterministic_algorithms_enabled() and not config.deterministic


def test_strict_puts_the_switches_back(tmp_path):
    class Watching(ToyGAN):
        def training_step(self, batch, update):
            assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
            assert not torch.backends.cudnn.allow_tf32
            return super().training_step(batch, update)

    before = torch.backends.cudnn.allow_tf32
    run(Watching(), tmp_path, strict=True)
    assert not torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.deterministic
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, 'precision is "float16": allowed are float32 and bfloat16'),
        ({"steps": 0}, "steps is 0: it must be at least 1"),
        ({"device": "gpu"}, 'device "gpu" is unknown'),
    ],
)
def test_impossible_arguments(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(ToyGAN(), tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_status_lines_are_plain_without_a_terminal(tmp_path, capsys):
    train(tmp_path, steps=3, log_every_s=0.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "\r" not in "".join(lines)
    assert lines[1].startswith("toy: step 2/3, 8 images, ")
    assert " images/s, " in lines[1] and " | d " in lines[1]
    assert lines[3].startswith("toy: 3 steps, 12 images in ")


def test_a_training_that_begins_anew_says_what_it_leaves_and_keeps_it(tmp_path, capsys):
    """More images after a finished run: hours would be repeated, so that it is said before, and nothing is removed."""
    first = run(ToyGAN(), tmp_path, config={"images": 12})
    before = {path: path.read_bytes() for path in first.state_folder.iterdir()}
    assert "begins from zero" not in capsys.readouterr().out
    second = run(ToyGAN(), tmp_path, config={"images": 20}, steps=5, checkpoint_steps=1)
    assert capsys.readouterr().out.splitlines()[0] == (
        "toy: begins from zero: a finished training of another configuration (images: 12 there, 20 here; fit.steps: "
        f"3 there, 5 here) is in {first.state_folder}, until this one is stored"
    )
    assert before == {path: path.read_bytes() for path in first.state_folder.iterdir()}
    run(ToyGAN(), tmp_path, config={"images": 20}, steps=5)  # its own checkpoint is there now
    assert "begins from zero" not in capsys.readouterr().out
    assert second.state_folder != first.state_folder
    run(ToyGAN(), tmp_path, config={"images": 12})  # and the first one is finished as before
    assert "begins from zero" not in capsys.readouterr().out


def test_of_several_other_trainings_the_finished_one_is_told(tmp_path):
    finished = run(ToyGAN(), tmp_path, config={"images": 12}).state_folder
    unfinished = run(ToyGAN(), tmp_path, config={"images": 99}, steps=9).state_folder
    (manifest,) = unfinished.glob("step-*.json")
    manifest.rename(manifest.with_name("step-000000005.json"))
    (tmp_path / "toy" / "damaged").mkdir()
    (tmp_path / "toy" / "damaged" / "config.json").write_text("{")
    (tmp_path / "toy" / "damaged" / "step-000000099.json").write_text("{")
    assert furthest_other_run(tmp_path / "toy" / "new").told({"images": 12}).startswith("a finished training of")
    assert furthest_other_run(finished).told({"images": 12}).startswith("a training at step 5 of 9 of another")
    assert furthest_other_run(tmp_path / "none" / "new") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(42.4, "42 s"), (100, "2 min"), (3600, "60 min"), (11100, "3 h 05 min"), (187200, "2 d 04 h")],
)
def test_duration(seconds, words):
    assert duration(seconds) == words


def test_frozen_networks_follow_and_stay_out(tmp_path):
    class WithFrozen(ToyGAN):
        def __init__(self):
            super().__init__()
            self.add_frozen("features", nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)))

        def training_step(self, batch, update):
            assert not self.frozen["features"].training
            features = self.frozen["features"](self.g(torch.cat([batch["image"], batch["mask"]], 1)))
            loss = features.square().mean()
            update("g", loss)
            return {"g": loss}

    trainable = WithFrozen()
    before = [p.clone() for p in trainable.frozen["features"].parameters()]
    run(trainable, tmp_path)
    assert not any("features" in key for key in trainable.state_dict())
    after = trainable.frozen["features"].parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert trainable.double().frozen["features"][0].weight.dtype == torch.float64
