"""Published weight files: exactly their names and shapes are taken, anything else is refused in one sentence."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from replication import published_weights
from replication.errors import InputError
from replication.published_weights import (
    ALEXNET,
    INCEPTION,
    STAND_IN,
    VGG16,
    VGG19,
    check_hash,
    conversion_of,
    random_weights,
    read_published_weights,
    sha256_of,
)

SHAPES = {"conv.weight": (4, 3, 3, 3), "bn.running_mean": (4,), "bn.num_batches_tracked": (), "fc.weight": (2, 4)}


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    made = {key: torch.rand(shape) for key, shape in SHAPES.items()}
    return made | {"bn.num_batches_tracked": torch.tensor(7)}


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "net-0123.pth"
    torch.save(tensors(), path)
    return path


def read(path, **more):
    return read_published_weights(path, **({"name": "net-0123.pth", "sha256": None, "expected": SHAPES} | more))


def refusal(path, **more) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **more)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ") and "\n" not in sentence and sentence.endswith(".")
    assert not list(path.parent.glob("*.safetensors")), "what is refused is not converted"
    return sentence.removeprefix(f"{path}: ")


def test_reads_what_was_published(file):
    state, sha256 = read(file)
    assert sha256 == sha256_of(file)
    assert set(state) == set(SHAPES)
    assert all(torch.equal(state[key], value) for key, value in tensors().items())
    assert read(file, sha256=sha256)[1] == read(file, sha256=(sha256[:8], "0"))[1] == sha256


def test_half_precision_becomes_float32_and_a_missing_counter_zero(tmp_path):
    half = {key: value.half() if value.is_floating_point() else value for key, value in tensors().items()}
    del half["bn.num_batches_tracked"]
    torch.save(half, tmp_path / "half.pth")
    state, _ = read(tmp_path / "half.pth")
    assert state["conv.weight"].dtype == torch.float32
    assert torch.equal(state["conv.weight"], half["conv.weight"].float())
    assert state["bn.num_batches_tracked"].dtype == torch.int64 and state["bn.num_batches_tracked"] == 0


def change(**more) -> dict:
    return {key: value for key, value in (tensors() | more).items() if value is not None}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            change(**{"conv.weight": None, "fc.weight": None}),
            "lacks the tensor 'conv.weight' of net-0123.pth (2 missing in all).",
        ),
        (change(extra=torch.zeros(1)), "holds the tensor 'extra', which net-0123.pth does not (1 such in all)."),
        (change(**{"fc.weight": torch.zeros(4, 2)}), "'fc.weight' has the shape (4, 2), in net-0123.pth it is (2, 4)."),
        (
            change(**{"fc.weight": torch.zeros(2, 4, dtype=torch.int32)}),
            "'fc.weight' holds torch.int32, which net-0123.pth does not.",
        ),
        (
            change(**{"bn.num_batches_tracked": torch.tensor(1.0)}),
            "'bn.num_batches_tracked' holds torch.float32, which net-0123.pth does not.",
        ),
        (
            {"state_dict": tensors()},
            "its entry 'state_dict' is no tensor; the weights net-0123.pth are tensors by name.",
        ),
        ({0: torch.zeros(1)}, "its entry '0' is no tensor; the weights net-0123.pth are tensors by name."),
        (torch.zeros(3), "holds no tensors by name, which the weights net-0123.pth are."),
        ({}, "holds no tensors by name, which the weights net-0123.pth are."),
    ],
)
def test_any_other_content_is_refused_by_its_first_difference(tmp_path, content, sentence):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    assert refusal(path) == sentence


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_never_run(tmp_path, zipped):
    path, mark = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save(tensors() | {"evil": Malicious(mark)}, path, _use_new_zipfile_serialization=zipped)
    assert "(posix.mkdir), which could run code" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"cut", b"hello", b"\x80", b"PK\x03\x04", b"x" * 100, b"\x89PNG\r\n"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    assert refusal(path).startswith("cannot be read as the weights net-0123.pth: it is ")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, zipped, share):
    path = tmp_path / "cut.pth"
    torch.save(tensors(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refusal(path).startswith("cannot be read as the weights net-0123.pth: it is ")


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><title>Quota exceeded", b"\n <html>", b'<?xml version="1.0"?><Error>']
)
@pytest.mark.parametrize("sha256", [None, "0123"])
def test_a_web_page_is_called_one(tmp_path, page, sha256):
    path = tmp_path / "page.pth"
    path.write_bytes(page)
    assert refusal(path, sha256=sha256).startswith("is a web page, not the weights net-0123.pth")


def test_a_missing_file_and_another_hash(file, tmp_path):
    found = sha256_of(file)
    assert refusal(tmp_path / "absent.pth") == "no such file; the published weights net-0123.pth are needed here."
    assert refusal(file, sha256="0" * 64) == (
        f"its sha256 begins with {found[:8]}, that of net-0123.pth with 00000000: this is another or a damaged file."
    )
    with pytest.raises(InputError, match="with 0000 or 1111"):
        check_hash(file, name="either", sha256=("0000", "1111"))


def test_converted_once_and_then_the_original_is_not_unpickled(file, monkeypatch):
    state, sha256 = read(file, keep="conv.")
    assert list(state) == ["conv.weight"]
    copy = conversion_of(file, sha256)
    assert copy.is_file() and copy.name == f"net-0123.{sha256[:16]}.safetensors"
    assert not list(file.parent.glob(".*")), "no temporary is left"
    monkeypatch.setattr(torch, "load", None)
    again, _ = read(file, keep="conv.")
    assert torch.equal(again["conv.weight"], tensors()["conv.weight"])


def test_no_conversion_where_none_is_wanted(file):
    read(file, convert=False)
    assert not list(file.parent.glob("*.safetensors"))


@pytest.mark.parametrize("damage", ["cut", "altered", "other", "empty", "garbage"])
def test_a_conversion_that_is_damaged_or_of_another_file_is_made_again(file, tmp_path, monkeypatch, damage):
    _, sha256 = read(file)
    copy = conversion_of(file, sha256)
    whole = copy.read_bytes()
    if damage == "cut":
        copy.write_bytes(whole[:-5])
    elif damage == "altered":  # a number of a tensor, which safetensors itself would not notice
        copy.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    elif damage == "other":
        torch.save(tensors() | {"fc.weight": torch.ones(2, 4)}, tmp_path / "b.pth")
        _, other = read(tmp_path / "b.pth")
        shutil.copy(conversion_of(tmp_path / "b.pth", other), copy)
    else:
        copy.write_bytes(b"" if damage == "empty" else b"x" * 100)
    state, _ = read(file)
    assert all(torch.equal(state[key], value) for key, value in tensors().items())
    assert len(copy.read_bytes()) == len(whole)
    monkeypatch.setattr(torch, "load", None)
    assert torch.equal(read(file)[0]["fc.weight"], tensors()["fc.weight"])


def test_a_changed_original_is_noticed_though_a_conversion_is_there(file):
    _, sha256 = read(file)
    torch.save(change(extra=torch.zeros(1)), file)
    with pytest.raises(InputError, match="this is another or a damaged file"):
        read(file, sha256=sha256)
    with pytest.raises(InputError, match="holds the tensor 'extra'"):
        read(file)


def test_a_folder_that_cannot_be_written_to_costs_only_the_conversion(file, monkeypatch, caplog):
    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(published_weights, "atomic_file", full)
    state, _ = read(file)
    assert torch.equal(state["fc.weight"], tensors()["fc.weight"])
    assert "was not converted" in caplog.text and not list(file.parent.glob("*.safetensors"))


def test_hashes_are_those_in_the_files_names():
    for published in (VGG16, VGG19, ALEXNET, INCEPTION):
        assert published.file.removesuffix(".pth").endswith(f"-{published.sha256}")


def test_the_catalogue_needs_no_torch():
    code = "import sys; import replication.published_weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_random_weights_take_the_place_of_every_file_within_the_block(tmp_path):
    norm = {"b.weight": (4,), "b.running_var": (4,), "b.num_batches_tracked": ()}
    shapes = {"a.weight": (4, 3, 3, 3), **norm, "c": (2, 2)}
    file = tmp_path / "no such file.pth"

    def read(**more):
        return read_published_weights(file, name="x.pth", sha256="0" * 64, expected=shapes, **more)

    with random_weights():
        tensors, sha256 = read()
        assert {key: tuple(value.shape) for key, value in tensors.items()} == shapes
        assert sha256 == check_hash(file, name="x.pth", sha256="0" * 64) == STAND_IN
        assert tensors["a.weight"].std() > 0 and tensors["b.running_var"].tolist() == [1.0] * 4
        assert tensors["b.num_batches_tracked"].dtype == torch.int64
        assert set(read(keep="b.")[0]) == set(norm)
        assert set(read_published_weights(file, name="x", sha256=None, expected=lambda state: shapes)[0]) == set(shapes)
    with pytest.raises(InputError, match="no such file"):
        read()
    with contextlib.suppress(KeyError), random_weights():
        raise KeyError
    with pytest.raises(InputError, match="no such file"):
        read()
    assert list(tmp_path.iterdir()) == []


def test_no_published_hash_begins_like_that_of_random_weights():
    known = [one for one in vars(published_weights).values() if isinstance(one, published_weights.PublishedFile)]
    assert len(known) == 6 and not any(one.sha256 and STAND_IN.startswith(one.sha256) for one in known)
