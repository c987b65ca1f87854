"""Settings: what is accepted, every fault at once and in which words, changes laid over them, the JSON schema."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from replication.errors import InputError
from replication.schedule import Schedule
from replication.settings import (
    Count,
    Faults,
    NonNegative,
    Positive,
    Settings,
    Share,
    Weight,
    hint,
    json_schema,
    merge,
    plain,
    read,
    replace,
)


class Drawn(Settings):
    source: Literal["drawn"]
    title: str
    train: Count = 10


class Photos(Settings):
    source: Literal["photos"]
    title: str
    folder: str


class Memory(Settings):
    slots: Annotated[int, Field(ge=1, le=65536)] = 128
    decay: Share = 0.99
    shared: bool = False


class Network(Settings):
    """A network with one of everything."""

    data: Annotated[Drawn | Photos, Field(discriminator="source")] = Drawn(source="drawn", title="faces")
    sets: dict[str, Annotated[Drawn | Photos, Field(discriminator="source")]] = Field(default_factory=dict)
    memory: Memory = Memory()
    schedule: Schedule | None = None
    classes: Literal["19", "14"] = "19"
    patch: Annotated[int, Field(multiple_of=8)] = 8
    width: Count = Field(16, description="channels")
    blocks: NonNegative = 0
    ratio: Positive = 1
    style: Weight = 250.0
    seeds: Count | None = None
    names: tuple[str, ...] = ()
    pair: tuple[float, float] = (0, 1)
    device: int | str | None = None
    change: dict[str, Any] = Field(default_factory=dict)

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.width % 8:
            yield "width", f"must be a multiple of 8, got {self.width}"
        if self.memory.shared and self.memory.slots < 8:
            yield "memory.slots", "at least 8 when shared"


class Validated(Settings):
    """With a validator in pydantic's own way."""

    inner: Memory = Memory()
    width: Count = 1

    @model_validator(mode="after")
    def check(self) -> Validated:
        if self.width > 100:
            raise ValueError("inner.slots: too few: take more")
        if self.width > 50:
            raise ValueError("either: width or nothing")
        if self.width > 20:
            raise Faults([("inner", "no"), ("width", "neither")])
        return self


SCHEDULE = {"batch_size": 8, "lr": 2e-4, "betas": [0.9, 0.99], "epochs": 45}


def refusal(function, *arguments, **keywords) -> list[str]:
    """The lines of an InputError; "" at the front stands for the header of several."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **keywords)
    return str(caught.value).split("\n  ")


# Reading


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"width": "64"}, "width: must be a whole number, got '64'"),
        ({"width": 64.0}, "width: must be a whole number, got 64.0"),
        ({"width": True}, "width: must be a whole number, got True"),
        ({"width": 0}, "width: must be at least 1, got 0"),
        ({"width": 12}, "width: must be a multiple of 8, got 12"),
        ({"patch": 20}, "patch: must be a multiple of 8, got 20"),
        ({"seeds": 0}, "seeds: must be at least 1, got 0"),
        ({"blocks": -1}, "blocks: must be at least 0, got -1"),
        ({"ratio": 0}, "ratio: must be above 0, got 0"),
        ({"ratio": True}, "ratio: must be a finite number, got True"),
        ({"ratio": "2e-3"}, "ratio: must be a finite number, got '2e-3'"),
        ({"ratio": math.nan}, "ratio: must be a finite number, got nan"),
        ({"ratio": math.inf}, "ratio: must be a finite number, got inf"),
        ({"style": -1.0}, "style: must be at least 0, got -1.0"),
        ({"style": None}, "style: must be a finite number, got None"),
        ({"names": "a"}, "names: must be a list, got 'a'"),
        ({"names": ["a", 2]}, "names[1]: must be a text, got 2"),
        ({"pair": [0.9]}, "pair: must be a list of 2 numbers, got [0.9]"),
        ({"pair": []}, "pair: must be a list of 2 numbers, got []"),
        ({"pair": [1, 2, 3]}, "pair: must be a list of 2 numbers, got [1, 2, 3]"),
        ({"pair": 3}, "pair: must be a list of 2 numbers, got 3"),
        ({"device": 1.5}, "device: must be a whole number or a text, got 1.5"),
        ({"classes": 15}, "classes: must be one of 19, 14, got 15"),
        ({"classes": 14.0}, "classes: must be one of 19, 14, got 14.0"),
        ({"memory": 128}, "memory: must be a mapping, got 128"),
        ({"memory": None}, "memory: must be a mapping, got None"),
        ({"change": [1]}, "change: must be a mapping, got [1]"),
        ({"memory": {"decay": 1.01}}, "memory.decay: must be from 0 to 1, got 1.01"),
        ({"memory": {"slots": 0}}, "memory.slots: must be from 1 to 65536, got 0"),
        ({"memory": {"shared": 1}}, "memory.shared: must be true or false, got 1"),
        ({"memory": {"shared": True, "slots": 4}}, "memory.slots: at least 8 when shared"),
        (
            {"memory": {"slot": 4}},
            "memory.slot: unknown key; did you mean 'slots'? (allowed: slots, decay, shared)",
        ),
        ({"memory": {True: 4}}, "memory.True: unknown key (allowed: slots, decay, shared)"),
        ({"schedule": SCHEDULE | {"betas": [0.9, 1.5]}}, "schedule.betas[1]: must be from 0 to 0.99999, got 1.5"),
        ({"schedule": SCHEDULE | {"images": 4}}, "schedule: give exactly one of epochs and images"),
        ({"schedule": SCHEDULE | {"epochs": None}}, "schedule: give exactly one of epochs and images"),
        ({"schedule": {k: v for k, v in SCHEDULE.items() if k != "lr"}}, "schedule: missing key 'lr'"),
        ({"data": {"title": "x"}}, "data: missing key 'source' (allowed: drawn, photos)"),
        ({"data": {"source": "photo"}}, "data.source: must be one of drawn, photos, got 'photo'"),
        ({"data": 3}, "data: must be a mapping, got 3"),
        (
            {"data": {"source": "drawn", "title": "x", "folder": "y"}},
            "data.folder: belongs to source photos; source here is drawn",
        ),
        (
            {"sets": {"ffhq": {"source": "photos", "title": "x"}}},
            "sets.ffhq: missing key 'folder', needed when source is photos",
        ),
        (
            {"sets": {"ffhq": {"source": "drawn", "title": "x", "tran": 3}}},
            "sets.ffhq.tran: unknown key; did you mean 'train'? (allowed: source, title, train)",
        ),
        ({"sets": {5: {}}}, "sets.5: a name must be a text, got 5; put it in quotes"),
    ],
)
def test_one_fault_is_one_sentence(data, sentence):
    if 5 in data.get("sets", {}):
        data["sets"][5] = {"source": "drawn", "title": "x"}
    assert refusal(read, Network, data) == [sentence]
    assert refusal(read, Network, data, path="methods.mdrnet", source="params.yaml") == [f"methods.mdrnet.{sentence}"]


def test_all_faults_at_once():
    data = {
        "widht": 3,
        "memory": {"slots": 0, "decay": 2.0, "shared": True},
        "schedule": SCHEDULE | {"images": 3},
        "data": {"source": "photos", "train": 3},
    }
    lines = [
        "6 faults in params.yaml:",
        "data: missing key 'title', needed when source is photos",
        "data: missing key 'folder', needed when source is photos",
        "data.train: belongs to source drawn; source here is photos",
        "memory.slots: must be from 1 to 65536, got 0",
        "memory.decay: must be from 0 to 1, got 2.0",
        "schedule: give exactly one of epochs and images",
    ]
    header, *rest = refusal(read, Network, data, source="params.yaml")
    assert header == "7 faults in params.yaml:" and rest[:-1] == lines[1:]
    assert rest[-1].startswith("widht: unknown key; did you mean 'width'? (allowed: data, sets, memory, ")
    assert refusal(read, Network, {"width": 4, "memory": {"shared": True, "slots": 2}})[0] == "2 faults:"


def test_faults_of_the_whole_name_the_file():
    assert refusal(read, Memory, None, source="params.yaml") == ["params.yaml: must be a mapping, got None"]
    assert refusal(read, Schedule, {k: SCHEDULE[k] for k in ("lr", "betas", "images", "epochs") if k in SCHEDULE}) == [
        "missing key 'batch_size'"
    ]
    assert refusal(read, Memory, [1], path="a.b") == ["a.b: must be a mapping, got [1]"]


@pytest.mark.parametrize(
    ("width", "faults"),
    [
        (101, [("m.inner.slots", "too few: take more")]),
        (51, [("m", "either: width or nothing")]),
        (21, [("m.inner", "no"), ("m.width", "neither")]),
    ],
)
def test_what_a_models_validator_says_has_its_path(width, faults):
    with pytest.raises(Faults) as caught:
        read(Validated, {"width": width}, path="m")
    assert list(caught.value.faults) == faults


def test_faults_of_several_reads_make_one_error():
    found = []
    for kind, path in ((Memory, "a"), (Schedule, "b")):
        with pytest.raises(Faults) as caught:
            read(kind, {**SCHEDULE, "slots": 0, "batch_size": 0}, path=path)
        found += caught.value.faults
    error = Faults(found, "params.yaml")
    assert str(error).startswith(
        "7 faults in params.yaml:\n  a.slots: must be from 1 to 65536, got 0\n  a.batch_size: "
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.faults, again.source) == (str(error), error.faults, "params.yaml")


def test_a_long_value_is_shortened_and_stays_on_its_line():
    (sentence,) = refusal(read, Memory, {"slots": "a\nb" * 100})
    assert sentence.endswith("...") and len(sentence) < 160


def test_containers_and_unions_are_read_too():
    kind = Annotated[Drawn | Photos, Field(discriminator="source")]
    drawn = {"source": "drawn", "title": "x"}
    assert read(dict[str, kind], {"a": drawn}) == {"a": Drawn(**drawn)}
    lines = refusal(read, dict[str, kind], {"a": {"source": 3}, "b": drawn | {"folder": "f"}}, path="data")[1:]
    assert lines == [
        "data.a.source: must be one of drawn, photos, got 3",
        "data.b.folder: belongs to source photos; source here is drawn",
    ]


# Objects


def test_values_get_their_fields_type_and_nothing_more():
    network = read(Network, {"ratio": 1, "classes": 14, "names": ["a"], "pair": [1, 2], "change": {"a": [1]}})
    assert (network.ratio, type(network.ratio), network.classes) == (1.0, float, "14")
    assert (network.names, network.pair, network.change) == (("a",), (1.0, 2.0), {"a": [1]})
    assert type(Network().ratio) is type(Network().pair[0]) is float  # defaults are validated like values


def test_objects_are_frozen_equal_and_hashable():
    one, two = (read(Network, {"schedule": SCHEDULE, "change": {"a": [1, {"b": 2}]}}) for _ in range(2))
    assert one is not two and one == two and hash(one) == hash(two) and len({one, two, Network()}) == 2
    with pytest.raises(ValidationError):
        one.width = 8
    with pytest.raises(ValidationError, match="exactly one of epochs and images"):
        Schedule(batch_size=8, lr=1, betas=(0, 0))


def test_plain_data_is_json_and_read_back_to_an_equal_object():
    network = read(Network, {"schedule": SCHEDULE, "data": {"source": "photos", "title": "x", "folder": "y"}})
    data = plain(network)
    assert data["schedule"]["betas"] == [0.9, 0.99] and data["data"]["folder"] == "y"
    assert read(Network, json.loads(json.dumps(data))) == network


def test_replace_validates():
    network = replace(Network(), memory=Memory(slots=7), names=["a"])
    assert (network.memory.slots, network.names, network.width) == (7, ("a",), 16)
    assert refusal(replace, network, width=12) == ["width: must be a multiple of 8, got 12"]
    assert refusal(replace, network, widht=8)[0].startswith("widht: unknown key; did you mean 'width'?")


@pytest.mark.parametrize(
    ("given", "images", "steps"),
    [
        ({"images": 3}, 3, 1),
        ({"images": 100}, 100, 12),
        ({"epochs": 45}, 1_260_000, 157_500),
        ({"epochs": 0.5}, 14_000, 1750),
    ],
)
def test_length_of_a_schedule(given, images, steps):
    schedule = Schedule(batch_size=8, lr=1e-3, betas=(0.9, 0.99), **given)
    assert (schedule.total_images(28_000), schedule.steps(28_000)) == (images, steps)


# Changes


def test_a_change_is_laid_over_and_nothing_else_moves():
    base = read(Network, {"schedule": SCHEDULE, "memory": {"slots": 64}, "change": {"a": {"b": 1, "c": 2}}})
    merged = merge(
        base,
        {"memory": {"decay": 0.5}, "schedule": {"epochs": None, "images": 9}, "change": {"a": {"b": 3}}},
        path="runs.mine.change",
    )
    expected = {"memory": {"slots": 64, "decay": 0.5}, "change": {"a": {"b": 3, "c": 2}}}
    assert merged == read(Network, expected | {"schedule": SCHEDULE | {"epochs": None, "images": 9}})
    assert merge(base, {}, path="x") == base and merge(base, {"schedule": None}, path="x").schedule is None
    assert merge(Network(), {"schedule": SCHEDULE}, path="x").schedule == base.schedule


def test_another_source_replaces_the_section_whole():
    base = read(Network, {"sets": {"a": {"source": "drawn", "title": "t", "train": 3}}})
    photos = {"source": "photos", "title": "p", "folder": "f"}
    for path in ("data", "sets"):
        change = {"data": photos} if path == "data" else {"sets": {"a": photos, "b": photos}}
        merged = merge(base, change, path="x")
        assert (merged.data if path == "data" else merged.sets["a"]) == Photos(**photos)
    same = merge(base, {"sets": {"a": {"source": "drawn", "train": 4}}}, path="x").sets["a"]
    assert (same.title, same.train) == ("t", 4)
    assert refusal(merge, base, {"data": {"source": "photos", "folder": "f"}}, path="x") == [
        "x.data: missing key 'title', needed when source is photos"
    ]
    assert refusal(merge, base, {"data": {"folder": "f"}}, path="x") == [
        "x.data.folder: belongs to source photos; source here is drawn"
    ]


def test_all_faults_of_a_change_at_once():
    base = read(Network, {"schedule": SCHEDULE})
    change = {"width": 8, "memory": 64, "memori": {}, "data": 3, "schedule": {"images": 4}, "style": "x"}
    header, *lines = refusal(merge, base, change, path="runs.m.change", fixed=("width",), because="no", source="p.yaml")
    assert header == "6 faults in p.yaml:"
    assert lines[:-1] == [
        "runs.m.change.width: no",
        "runs.m.change.memory: must be a mapping of slots, decay, shared, got 64",
        "runs.m.change.data: must be a mapping of source, title, train, got 3",
        "runs.m.change.schedule: give exactly one of epochs and images",
        "runs.m.change.style: must be a finite number, got 'x'",
    ]
    assert lines[-1].startswith("runs.m.change.memori: unknown key; did you mean 'memory'?")
    assert refusal(merge, base, {"width": 12}, path="c") == ["c.width: must be a multiple of 8, got 12"]
    assert refusal(merge, base, {"width": 16}, path="c", fixed={"width"}) == [
        "c.width: is the same for all runs of the method; change it in the method's own section"
    ]
    assert refusal(merge, Memory(), None, path="c") == ["c: must be a mapping of slots, decay, shared, got None"]
    assert refusal(merge, base, {"memory": None}, path="c") == ["c.memory: must be a mapping, got None"]


# For the user's eyes


def test_hint():
    assert hint("slot", ["slots", "decay"]) == "; did you mean 'slots'? (allowed: slots, decay)"
    assert hint(True, ["slots"]) == " (allowed: slots)"
    assert hint("slots", []) == " (there are none)"


def test_json_schema_describes_and_closes_every_mapping():
    schema = json_schema(Network, "params.yaml")
    assert schema["title"] == "params.yaml" and schema["$schema"].endswith("2020-12/schema")
    assert schema["properties"]["width"] == {"default": 16, "description": "channels", "minimum": 1, "type": "integer"}
    assert schema["properties"]["classes"]["enum"] == ["19", "14", 19, 14]  # both are accepted
    definitions = [schema, *schema["$defs"].values()]
    assert len(definitions) == 5 and all(each["additionalProperties"] is False for each in definitions)
    assert schema["properties"]["data"]["discriminator"]["propertyName"] == "source"
    json.dumps(schema)


def test_the_module_imports_nothing_heavy():
    code = (
        "import sys, replication.settings, replication.yaml_files; print({'torch', 'numpy', 'dvc'} & set(sys.modules))"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "set()\n"
