"""Where the two readers of params.yaml disagree, found by reading with both."""

from __future__ import annotations

import pytest
from dvc.utils.serialize import parse_yaml as parse_as_dvc
from ruamel.yaml import YAML, YAMLError

from replication.errors import InputError
from replication.profile_files import profile_names, profile_text
from replication.yaml_files import parse_yaml
from replication.yaml_readers import is_text_to_both, read_differently

DIFFERENT = ["010", "+010", "0o10", "-0o7", "08", "1:30", "190:20:30.15", "no", "yes", "on", "off", "No", "OFF"]
DIFFERENT += [".5e3", "-.5e3"]
ALIKE = ["0", "-3", "0x1F", "0b1", "1_000", "1e3", "2e-3", "1e-05", "1.5e3", "1.e3", ".inf", ".nan", "true", "null"]
ALIKE += ["~", "Null", "TRUE", "y", "n", "e5", "1e", "1.2.3", "text"]


@pytest.mark.parametrize("typed", DIFFERENT + ALIKE)
def test_the_list_is_that_of_dvc_itself(typed):
    """DVC's own function is the judge: if it changes its reader, this fails."""
    text = f"a:\n  b: {typed}\n"
    ours, theirs = parse_yaml(text, "p.yaml")["a"]["b"], parse_as_dvc(text, "p.yaml")["a"]["b"]
    differ = repr(ours) != repr(theirs)
    assert differ == (typed in DIFFERENT)
    found = read_differently(text)
    assert [key for key, _ in found] == (["a.b"] if differ else [])
    assert all(sentence.startswith(f"{typed} is read here, by YAML 1.1, as ") for _, sentence in found)


@pytest.mark.parametrize("quoted", ["'010'", '"no"', "|\n  1:30", ">-\n  on"])
def test_what_is_quoted_is_a_text_to_both(quoted):
    assert read_differently(f"a: {quoted}\n") == []


@pytest.mark.parametrize("name", profile_names())
def test_profiles_read_alike(name):
    assert read_differently(profile_text(name)) == []


def test_lists_merged_mappings_and_aliases_are_told_once_where_they_stand():
    text = "x: &x {q: on}\ny: *x\nz: {<<: *x, r: [1, [no]]}\n"
    lines = [(key, sentence.rpartition("(")[2]) for key, sentence in read_differently(text)]
    assert lines == [("x.q", "line 1)"), ("z.r[1][0]", "line 3)")]


@pytest.mark.parametrize(("typed", "words"), [("null", "null"), ("2024", "the number 2024"), ("~", "null")])
def test_a_key_is_a_text(typed, words):
    (found,) = read_differently(f"a:\n  {typed}: 1\n")
    assert found == (f"a.{typed}", f"a name must be a text, and {typed} is read as {words}; take another name (line 2)")
    assert read_differently(f"a:\n  '{typed}': 1\n") == []


def test_what_dvc_cannot_read_is_one_sentence(monkeypatch):
    def compose(self, text):
        raise YAMLError("while scanning\n  found a tab")

    monkeypatch.setattr(YAML, "compose", compose)
    with pytest.raises(InputError, match=r"^DVC cannot read it: while scanning found a tab$"):
        read_differently("a: 1")


@pytest.mark.parametrize(("name", "good"), [("full", True), ("e5", True), ("y", True), ("no", False), ("null", False)])
def test_names_that_stand_without_quotes(name, good):
    assert is_text_to_both(name) is good
