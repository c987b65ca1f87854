"""Every CHOICES.csv: its form, that its files exist, and that its keys are keys of the parameters.

A list stands beside the system that it is about (`methods/<system>/`) or beside the paper (`papers/<paper>/`: data,
masks, measurement). Its columns:

point, paper, chosen, source  what is open, what the paper states, what is done here, where that comes from;
        `chosen` names profiles where they differ: `in profile paper`, or offline: `smoke`, `demo` and `photos`
key     the key of params.yaml that holds it, for a system below `methods.<system>`; empty where none does
file    where it is done, below replication/
tables  printed tables that it moves (`1`), and `figure N` where it decides what a diagram or a choice of pictures
        shows; what moves a table also moves the pictures of its runs, and that is not repeated
"""

from __future__ import annotations

import csv
import dataclasses
import importlib
import io
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union

import pytest
import yaml
from pydantic import BaseModel, Field

import replication

PACKAGE = Path(replication.__file__).parent
COLUMNS = ["point", "paper", "chosen", "source", "key", "file", "tables"]
FILES = sorted(PACKAGE.rglob("CHOICES.csv"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def system_of(path: Path) -> str | None:
    """The system whose list this is; None for a paper's list, whose keys are whole paths."""
    return path.parent.name if path.parent.parent == PACKAGE / "methods" else None


every_list = pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)


# The form of a list


def test_there_are_lists():
    assert {"mdrnet", "pconv", "parser", "reconstruction", "attributes", "showface"} <= {f.parent.name for f in FILES}


@every_list
def test_is_a_plain_csv_file(path: Path):
    text = path.read_bytes().decode("utf-8")
    again = io.StringIO()
    csv.writer(again, lineterminator="\n").writerows(csv.reader(io.StringIO(text)))
    assert text == again.getvalue(), "write it with Python's csv module, lines ended by \\n"
    assert next(csv.reader(io.StringIO(text))) == COLUMNS
    assert {len(row) for row in csv.reader(io.StringIO(text))} == {len(COLUMNS)}


@every_list
def test_says_what_where_and_whence(path: Path):
    rows = rows_of(path)
    assert rows
    for row in rows:
        for column in ("point", "paper", "chosen", "source", "file"):
            assert row[column] and row[column] == row[column].strip(), f"{row['point']}: {column}"
        for column in COLUMNS:
            assert "\n" not in row[column], f"{row['point']}: {column} has more than one line"
    points = [row["point"] for row in rows]
    assert sorted(set(points)) == sorted(points), "a point is listed twice"


@every_list
def test_tables_and_figures_are_those_of_the_paper(path: Path):
    allowed = [*"1234", *(f"figure {n}" for n in range(1, 8))]
    for row in rows_of(path):
        named = row["tables"].split(";") if row["tables"] else []
        assert named == [name for name in allowed if name in named], f"{row['point']}: {row['tables']}"


@every_list
def test_files_exist(path: Path):
    missing = sorted({row["file"] for row in rows_of(path) if not (PACKAGE / row["file"]).is_file()})
    assert not missing, f"below replication/ there is no {', '.join(missing)}"


# Its keys


class Settings(NamedTuple):
    """Where a key may stand: the parameters of every profile, and the classes that read them."""

    profiles: Mapping[str, Any]  # name -> composed params.yaml
    kind: Any  # settings of the system, or of params.yaml as a whole


def settings_of(system: str | None) -> Settings:
    """The one place that knows where parameters and settings classes come from.

    With a system, only what stands below `methods.<system>`.
    """
    from replication.config import Parameters
    from replication.profile_files import profile_names, profile_text

    profiles = {name: yaml.safe_load(profile_text(name)) for name in profile_names()}
    if system is None:
        return Settings(profiles, Parameters)
    from replication.methods import Method

    module = importlib.import_module(f"replication.methods.{system}.method")
    (method,) = (value for value in vars(module).values() if isinstance(value, Method))
    return Settings({name: profile["methods"][system] for name, profile in profiles.items()}, method.settings)


def in_tree(tree: Any, path: Sequence[str]) -> bool:
    """Whether nested mappings have a value at this path; a value may be null."""
    for name in path:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return True


def in_class(kind: Any, path: Sequence[str]) -> bool:
    """Whether a settings class has a field at this path; of a union one member has to have it."""
    if not path:
        return True
    kind = getattr(kind, "__value__", kind)  # of a `type X = ...`
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return in_class(inner[0], path)
    if origin in (Union, types.UnionType):
        return any(in_class(member, path) for member in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):  # named sets, runs: any name will do
        return in_class(inner[1], path[1:])
    if dataclasses.is_dataclass(kind):
        fields = typing.get_type_hints(kind, include_extras=True)
    else:
        fields = {name: field.annotation for name, field in getattr(kind, "model_fields", {}).items()}
    return path[0] in fields and in_class(fields[path[0]], path[1:])


@every_list
def test_keys_are_keys_of_the_parameters(path: Path):
    settings = settings_of(system_of(path))
    unknown = []
    for row in rows_of(path):
        if not row["key"]:
            continue
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", row["key"]), row["key"]
        key = row["key"].split(".")
        if not all(in_tree(tree, key) for tree in settings.profiles.values()) and not in_class(settings.kind, key):
            unknown.append(row["key"])
    assert not unknown, f"no key of every profile and no field of the settings: {', '.join(unknown)}"


@dataclasses.dataclass
class Schedule:
    epochs: int | None


class Train(BaseModel):
    source: Literal["train"]
    schedule: Annotated[Schedule, "how long"] | None


class Published(BaseModel):
    source: Literal["published"]
    weights: str


def test_a_key_is_found_in_classes_and_in_trees():
    union = Annotated[Train | Published, Field(discriminator="source")]
    assert in_class(union, ["weights"]) and in_class(union, ["schedule", "epochs"])
    assert not in_class(union, ["wieghts"]) and not in_class(union, ["schedule", "epochs", "count"])
    assert in_class(dict[str, Published], ["celebahq", "weights"])
    assert not in_class(dict[str, Published], ["celebahq", "schedule"]) and not in_class(int, ["count"])
    tree = {"memory": {"decay": 0.99, "read": None}}
    assert in_tree(tree, ["memory"]) and in_tree(tree, ["memory", "read"])
    assert not in_tree(tree, ["memory", "slots"]) and not in_tree(tree, ["memory", "decay", "x"])
