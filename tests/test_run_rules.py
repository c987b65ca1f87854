"""Rules between runs: what one looks through fits its images, and processes can share a batch."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from replication.config import parameters_of
from replication.errors import InputError
from replication.methods import MethodSettings
from replication.methods.attributes.settings import AttributeSettings
from replication.profile_files import profile_text
from replication.yaml_files import parse_yaml

DEMO = parse_yaml(profile_text("demo"), "demo")


@pytest.fixture
def data() -> dict[str, Any]:
    return copy.deepcopy(DEMO)


def refused(data: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        parameters_of(data)
    first, *more = str(caught.value).split("\n  ")
    return more or [first]


def test_a_coarse_network_fits_the_images_of_the_runs_that_look_through_it(data):
    """pconv itself is trained at 64 pixels, where all is well; MDRNets on ffhq show it 72."""
    data["data"]["ffhq"]["image_size"] = 72
    data["runs"]["pconv"]["pconv_ffhq"]["change"] = {"levels": 3}
    assert refused(data) == [
        "methods.pconv.levels: image_size 72 must be a multiple of 2^5 = 32; take another size, or fewer levels "
        "(runs of MDRNets look at ffhq through pconv)"
    ]


def test_a_network_that_is_not_used_on_a_data_set_need_not_fit_it(data):
    data["data"]["ffhq"]["image_size"] = 72
    data["runs"]["pconv"]["pconv_ffhq"]["change"] = {"levels": 3}
    data["methods"]["mdrnet"]["coarse"]["for_ffhq"] = "pconv_ffhq"
    assert parameters_of(data).settings_of("pconv_ffhq").levels == 3


def test_what_is_computed_for_a_data_set_without_runs_has_to_fit_too(data):
    data["data"]["ffhq"]["image_size"] = 72
    data["runs"]["pconv"]["pconv_ffhq"]["change"] = {"levels": 3}
    data["runs"]["mdrnet"].pop("full_ffhq")
    assert [line.partition(":")[0] for line in refused(data)] == ["methods.pconv.levels"]
    data["methods"]["mdrnet"]["first_stage"]["pairs"] = 0  # then nothing is computed
    parameters_of(data)


def test_the_key_of_a_needed_runs_own_change_is_named(data):
    data["data"]["ffhq"]["image_size"] = 72
    data["methods"]["pconv"]["levels"] = 3
    data["runs"]["pconv"]["pconv"]["change"] = {"levels": 4}
    (line,) = refused(data)
    assert line.startswith("runs.pconv.pconv.change.levels: image_size 72 must be a multiple of 2^4 = 16")


def test_the_network_of_the_features_fits_all_that_is_measured(data, monkeypatch):
    def misfits(self: MethodSettings, image_size: int):
        if image_size > 64:
            yield "width", "made for 64 pixels"

    monkeypatch.setattr(AttributeSettings, "misfits", misfits)
    parameters_of(data)
    data["data"]["ffhq"]["image_size"] = 96
    assert refused(data) == [
        "methods.attributes.width: made for 64 pixels (evaluation.features looks at ffhq through attributes)"
    ]


def test_processes_that_cannot_share_a_batch_equally_are_refused(data):
    data["compute"]["processes"] = 3
    lines, start = refused(data), "compute.processes: 3 processes cannot share the schedule.batch_size "
    assert all(line.startswith(start) for line in lines)
    assert lines[-2] == f"{start}16 of runs pconv, pconv_ffhq equally (allowed: 1, 2, 4, 8)"
    assert lines[-1].startswith(f"{start}8 of runs full, no_mrem_no_dmm, ")
    assert not any("parser" in line for line in lines)  # trained by one process, whatever the number


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_processes_that_share_all_batches_load(data, processes):
    data["compute"]["processes"] = processes
    assert parameters_of(data).compute.processes == processes


def test_the_batch_size_of_a_runs_change_counts(data):
    data["compute"]["processes"] = 4
    data["runs"]["mdrnet"]["full"]["change"] = {"schedule": {"batch_size": 6}}
    assert refused(data) == [
        "compute.processes: 4 processes cannot share the schedule.batch_size 6 of run full equally (allowed: 1, 2)"
    ]
