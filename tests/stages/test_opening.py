"""Trained runs as they are opened again from their cards, and what is told of those that are not there."""

from __future__ import annotations

import pytest
import torch

from replication import paths
from replication.errors import InputError
from replication.inspection.pair import inspect_pair
from replication.methods.opening import open_inpainter, open_run
from replication.stages.evaluation import evaluate_run
from replication.stages.training import train_run


@pytest.mark.parametrize("name", ["full", "no_mrem_no_dmm"])
def test_a_network_opened_from_its_card_is_the_trained_one(built, name):
    inpainter, card = open_inpainter(built.parameters, name)
    trained = built.kept[f"{name}/network/seed_0"].generator
    opened = inpainter.network.state_dict()
    assert set(opened) == set(trained.state_dict())
    assert all(torch.equal(tensor, opened[key]) for key, tensor in trained.state_dict().items())
    assert (inpainter.network.memory is None) == (name == "no_mrem_no_dmm")
    assert card["parameters"] == sum(p.numel() for p in trained.parameters())


def test_the_coarse_network_opened_from_its_card_is_the_trained_one(built):
    opened = open_inpainter(built.parameters, "pconv")[0].network.state_dict()
    behind = open_inpainter(built.parameters, "full")[0].first_stage.coarse_network.network.state_dict()
    for key, tensor in built.kept["pconv/network/seed_0"].network.state_dict().items():
        assert torch.equal(tensor, opened[key]) and torch.equal(tensor, behind[key]), key


@pytest.mark.parametrize("name", ["parser", "reconstruction", "attributes"])
def test_networks_that_others_look_through_stay_frozen(built, name):
    network = open_run(built.parameters, name).train()
    assert not network.training and list(network.parameters())
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("channels_last", [True, False])
def test_frozen_networks_lie_in_memory_as_the_parameters_say(built, channels_last):
    parameters = built.changed("compute", channels_last=channels_last)
    full = open_inpainter(parameters, "full")[0]
    networks = [open_run(parameters, "parser"), full.network, full.first_stage.coarse_network.network]
    for network in [*networks, full.first_stage.parser]:
        weights = [p for p in network.parameters() if p.ndim == 4]
        laid_out = torch.channels_last if channels_last else torch.contiguous_format
        assert weights and all(p.is_contiguous(memory_format=laid_out) for p in weights)


def test_another_of_several_trainings_is_opened(built):
    for k in (0, 1):
        inpainter, card = open_inpainter(built.parameters, "shared_memory", k=k)
        assert card["seed"] == k
        trained = built.kept[f"shared_memory/network/seed_{k}"].generator.state_dict()
        assert all(torch.equal(tensor, trained[key]) for key, tensor in inpainter.network.state_dict().items())


def test_a_run_is_opened_with_the_settings_that_it_was_trained_with(built):
    """What params.yaml says by now is of the next training."""
    wider = built.changed("methods.mdrnet", size=built.content["methods"]["mdrnet"]["size"] | {"channels": 16})
    assert wider.settings_of("full").size.channels == 16
    opened = open_inpainter(wider, "full")[0].network.state_dict()
    trained = built.kept["full/network/seed_0"].generator.state_dict()
    assert all(torch.equal(tensor, opened[key]) for key, tensor in trained.items())


def test_what_was_not_trained_or_prepared_is_named(built):
    p = built.parameters
    absent = r"^data/models/{0}/network/seed_0 does not exist: network of '{0}' has not been trained yet$"
    with pytest.raises(InputError, match=absent.format("slots_32")):
        evaluate_run(p, "slots_32")
    with pytest.raises(InputError, match=absent.format("no_mrem")):
        inspect_pair(p, "no_mrem")
    for run in ("pconv_ffhq", "full_ffhq"):
        with pytest.raises(InputError, match=absent.format(run)):
            evaluate_run(p, run)
    missing = r"/first_stage/ffhq is missing: run `python -m replication part mdrnet\.first_stage ffhq` first$"
    with pytest.raises(InputError, match=missing):
        train_run(p, "full_ffhq")
    assert not (paths.METRICS / "slots_32.json").exists()


def test_a_network_that_completes_no_faces_is_no_inpainter(built):
    with pytest.raises(InputError, match=r"^run 'parser': face parser \(BiSeNet\) completes no faces$"):
        open_inpainter(built.parameters, "parser")
