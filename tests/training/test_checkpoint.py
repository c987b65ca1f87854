"""Checkpoints and finished weights as files."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil

import pytest
import torch
from toy_runs import ToyGAN, train

from replication.errors import InputError
from replication.training.checkpoint import (
    Position,
    config_digest,
    first_differences,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from replication.training.history import History

CONFIG = {"method": "toy", "memory": {"slots": 128, "decay": 0.9}, "widths": [8, 16]}


@pytest.fixture
def toy():
    trainable = ToyGAN()
    return trainable, trainable.optimizers()


def test_position_returns(tmp_path, toy):
    position = Position(7, 56, 12.5, 2, [{"d": 0.1, "g": float("nan")}], 1)
    save_checkpoint(tmp_path, *toy, position, CONFIG)
    loaded = load_checkpoint(tmp_path, *toy, CONFIG)
    assert repr(loaded) == repr(position)  # by repr, since NaN differs from itself


def test_no_checkpoint_is_none(tmp_path, toy):
    assert load_checkpoint(tmp_path, *toy, CONFIG) is None


def test_two_are_kept_and_one_can_be_asked_for(tmp_path, toy):
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, *toy, Position(step), CONFIG)
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == ["step-000000010", "step-000000015"]
    assert load_checkpoint(tmp_path, *toy, CONFIG).step == 15
    assert load_checkpoint(tmp_path, *toy, CONFIG, step=10).step == 10
    assert load_checkpoint(tmp_path, *toy, CONFIG, step=5) is None


def test_other_configuration_is_refused_by_key(tmp_path, toy):
    save_checkpoint(tmp_path, *toy, Position(5), CONFIG)
    other = CONFIG | {"memory": {"slots": 64, "decay": 0.9}}
    with pytest.raises(InputError, match=r"another configuration \(memory.slots: 128 there, 64 here\)"):
        load_checkpoint(tmp_path, *toy, other)


def test_folder_of_another_run_is_refused(tmp_path):
    """As after copying state by hand from one digest to another."""
    one = train(tmp_path, steps=2).state_folder
    other = train(tmp_path, steps=3).state_folder
    shutil.rmtree(other)
    shutil.copytree(one, other)
    with pytest.raises(InputError, match=r"fit.steps: 2 there, 3 here"):
        train(tmp_path, steps=3)


def test_manifest_of_a_file_that_is_not_a_checkpoint(tmp_path, toy, caplog):
    """Hash and manifest may fit and the content still be no checkpoint; nothing of it is executed."""
    save_checkpoint(tmp_path, *toy, Position(5), CONFIG)
    newer = tmp_path / "step-000000006.pt"
    newer.write_bytes(pickle.dumps(ToyGAN, protocol=2))
    manifest = json.loads((tmp_path / "step-000000005.json").read_text())
    digest = hashlib.sha256(newer.read_bytes()).hexdigest()
    manifest |= {"step": 6, "bytes": newer.stat().st_size, "sha256": digest}
    newer.with_suffix(".json").write_text(json.dumps(manifest))
    assert load_checkpoint(tmp_path, *toy, CONFIG).step == 5
    assert "step-000000006.pt is damaged" in caplog.text


def test_networks_of_other_code_are_refused(tmp_path, toy):
    save_checkpoint(tmp_path, *toy, Position(5), CONFIG)
    trainable = ToyGAN()
    trainable.g.append(torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(InputError, match="does not fit the networks of this code"):
        load_checkpoint(tmp_path, trainable, trainable.optimizers(), CONFIG)


def test_digest_ignores_order_and_differences_are_named():
    assert config_digest({"a": 1, "b": 2}) == config_digest({"b": 2, "a": 1})
    assert config_digest({"a": 1}) != config_digest({"a": 1.5})
    assert first_differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}) == []
    assert first_differences({"a": (1, 2)}, {"a": [1, 2]}) == []
    assert first_differences({"a": 1, "b": {"c": 2}}, {"b": {"c": 3, "d": 4}}) == [
        "a: absent there, 1 here",
        "b.c: 3 there, 2 here",
        "b.d: 4 there, absent here",
    ]
    long = {"code": "0123456789abcdef" * 4}
    assert first_differences(long, {"code": "f" * 64}) == ["code: ffffffff... there, 01234567... here"]


def test_weights_round_trip(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    tensors = {"a": shared, "tied": shared, "turned": shared.T, "half": torch.ones(2, dtype=torch.bfloat16)}
    history = History(tmp_path / "history.jsonl", 0)
    history.append(1, 4, 0.5, {"loss": 1.0})
    save_weights(tmp_path / "model", tensors, {"name": "toy", "steps": 1}, history.path)
    loaded, card = load_weights(tmp_path / "model")
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype
    assert (card["name"], card["steps"], card["parameters"]) == ("toy", 1, 20)
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == ["card.json", "history.csv", "weights.safetensors"]


def test_saving_again_replaces_and_is_byte_equal(tmp_path):
    for _ in range(2):
        save_weights(tmp_path / "model", {"b": torch.ones(3), "a": torch.zeros(2)}, {"name": "toy"})
        content = [path.read_bytes() for path in sorted((tmp_path / "model").iterdir())]
    save_weights(tmp_path / "other", {"b": torch.ones(3), "a": torch.zeros(2)}, {"name": "toy"})
    assert content == [path.read_bytes() for path in sorted((tmp_path / "other").iterdir())]


def test_replaced_weights_are_refused(tmp_path):
    save_weights(tmp_path / "model", {"a": torch.ones(3)}, {})
    save_weights(tmp_path / "other", {"a": torch.zeros(3)}, {})
    shutil.copy(tmp_path / "other/weights.safetensors", tmp_path / "model/weights.safetensors")
    with pytest.raises(InputError, match=r"model/weights.safetensors does not have the SHA-256"):
        load_weights(tmp_path / "model")
    with pytest.raises(InputError, match="has no trained weights"):
        load_weights(tmp_path / "nowhere")
