"""Training every part of a run by the one loop: what it leaves, that it repeats itself, its seeds, its processes."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from replication import distributed, paths
from replication.errors import InputError, RunError
from replication.methods import Part, Training
from replication.stages import training as stage
from replication.stages.training import train_part, train_run


@pytest.fixture
def prepared(built, monkeypatch):
    """A function that gives what `fit` would be handed for a training: (task, Training)."""
    monkeypatch.setattr(stage, "_fit", lambda parameters, task, method, made, k: (task, made))
    return lambda p, run, k=0: train_part(p, run, p.method_of(run).run_parts[-1], k)


@pytest.fixture
def two_processes(monkeypatch):
    monkeypatch.setattr(distributed, "current", lambda: distributed.Distributed(0, 2))


def test_trained_things_are_whole_and_say_what_they_are(built):
    assert len(built.reports) == 8
    for name, report in built.reports.items():
        run, part, seed = name.split("/")
        folder = paths.model(name)
        assert {file.name for file in folder.iterdir()} == {"weights.safetensors", "card.json", "history.csv"}
        card = json.loads((folder / "card.json").read_text())
        assert card["steps"] == report.steps == (3 if card["method"] == "mdrnet" else 2)
        assert card["images_seen"] == 4 * report.steps and card["training_images"] == built.faces
        assert (card["name"], card["run"], card["part"]) == (name, run, part)
        assert card["seed"] == int(seed == "seed_1")
        assert {"trained_parameters", "parameters", "weights_sha256", "config"} <= set(card)
        assert not {"commit", "device", "seconds", "images_per_s"} & set(card)  # equal trainings, equal folders
        cost = json.loads((paths.COSTS / f"{name}.json").read_text())
        assert {"seed", "commit", "device", "seconds", "images_per_s", "peak_memory_mb"} <= set(cost)
        history = pd.read_csv(folder / "history.csv")
        assert history["step"].iloc[-1] == report.steps and np.isfinite(history.to_numpy(float)).all()


def test_a_run_keeps_one_folder_of_state_for_each_training(built):
    """A failure after the training finds its last checkpoint; older runs are gone."""
    assert all(len(list((paths.STATE / name).iterdir())) == 1 for name in built.reports)


@pytest.mark.parametrize("name", ["full", "pconv", "parser"])
def test_training_again_gives_the_same_bytes(own, name):
    folder = paths.model(paths.training(name, "network"))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(paths.STATE / name)
    shutil.rmtree(folder)
    torch.manual_seed(123)  # nor does what was drawn before matter
    (report,) = train_run(own.parameters, name)
    assert report.resumed_from is None
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_finished_training_asked_for_again_keeps_its_measured_speed(own):
    cost = paths.COSTS / "full/network/seed_0.json"
    before = json.loads(cost.read_text())
    (report,) = train_run(own.parameters, "full")
    assert report.resumed_from == report.steps == 3
    again = json.loads(cost.read_text())
    assert again["images_per_s"] == before["images_per_s"] > 0 and again["seconds"] == before["seconds"]


def test_another_discriminator_leaves_the_generators_start_as_it_is(built, prepared):
    spectral, batch = (
        prepared(built.changed("methods.mdrnet", discriminator_norm=norm), "full")[1].trainable
        for norm in ("spectral", "batch")
    )
    assert len(list(spectral.discriminator.buffers())) != len(list(batch.discriminator.buffers()))
    starts = [trainable.generator.state_dict() for trainable in (spectral, batch)]
    assert all(torch.equal(tensor, starts[1][name]) for name, tensor in starts[0].items())


def test_a_start_follows_from_the_seed_alone(built, prepared):
    starts = []
    for before, k in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(before)
        starts.append(prepared(built.parameters, "shared_memory", k)[1].trainable.generator.state_dict())
    first, again, second = starts
    assert all(torch.equal(tensor, again[key]) for key, tensor in first.items())
    assert any(not torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_seeds_are_separate_trainings_in_another_order(built, prepared):
    first, second = (built.kept[f"shared_memory/network/seed_{k}"].generator.state_dict() for k in (0, 1))
    assert any(not torch.equal(first[key], second[key]) for key in first)
    batches = [stage._batches(*prepared(built.parameters, "shared_memory", k), distributed.current()) for k in (0, 1)]
    assert batches[0].numbers(0).tolist() != batches[1].numbers(0).tolist()
    entries = [[each.fixed_pair(j) for j in range(8)] for each in batches]
    assert entries[0] == entries[1]  # one table for all seeds


def test_only_one_of_several_trainings(own):
    shutil.rmtree(paths.MODELS / "shared_memory")
    shutil.rmtree(paths.STATE / "shared_memory")
    (report,) = train_run(own.parameters, "shared_memory", only=1)
    assert report.steps == 3
    assert [folder.name for folder in (paths.MODELS / "shared_memory" / "network").iterdir()] == ["seed_1"]


def test_what_cannot_be_trained_is_refused(built):
    p = built.parameters
    with pytest.raises(InputError, match=r"^--repeat 2: shared_memory is trained 2 time\(s\), numbered from 0; raise"):
        train_run(p, "shared_memory", only=2)
    with pytest.raises(InputError, match=r"^--part first_stage: MDRNets has the parts network$"):
        train_run(p, "full", part="first_stage")
    with pytest.raises(InputError, match=r"^run 'ful' does not exist; did you mean 'full'\?"):
        train_run(p, "ful")


# Several processes


def test_a_part_that_one_process_trains_is_refused_below_torchrun(built, two_processes):
    for name in ("parser", "reconstruction", "attributes"):
        sentence = rf"^{name}: part network is trained by one process; run it without torchrun$"
        with pytest.raises(InputError, match=sentence):
            train_run(built.parameters, name)


def test_torchrun_is_started_for_the_parts_that_processes_share(built, monkeypatch):
    calls, status = [], [0]

    def run(command, **options):
        calls.append(command)
        return SimpleNamespace(returncode=status[0])

    monkeypatch.setattr(stage.subprocess, "run", run)
    monkeypatch.setattr(stage, "train_part", lambda parameters, name, part, k: calls.append((name, k)))
    p = built.changed("compute", processes=2)
    train_run(p, "parser")
    assert calls == [("parser", 0)]  # no torchrun for what one process trains
    assert train_run(p, "shared_memory", only=1) == []
    _, started = calls
    assert started[1:5] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    verb = ["-m", "replication", "train", "shared_memory", "--part", "network", "--repeat", "1"]
    assert started[5:] == verb
    status[0] = 3
    with pytest.raises(RunError, match=r"^train pconv --part network with 2 processes failed \(exit status 3\)$"):
        train_run(p, "pconv")
    monkeypatch.setenv("WORLD_SIZE", "2")  # one of those that torchrun started
    train_run(p, "pconv")
    assert calls[-1] == ("pconv", 0)


def test_a_batch_that_processes_cannot_share_is_refused(built, prepared):
    with pytest.raises(InputError, match=r"^batch_size 4 cannot be shared by 3 processes: use a multiple$"):
        stage._batches(*prepared(built.parameters, "pconv"), distributed.Distributed(0, 3))


def test_a_field_that_the_part_does_not_declare_is_refused(built, prepared):
    task, made = prepared(built.parameters, "parser")
    assert made.trainable.needs == task.part.fields == {"parsing"}
    undeclared = SimpleNamespace(**vars(task) | {"part": Part("network", task.part.module)})
    with pytest.raises(InputError, match=r"^parser: part network needs the field 'parsing', which it does not declare"):
        stage._batches(undeclared, Training(made.trainable, made.schedule), distributed.current())
