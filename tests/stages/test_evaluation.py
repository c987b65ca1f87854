"""What measuring a run refuses before any work, and how several trainings become one metrics file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from replication.config import parameters_of
from replication.data.settings import Photos
from replication.data.store import FaceStore
from replication.errors import InputError
from replication.profile_files import profile_text
from replication.stages import evaluation
from replication.stages.evaluation import about_faces
from replication.yaml_files import parse_yaml


@pytest.fixture
def content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return parse_yaml(profile_text("smoke"), "smoke")


def test_a_run_that_no_protocol_measures(content):
    p = parameters_of(content)
    with pytest.raises(InputError, match=r"^run 'parser' is measured by no protocol; give it one in params\.yaml$"):
        evaluation.evaluate_run(p, "parser")
    with pytest.raises(InputError, match=r"^run 'ful' does not exist; did you mean 'full'"):
        evaluation.evaluate_run(p, "ful")


def changed(p, section, **values):
    """Parameters that reading params.yaml would refuse: the stage asks again, of what it was given."""
    return p.model_copy(update={section: getattr(p, section).model_copy(update=values)})


def test_a_protocol_whose_fields_the_set_cannot_have(content):
    content["data"]["ffhq"] = {"title": "p", "source": "photos", "folder": "photos"}
    p = parameters_of(content)
    p.protocols["irregular"] = p.protocols["irregular"].model_copy(update={"exemplar": "same_identity"})
    lacks = r"needs the field identity, which the set lacks \(it has: image\)$"
    with pytest.raises(InputError, match=rf"^protocol 'irregular' on data set 'ffhq': {lacks}"):
        evaluation.evaluate_run(p, "full_ffhq")
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("name", ["pconv", "parser"])
def test_features_come_from_a_network_that_describes_pictures(content, monkeypatch, name):
    monkeypatch.setattr(evaluation, "open_features", lambda parameters, device: object())
    sentence = rf"^evaluation\.features: the network of run '{name}' describes no pictures by vectors$"
    with pytest.raises(InputError, match=sentence):
        evaluation._features(changed(parameters_of(content), "evaluation", features=name), "cpu")


def test_the_filter_of_photos_is_kept_with_the_numbers():
    def about(source: dict) -> dict:
        faces = FaceStore(Path("s"), np.zeros(0), None, pd.DataFrame(), {"source": source})
        return about_faces(Photos(title="p", folder="f"), faces)

    assert about({"kind": "drawn faces"}) == {"dataset_title": "p", "dataset_source": "photos"}
    assert about({"resize_filter": "box"})["resize_filter"] == "box"


def measured(seed: int, value: float, left_out: dict[str, str] | None = None) -> dict:
    block = {"seed": seed, "weights_sha256": f"w{seed}", "protocol": {"version": 3, "left_out": left_out or {}}}
    return {"eyes": {"PSNR": value} | ({} if left_out else {"U_DS": value / 10}), "made_by": [block]}


def test_several_trainings_are_means_with_each_ones_values():
    assert evaluation.over_seeds([measured(4, 20.0)])["made_by"][0]["seeds"] == [4]
    both = evaluation.over_seeds([measured(4, 20.0), measured(5, 23.0, {"U_DS": "eyes: no optimum"})])
    assert both["eyes"] == {"PSNR": 21.5}, "what one training has no value of has no mean"
    (block,) = both["made_by"]
    assert (block["seed"], block["weights_sha256"]) == ([4, 5], ["w4", "w5"])
    assert block["per_seed"]["5"] == {"eyes": {"PSNR": 23.0}}
    assert block["protocol"]["left_out"] == {"U_DS": "eyes: no optimum (seed 5)"}


@pytest.mark.parametrize("order", [1, -1])
def test_what_every_training_lacks_is_left_out_without_a_seed(order):
    everywhere = {"LPIPS": "no weights"}
    both = [measured(0, 20.0, everywhere), measured(1, 22.0, everywhere | {"U_DS": "not converged"})]
    merged = evaluation.over_seeds(both[::order])
    assert merged["eyes"] == {"PSNR": 21.0}
    left_out = merged["made_by"][0]["protocol"]["left_out"]
    assert left_out == {"LPIPS": "no weights", "U_DS": "not converged (seed 1)"}


def test_what_the_trainings_told_of_themselves_is_a_mean():
    both = [measured(0, 20.0), measured(1, 22.0)]
    assert "diagnostics" not in evaluation.over_seeds(both)["made_by"][0]
    for one, read in zip(both, (100.0, 120.5), strict=True):
        one["made_by"][0]["diagnostics"] = {"eyes": {"slots_read": read, "slots": 128.0}}
    told = evaluation.over_seeds(both)["made_by"][0]["diagnostics"]
    assert told == {"eyes": {"slots_read": 110.25, "slots": 128.0}}
