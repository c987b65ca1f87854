"""Profiles put together as text, made active without a loss, and the schema that editors check params.yaml with."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest

from replication import profile_files
from replication.config import load_parameters
from replication.errors import InputError
from replication.methods.registry import file_of, methods
from replication.profile_files import (
    PROFILES,
    SCHEMA,
    SCHEMA_LINE,
    activate_profile,
    load_profile,
    profile_names,
    profile_text,
    schema_text,
    write_schema,
)
from replication.yaml_files import parse_yaml, read_yaml

NAMES = ["demo", "paper", "photos", "smoke"]


def comments(text: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


# Composing


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_its_shared_file_and_every_systems_block(name):
    """The text, read as YAML, holds what its pieces hold when they are read by themselves."""
    data = parse_yaml(profile_text(name), name)
    assert data.keys() - {"methods", "runs"} == read_yaml(PROFILES / f"{name}.yaml").keys()
    assert {key: data[key] for key in data if key not in ("methods", "runs")} == read_yaml(PROFILES / f"{name}.yaml")
    assert list(data["methods"]) == list(data["runs"]) == list(methods())
    for method in methods():
        block = read_yaml(file_of(method, "profiles.yaml"))[name]
        assert (data["methods"][method], data["runs"][method]) == (block["settings"], block["runs"]), method


@pytest.mark.parametrize("name", NAMES)
def test_comments_survive(name):
    found = comments(profile_text(name))
    assert set(comments((PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))) <= set(found)
    for one in methods().values():
        assert one.title in found
        file = file_of(one.name, "profiles.yaml").read_text(encoding="utf-8")
        _, _, block = file.partition(f"\n{name}:\n")
        block = block.split("\n\n")[0]
        assert "settings:" in block
        assert set(comments(block)) <= set(found), one.name


def test_the_text_begins_with_the_line_that_editors_read():
    assert profile_text("smoke").splitlines()[0] == SCHEMA_LINE
    assert SCHEMA_LINE.endswith(SCHEMA.relative_to(PROFILES.parents[1]).as_posix())


def test_a_profile_that_does_not_exist(tmp_path):
    for make in (profile_text, load_profile, lambda name: activate_profile(name, tmp_path / "params.yaml")):
        with pytest.raises(InputError, match=r"^profile 'smok' does not exist; did you mean 'smoke'\?"):
            make("smok")
    assert not (tmp_path / "params.yaml").exists()


def test_a_system_without_a_block_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_files, "file_of", lambda name, file: tmp_path / name / file)
    first = next(iter(methods()))
    with pytest.raises(InputError, match=f"{first}/profiles.yaml does not exist; every system has its block of each"):
        profile_text("smoke")
    (tmp_path / first).mkdir()
    (tmp_path / first / "profiles.yaml").write_text("demo:\n  settings: {}\n  runs: {}\n\nsmoke:\n  settings: {}\n")
    with pytest.raises(InputError, match=f"{first}/profiles.yaml: has no `runs` for the profile smoke"):
        profile_text("smoke")


def test_a_block_may_be_empty_and_have_a_comment(tmp_path, monkeypatch):
    """As the attribute network has no runs where Inception makes the features."""
    for one in methods():
        (tmp_path / one).mkdir()
        text = "smoke:\n  settings: {}  # nothing to set\n  runs: {}  # trained nowhere\n"
        (tmp_path / one / "profiles.yaml").write_text(text)
    monkeypatch.setattr(profile_files, "file_of", lambda name, file: tmp_path / name / file)
    text = profile_text("smoke")
    data = parse_yaml(text, "smoke")
    assert data["runs"] == data["methods"] == {name: {} for name in methods()}
    assert text.count("# trained nowhere") == text.count("# nothing to set") == len(methods())


# Activating


def test_activating_is_idempotent(tmp_path):
    file = tmp_path / "params.yaml"
    assert activate_profile("smoke", file) is True
    before = file.stat().st_mtime_ns
    assert activate_profile("smoke", file) is False
    assert file.stat().st_mtime_ns == before and file.read_text(encoding="utf-8") == profile_text("smoke")
    assert load_parameters(file) == load_profile("smoke")
    assert activate_profile("demo", file) is True and load_parameters(file).profile == "demo"
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_activating_keeps_an_edited_file_beside(tmp_path):
    file = tmp_path / "params.yaml"
    activate_profile("smoke", file)
    edited = file.read_text().replace("seed: 0", "seed: 9", 1)
    file.write_text(edited)
    assert activate_profile("demo", file) is True
    assert (tmp_path / "params.edited.yaml").read_text() == edited
    again = file.read_text().replace("seed: 0", "seed: 7", 1)
    file.write_text(again)
    activate_profile("demo", file)
    assert (tmp_path / "params.edited.yaml").read_text() == edited
    assert (tmp_path / "params.edited-2.yaml").read_text() == again
    file.write_text(edited)
    activate_profile("demo", file)
    assert len(list(tmp_path.glob("params.edited*"))) == 2, "kept already"


def test_an_unreadable_file_is_kept_like_an_edited_one(tmp_path):
    """Someone's params.yaml that is no UTF-8 or no YAML is still theirs."""
    file = tmp_path / "params.yaml"
    for number, content in (("", b"a: \xfc\n"), ("-2", b"profile: [\n")):
        file.write_bytes(content)
        assert activate_profile("smoke", file) is True
        assert (tmp_path / f"params.edited{number}.yaml").read_bytes() == content
        assert load_parameters(file).profile == "smoke"


# The schema


def test_the_committed_schema_is_current():
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "write it: profile_files.write_schema()"


def test_the_schema_is_written_when_it_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_files, "SCHEMA", tmp_path / "params.schema.json")
    assert write_schema() is True and write_schema() is False
    assert json.loads((tmp_path / "params.schema.json").read_text(encoding="utf-8"))["title"] == "params.yaml"


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", NAMES)
def test_the_profiles_validate_against_the_schema(validator, name):
    assert list(validator.iter_errors(parse_yaml(profile_text(name), name))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("imagesize", 64),
        ("image_size", 16),
        ("compute.device", "gpu"),
        ("data.celebahq.folder", "photos"),
        ("methods.mdrnet.memory.slot", 64),
        ("methods.parser.source", "published"),
        ("runs.mdrnet.full.datset", "celebahq"),
        ("runs.gfpgan", {}),
    ],
)
def test_the_schema_refuses_what_loading_refuses(validator, path, value):
    data = copy.deepcopy(parse_yaml(profile_text("demo"), "demo"))
    inner = data
    *parents, last = path.split(".")
    for key in parents:
        inner = inner[key]
    inner[last] = value
    assert list(validator.iter_errors(data)) != []


def test_profile_names_are_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_files, "PROFILES", tmp_path)
    for file in ("mine.yaml", "other.yaml", "params.schema.json"):
        Path(tmp_path / file).write_text("")
    assert profile_names() == ["mine", "other"]
