"""The pipeline by function calls, once for all: a dozen drawn faces of 32 pixels and networks of a few channels."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from replication.config import Parameters, load_parameters, parameters_of
from replication.methods.registry import methods
from replication.profile_files import profile_text
from replication.stages import faces as faces_stage
from replication.stages import holes as holes_stage
from replication.stages import training as training_stage
from replication.stages.evaluation import evaluate_run
from replication.stages.faces import prepare_faces
from replication.stages.holes import prepare_masks, prepare_pairs
from replication.stages.training import compute_part, train_run
from replication.training.fit import FitReport, fit
from replication.yaml_files import parse_yaml

FACES, TESTS = 12, 4
SEEDS = {"shared_memory": 2}
TRAINED = ("parser", "reconstruction", "attributes", "pconv", "full", "no_mrem_no_dmm", "shared_memory")
MEASURED = ("full", "no_mrem_no_dmm", "shared_memory", "pconv")


@dataclass(frozen=True)
class Built:
    """A checkout with everything trained and measured; the working directory is its folder.

    content: of its params.yaml. reports: training (`paths.training`) -> what `fit` said of it. kept: training -> its
    trainable as it was left in memory. faces, tests: images of each data set.
    """

    folder: Path
    content: dict[str, Any]
    parameters: Parameters
    reports: dict[str, FitReport]
    kept: dict[str, torch.nn.Module]
    faces: int = FACES
    tests: int = TESTS
    measured: tuple[str, ...] = MEASURED

    def changed(self, section: str, **values: Any) -> Parameters:
        """The parameters with other values below a dotted section, "" for the top."""
        content = copy.deepcopy(self.content)
        inner = content
        for key in filter(None, section.split(".")):
            inner = inner[key]
        inner |= values
        return parameters_of(content)


def small_content() -> dict[str, Any]:
    """The profile `smoke` with still smaller numbers."""
    content = parse_yaml(profile_text("smoke"), "the profile smoke")
    for data in content["data"].values():
        data |= {"train": FACES, "test": TESTS}
    content["masks"] |= {"train": 12, "test_per_bucket": TESTS}
    content["evaluation"] |= {"pairs_per_bucket": TESTS, "batch_size": 3, "samples": 2}
    content["compute"]["device"] = "cpu"
    settings = content["methods"]
    for name in ("parser", "reconstruction", "attributes", "pconv"):
        settings[name]["schedule"] |= {"batch_size": 4, "images": 8}
    settings["pconv"] |= {"width": 4, "levels": 3}
    settings["mdrnet"]["size"] |= {"channels": 8, "width": 4, "spade_hidden": 4}
    settings["mdrnet"]["schedule"] |= {"batch_size": 4, "images": 12}
    settings["mdrnet"] |= {"discriminator_width": 4}
    settings["mdrnet"]["first_stage"]["pairs"] = 8
    settings["mdrnet"]["memory"]["slots"] = 8
    for run, seeds in SEEDS.items():
        content["runs"]["mdrnet"][run]["seeds"] = seeds
    return content


@pytest.fixture(scope="session")
def _once(tmp_path_factory) -> Built:
    folder, content, kept, reports = tmp_path_factory.mktemp("built"), small_content(), {}, {}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def keep(trainable, batches, **options):
        kept[options["name"]] = trainable
        reports[options["name"]] = fit(trainable, batches, **options)
        return reports[options["name"]]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(faces_stage, "usable_processors", lambda: 1)
            patch.setattr(holes_stage, "usable_processors", lambda: 1)
            patch.setattr(training_stage, "fit", keep)
            p = load_parameters()
            for dataset in p.data:
                prepare_faces(p, dataset)
            prepare_masks(p)
            prepare_pairs(p, "irregular", "celebahq")
            for run in TRAINED:
                if run == "full":
                    compute_part(p, methods()["mdrnet"], methods()["mdrnet"].part("first_stage"), "celebahq")
                train_run(p, run)
            for run in MEASURED:
                evaluate_run(p, run)
    finally:
        torch.set_num_threads(threads)
    return Built(folder, content, p, reports, kept)


@pytest.fixture
def one_thread():
    """Sums of several threads need not be those of one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def built(_once, one_thread, monkeypatch) -> Built:
    """The checkout of all tests, to be read: what changes a file takes `own`."""
    monkeypatch.chdir(_once.folder)
    return _once


@pytest.fixture
def own(_once, one_thread, tmp_path, monkeypatch) -> Built:
    """A copy of it, for tests that train, measure or change a file."""
    folder = shutil.copytree(_once.folder, tmp_path / "checkout")
    monkeypatch.chdir(folder)
    return _once
