"""What a system computes once for a data set, for all of its runs: the first stage's table of fixed pairs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from replication import distributed, paths
from replication.data.loader import TrainingBatches
from replication.data.masks import MaskStore
from replication.errors import InputError
from replication.methods.opening import open_faces, open_inpainter
from replication.methods.registry import methods
from replication.stages import training as stage
from replication.stages.training import compute_part, train_part, train_run
from replication.training.checkpoint import load_weights, save_weights

MDRNET = methods()["mdrnet"]
FIRST_STAGE = MDRNET.part("first_stage")
FOLDER = paths.shared("mdrnet", "first_stage", "celebahq")


def test_fixed_pairs_hold_what_the_frozen_networks_say(built, monkeypatch):
    coarse, labels = (np.load(FOLDER / f"{name}.npy") for name in ("coarse", "labels"))
    assert coarse.shape == (8, 32, 32, 3) and coarse.dtype == labels.dtype == np.uint8 and labels.max() < 19
    monkeypatch.setattr(stage, "_fit", lambda parameters, task, method, made, k: (task, made))
    task, made = train_part(built.parameters, "full", MDRNET.part("network"), 0)
    batch = stage._batches(task, made, distributed.current()).assemble(np.arange(8))
    face, parsed = open_inpainter(built.parameters, "full")[0].first_stage(batch["image"], batch["mask"])
    assert (face - batch["coarse"]).abs().max() <= 1.01 / 255  # rounded to 8 bits
    assert (parsed == batch["labels"]).float().mean() > 0.999


def test_the_table_is_of_the_pairs_that_training_without_it_sees(built, monkeypatch):
    p = built.changed("methods.mdrnet.first_stage", pairs=0)
    masks = MaskStore.open(paths.masks("celebahq"))
    without = TrainingBatches(open_faces(p, "celebahq"), masks, batch_size=8, seed=p.seed).batch(0)
    monkeypatch.setattr(stage, "_fit", lambda parameters, task, method, made, k: (task, made))
    task, made = train_part(built.parameters, "full", MDRNET.part("network"), 0)
    table = stage._batches(task, made, distributed.current()).assemble(np.arange(8))
    assert table["ids"] == without["ids"]
    assert (table["image"] == without["image"]).all() and (table["mask"] == without["mask"]).all()


def test_computing_it_again_gives_the_same_bytes(own):
    before = {file.name: file.read_bytes() for file in FOLDER.iterdir()}
    shutil.rmtree(FOLDER)
    card = compute_part(own.parameters, MDRNET, FIRST_STAGE, "celebahq")
    assert {file.name: file.read_bytes() for file in FOLDER.iterdir()} == before
    assert json.loads(before["card.json"]) == card and card["pairs"] == 8


def test_without_pairs_there_is_a_card_alone(own):
    p = own.changed("methods.mdrnet.first_stage", pairs=0)
    assert compute_part(p, MDRNET, FIRST_STAGE, "celebahq")["pairs"] == 0
    assert [file.name for file in FOLDER.iterdir()] == ["card.json"]
    (report,) = train_run(p, "full")
    assert report.steps == 3


@pytest.mark.parametrize(
    ("section", "values", "what"),
    [
        ("", {"seed": 1}, "seed"),
        ("methods.mdrnet.first_stage", {"pairs": 4}, "settings"),
        ("methods.mdrnet.coarse", {"paste": False}, "settings"),
    ],
)
def test_a_table_of_another_origin_is_refused(built, section, values, what):
    again = r"run `python -m replication part mdrnet\.first_stage celebahq` again$"
    with pytest.raises(InputError, match=rf"^{FOLDER} was made with other {what}: {again}"):
        train_run(built.changed(section, **values), "no_semantic")
    assert not (paths.MODELS / "no_semantic").exists()


@pytest.mark.parametrize("other", ["network", "faces"])
def test_a_table_of_other_networks_or_faces_is_refused(own, other):
    if other == "network":
        folder = paths.model(paths.training("pconv", "network"))
        weights, card = load_weights(folder)
        save_weights(folder, {key: tensor + 1 for key, tensor in weights.items()}, card)
    else:
        card = paths.store("celebahq") / "store.json"
        text = card.read_text()
        card.write_text(text.replace(json.loads(text)["sha256"], "0" * 64))
    with pytest.raises(InputError, match=rf"^{FOLDER} was made with other inputs: run "):
        train_run(own.parameters, "no_semantic")


def test_a_missing_table_is_named_with_the_verb_that_makes_it(own):
    shutil.rmtree(FOLDER)
    sentence = rf"^{FOLDER} is missing: run `python -m replication part mdrnet\.first_stage celebahq` first$"
    with pytest.raises(InputError, match=sentence):
        train_run(own.parameters, "no_semantic")


def test_what_cannot_be_computed_is_refused(built, monkeypatch):
    among = r"protocols\.irregular\.datasets \(celebahq, ffhq\)$"
    with pytest.raises(InputError, match=r"^mdrnet\.first_stage: 'parsing' is not among " + among):
        compute_part(built.parameters, MDRNET, FIRST_STAGE, "parsing")
    monkeypatch.setattr(distributed, "current", lambda: distributed.Distributed(0, 2))
    with pytest.raises(InputError, match=r"^mdrnet\.first_stage: is computed by one process; run it without torchrun$"):
        compute_part(built.parameters, MDRNET, FIRST_STAGE, "celebahq")
