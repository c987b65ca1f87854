"""Every training of the profile `smoke` gives the losses of the checked-in file, where sums round alike exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from replication import paths
from replication.history.losses import COUNT, GOLDEN, TOLERANCE, compare, first_losses, read_golden, rounding
from replication.methods.registry import methods
from replication.profile_files import load_profile
from replication.settings import replace
from replication.stages.faces import prepare_faces
from replication.stages.holes import prepare_masks
from replication.stages.training import compute_part, train_run

golden = read_golden((Path(__file__).parents[2] / GOLDEN).read_bytes())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """name -> columns, of every training of `smoke`, with the threads and the layout that the file was made with."""
    threads = torch.get_num_threads()
    torch.set_num_threads(golden.computed["threads"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("checkout"))
        p = load_profile(golden.profile)
        layout = golden.computed["channels_last"]
        p = replace(p, compute=replace(p.compute, device="cpu", channels_last=layout))
        for dataset in p.data:
            prepare_faces(p, dataset)
        prepare_masks(p)
        for method in methods().values():  # those that others need come first
            for part in method.parts:
                if part.per == "dataset":
                    for dataset in p.datasets_of(part):
                        compute_part(p, method, part, dataset)
            for run in p.run_names(method.name):
                train_run(p, run)
        yield first_losses(paths.MODELS)
    torch.set_num_threads(threads)


def test_the_file_has_every_training_of_its_profile():
    p = load_profile(golden.profile)
    wanted = {
        paths.training(run, part.name, k)
        for run in p.run_names()
        for part in p.method_of(run).run_parts
        for k in range(p.seeds_of(run))
    }
    assert set(golden.trainings) == wanted and len(wanted) == 17
    for columns in golden.trainings.values():
        assert columns["step"] == list(range(1, len(columns["step"]) + 1)) and 5 <= len(columns["step"]) <= COUNT
        assert len(columns) > 1 and all(len(values) == len(columns["step"]) for values in columns.values())


@pytest.mark.slow
def test_every_training_gives_the_losses_of_the_file(trained):
    here = rounding(channels_last=golden.computed["channels_last"], threads=golden.computed["threads"])
    tolerance = 0 if here == golden.computed else TOLERANCE
    assert compare(golden.trainings, trained, tolerance, names=("the file", "this training")) == []


@pytest.mark.slow
def test_the_first_loss_of_networks_that_look_through_no_other_is_the_same_everywhere(trained):
    """Before any update only the forward pass rounds: this holds on every machine, to a relative 1e-5."""
    p = load_profile(golden.profile)
    alone = [run for run in p.run_names() if not any(part.needs for part in p.method_of(run).parts)]
    assert {"parser", "reconstruction", "attributes"} <= {*alone}

    def firsts(trainings):
        names = [paths.training(run, part.name) for run in alone for part in p.method_of(run).run_parts]
        return {name: {key: values[:1] for key, values in trainings[name].items()} for name in names}

    assert compare(firsts(golden.trainings), firsts(trained), 1e-5) == []
