"""A checkout with a few drawn faces, frozen pairs, and untrained networks of every system stored as trained ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from replication import paths
from replication.config import load_parameters
from replication.data.store import FaceStore
from replication.methods.attributes.network import AttributeNetwork
from replication.methods.mdrnet.network import MDRNet
from replication.methods.parser.bisenet import BiSeNet
from replication.methods.pconv.network import PConvUNet
from replication.methods.reconstruction.network import ReconstructionNetwork
from replication.profile_files import profile_text
from replication.settings import plain
from replication.stages import faces as faces_stage
from replication.stages import holes as holes_stage
from replication.training.checkpoint import save_weights
from replication.yaml_files import parse_yaml

TESTS = 6


def small_parameters(folder: Path):
    """The profile `smoke` with fewer faces and slots, and a run on boxes over the eyes with an exemplar."""
    data = parse_yaml(profile_text("smoke"), "smoke")
    for own in data["data"].values():
        own |= {"train": 2, "test": TESTS}
    data["masks"] |= {"train": 3, "test_per_bucket": TESTS}
    data["evaluation"] |= {"pairs_per_bucket": 4, "samples": 3}
    data["methods"]["mdrnet"]["memory"] |= {"slots": 8}
    data["protocols"]["eyes"] = {"holes": "eye_boxes", "exemplar": "other_identity", "datasets": ["celebahq"]}
    data["runs"]["pconv"]["on_eyes"] = {"dataset": "celebahq", "protocol": "eyes"}
    (folder / "params.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    (folder / "dvc.yaml").touch()  # a checkout has it, and the package
    (folder / "replication").mkdir()
    return load_parameters(folder / "params.yaml")


def store_untrained(p, run: str, network: torch.nn.Module) -> None:
    """Keep a network as the training of a run would."""
    method, dataset = p.method_of(run), p.run(run).dataset
    part = method.run_parts[-1]
    settings = plain(p.settings_of(run))
    card = {
        "name": paths.training(run, part.name), "run": run, "method": method.name, "part": part.name,
        "dataset": dataset, "dataset_title": p.data_set(dataset).title, "training_images": 2, "steps": 1,
        "images_seen": 2, "seed": 0, "config": {"settings": settings},
    }  # fmt: skip
    save_weights(paths.model(paths.training(run, part.name)), network.state_dict(), card)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """Its parameters and its folder."""
    folder = tmp_path_factory.mktemp("checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(faces_stage, "usable_processors", lambda: 1)
        patch.setattr(holes_stage, "usable_processors", lambda: 1)
        p = small_parameters(folder)
        for dataset in ("celebahq", "parsing", "attributes"):
            faces_stage.prepare_faces(p, dataset)
        holes_stage.prepare_masks(p.model_copy(update={"protocols": {"irregular": p.protocols["eyes"]}}))
        for protocol in ("irregular", "eyes"):
            holes_stage.prepare_pairs(p, protocol, "celebahq")
        torch.manual_seed(0)
        store_untrained(p, "parser", BiSeNet(width=4, output_stride=4))
        store_untrained(p, "reconstruction", ReconstructionNetwork(width=4))
        attributes = FaceStore.open(paths.store("attributes")).index.columns.str.startswith("attr_").sum()
        store_untrained(p, "attributes", AttributeNetwork(int(attributes), width=p.methods.attributes.width))
        for run in ("pconv", "on_eyes"):
            store_untrained(p, run, PConvUNet(p.methods.pconv.width, p.methods.pconv.levels))
        for run in ("full", "no_mrem_no_dmm", "shared_memory"):
            store_untrained(p, run, MDRNet(p.settings_of(run)))
    return p, folder


@pytest.fixture
def p(checkout, monkeypatch):
    """The parameters, in the checkout's folder."""
    parameters, folder = checkout
    monkeypatch.chdir(folder)
    return parameters
