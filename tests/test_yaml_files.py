"""Reading YAML: what is a number, what is refused and at which line."""

from __future__ import annotations

import math
import time

import pytest
import yaml

from replication.errors import InputError
from replication.yaml_files import parse_yaml, read_yaml, scalar


def refusal(text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "p.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("2e-3", 2e-3), ("1e-05", 1e-5), ("1E5", 1e5), ("2.0e-3", 2e-3), ("2.e+3", 2e3), ("1.5e3", 1.5e3)],
        *[
            (".5", 0.5),
            ("-.5", -0.5),
            ("+.5e1", 5.0),
            ("-1e3", -1e3),
            ("1_000.5", 1000.5),
            ("1.", 1.0),
            ("-.inf", -math.inf),
        ],
        *[("12", 12), ("-3", -3), ("0x10", 16), ("1_000", 1000)],
        *[
            ("'2e-3'", "2e-3"),
            ("e5", "e5"),
            ("1e", "1e"),
            ("1e5a", "1e5a"),
            (".", "."),
            ("-", [None]),
            ("1.2.3", "1.2.3"),
        ],
        *[("true", True), ("no", False), ("", None), ("null", None), ("[1, 2e-1]", [1, 0.2]), ("{a: 1}", {"a": 1})],
    ],
)
def test_scalars(text, value):
    for read in (scalar(text), parse_yaml(f"a:\n  {text}\n", "p.yaml")["a"]):
        assert read == value and type(read) is type(value)


def test_a_value_of_the_command_line_that_is_no_yaml():
    with pytest.raises(InputError, match=r"^the value '\[1' cannot be read as YAML; put it in quotes$"):
        scalar("[1")
    with pytest.raises(InputError, match=r"^the value 'a\\udcff' cannot be read as YAML; put it in quotes$"):
        scalar("a\udcff")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2024-01-01", "2024-01-01 is read as a date; put it in quotes"),
        ("{a: 2024-01-01}", "2024-01-01 is read as a date; put it in quotes"),
        ("{1: a, b: c}", "its key 1 is no text; put it in quotes"),
        ("[{b: {null: c}}]", "its key None is no text; put it in quotes"),
    ],
)
def test_a_value_of_the_command_line_that_no_notebook_can_hold(text, words):
    with pytest.raises(InputError) as caught:
        scalar(text)
    assert str(caught.value) == f"the value {text!r}: {words}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", "p.yaml: a is given twice, at lines 1 and 3"),
        ("a:\n  b: {c: 1,\n   c: 1}\n", "p.yaml: a.b.c is given twice, at lines 2 and 3"),
        ("a:\n- x\n- b: 1\n  b: 2\n", "p.yaml: a[1].b is given twice, at lines 3 and 4"),
        ("on: 1\n'on': 2\ntrue: 3\n", "p.yaml: true is given twice, at lines 1 and 3"),
        ("1: a\n0x1: b\n", "p.yaml: 0x1 is given twice, at lines 1 and 2"),
        ("a: {<<: {x: 1, x: 2}}\n", "p.yaml: x is given twice, at line 1"),
    ],
)
def test_a_key_given_twice(text, sentence):
    assert refusal(text) == sentence


def test_anchors_and_merge_keys():
    text = (
        "x: &x {a: 1, b: 2}\ny: &y\n  <<: *x\n  b: 3\nz: {<<: *y, c: 4}\n"
        "w: {<<: [*y, *x], a: 5}\nv: *y\n1: int\n'1': text\n"
    )
    y = {"a": 1, "b": 3}
    assert parse_yaml(text, "p.yaml") == {
        **{"x": {"a": 1, "b": 2}, "y": y, "z": {**y, "c": 4}, "w": {"a": 5, "b": 3}, "v": y},
        **{1: "int", "1": "text"},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb:\n\tc: 1\n", "p.yaml is not valid YAML at line 3: a tab; YAML is indented by spaces"),
        ("a: 1\nb: \x07\n", "p.yaml is not valid YAML at line 2: control character 0x07"),
        ("é: 1\nb: *c\n", "p.yaml is not valid YAML at line 2: found undefined alias"),
        ("a: 1\nb: 2020-13-45\n", "p.yaml: b, line 2: 2020-13-45 is read as a date; put it in quotes"),
        ("a:\n- b: 2024-01-01\n", "p.yaml: a[0].b, line 2: 2024-01-01 is read as a date; put it in quotes"),
        ("a: 2024-01-01T10:00:00Z\n", "p.yaml: a, line 1: 2024-01-01T10:00:00Z is read as a date; put it in quotes"),
        ("2024-01-01: a\n", "p.yaml: line 1: 2024-01-01 is read as a date; put it in quotes"),
        ("a: !!binary aGk=\n", "p.yaml: a, line 1: aGk= is read as bytes; put it in quotes"),
        ("a: !!set {b, c}\n", "p.yaml: a, line 1: a set cannot be used; write a list or a mapping"),
        ("a: !!omap [b: 1]\n", "p.yaml: a, line 1: an ordered mapping cannot be used; write a list or a mapping"),
        ("a: !!int x\n", "p.yaml is not valid YAML at line 1: 'x' is no int"),
        ("a: &a\n  b: *a\n", "p.yaml is not valid YAML at line 1: found unconstructable recursive node"),
        ("a: 1\n? [1]\n: 2\n", "p.yaml is not valid YAML at line 2: found unhashable key"),
        ("a: 1\n---\nb: 1\n", "p.yaml is not valid YAML at line 2: but found another document"),
        ("a: !!python/object/apply:os.getcwd []\n", "p.yaml is not valid YAML at line 1: could not determine"),
        ("a: 1\nb: caf\xe9\n".encode("latin-1"), "p.yaml is not UTF-8: byte 0xe9 at line 2; save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "p.yaml is not UTF-8: byte 0xff at line 1; save it as UTF-8"),
        ("", "p.yaml must hold a mapping; it holds nothing"),
        ("# a\n", "p.yaml must hold a mapping; it holds nothing"),
        ("- a\n", "p.yaml must hold a mapping; it holds a list"),
        ("a\n", "p.yaml must hold a mapping; it holds a single value"),
    ],
)
def test_what_is_no_mapping_in_yaml(text, sentence):
    assert refusal(text).startswith(sentence)


def test_deep_nesting_is_one_sentence():
    assert refusal("a: " + "[" * 3000 + "]" * 3000).startswith("p.yaml is not valid YAML")


def test_files(tmp_path):
    file = tmp_path / "params.yaml"
    with pytest.raises(InputError, match=r"params\.yaml does not exist$"):
        read_yaml(file)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
    file.write_bytes(b"\xef\xbb\xbfa: 1e-05\r\nb: \xc3\xa9\r\n")
    assert read_yaml(str(file)) == {"a": 1e-5, "b": "é"}
    file.write_text("a: 1\na: 2\n")
    with pytest.raises(InputError, match=r"params\.yaml: a is given twice, at lines 1 and 2$"):
        read_yaml(file)


def test_a_long_lock_file_loads_as_fast_as_by_the_c_parser_alone():
    """Without the C parser, or with a slow check of keys, it takes several times as long."""
    stage = "  train@{}:\n    deps:\n" + "    - path: a/{}.py\n      hash: md5\n      md5: 0a\n      size: 12\n" * 12
    text = "stages:\n" + "".join(stage.replace("{}", str(i)) for i in range(200))
    assert text.count("\n") > 10_000

    def seconds(read) -> float:
        start = time.process_time()
        assert len(read()["stages"]) == 200
        return time.process_time() - start

    ours = min(seconds(lambda: parse_yaml(text, "dvc.lock")) for _ in range(3))
    bare = min(seconds(lambda: yaml.load(text, yaml.CSafeLoader)) for _ in range(3))
    assert ours < 2 * bare
