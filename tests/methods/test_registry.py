"""Finding the systems: their order, and one sentence for each declaration that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import replication
from replication.errors import InputError
from replication.methods import Method, MethodSettings, Need, Part
from replication.methods.registry import file_of, in_order, method, methods
from replication.settings import Settings

MODULE = "replication.methods"  # any module that exists


class Inner(Settings):
    run: str = "c"


class ToySettings(MethodSettings):
    run: str = "c"
    inner: Inner = Inner()


def toy(name: str, *parts: Part, module: str = MODULE, opens: tuple[str, ...] = ()) -> Method:
    return Method(name=name, title=name, paper="none", settings=ToySettings, parts=parts, module=module, opens=opens)


def part(name: str = "network", *needs: str, module: str = MODULE) -> Part:
    return Part(name, module, needs=needs)


def refuse(*found: Method, **folders: Method) -> str:
    with pytest.raises(InputError) as caught:
        in_order({one.name: one for one in found} | folders)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


# Order


def test_each_stands_behind_those_that_it_needs():
    found = {
        "a": toy("a", part("network", "c:inner.run")),
        "b": toy("b", part()),
        "c": toy("c", part("first", "b"), part("second", "first", "b")),
    }
    assert list(in_order(found)) == ["b", "c", "a"]
    assert in_order(found) == found


def test_those_without_needs_are_ordered_by_name():
    found = {name: toy(name, part()) for name in ("a", "b", "c")}
    assert list(in_order(found)) == ["a", "b", "c"]


def test_a_system_may_be_one_whose_runs_need_nothing_but_own_parts():
    one = toy("a", part("first"), part("second", "first"))
    assert in_order({"a": one}) == {"a": one}


def test_needs_as_text():
    assert Need.parse("parser") == Need("parser")
    assert Need.parse("pconv:coarse.run") == Need("pconv", "coarse.run")


# Refusals


def test_a_circle_among_methods():
    words = "methods a, b, c: their needs form a circle, so none of them can be trained first"
    circle = [toy("a", part("network", "b")), toy("b", part("network", "c:run")), toy("c", part("network", "a"))]
    assert refuse(toy("free", part()), *circle) == words
    assert refuse(toy("a", part("network", "a"))).startswith("methods a: their needs form a circle")


def test_a_circle_among_parts():
    one = toy("a", part("first", "third"), part("second", "first"), part("third", "second"), part("fourth"))
    assert refuse(one) == "methods/a/method.py: the needs of its parts first, second, third form a circle"


def test_parts_out_of_order_without_a_name_of_their_own_or_none():
    late = toy("a", part("second", "first"), part("first"))
    assert refuse(late) == (
        "methods/a/method.py: part second stands before one that it needs; parts are trained in their order"
    )
    words = "methods/a/method.py: a method has at least one part, and each has a name of its own"
    assert refuse(toy("a")) == f"{words} (here: [])"
    assert refuse(toy("a", part(), part())) == f"{words} (here: ['network', 'network'])"


def test_fields_and_settings_that_do_not_exist():
    one = Part("network", MODULE, fields=frozenset({"parsin"}))
    assert refuse(toy("a", one)).startswith(
        "methods/a/method.py: part network wants the field 'parsin'; did you mean 'parsing'?"
    )
    one = Part("network", MODULE, settings=("iner",))
    assert refuse(toy("a", one)).startswith(
        "methods/a/method.py: part network reads the setting 'iner'; did you mean 'inner'?"
    )
    words = "methods/a/method.py: {} needs 'c:ruun', whose key is no setting; did you mean 'run'? (allowed: run, inner)"
    assert refuse(toy("c", part()), toy("a", part("network", "c:ruun"))) == words.format("part network")
    assert refuse(toy("c", part()), toy("a", part(), opens=("c:ruun",))) == words.format("open_run")


def test_a_module_that_does_not_exist():
    words = "methods/a/method.py: the module {} does not exist"
    for missing in ("replication.methods.no_such", "replication.no_such.training", "no_such_package.training"):
        assert refuse(toy("a", part(), module=missing)) == words.format(missing)
        assert refuse(toy("a", part("network", module=missing))) == words.format(missing)


def test_a_folder_of_another_name():
    words = "the method is called 'a'; it must be called like its folder, in a-z, 0-9, _"
    assert refuse(b=toy("a", part())) == f"methods/b/method.py: {words}"
    assert refuse(**{"My-System": toy("My-System", part())}).startswith("methods/My-System/method.py: the method is ")


def test_a_need_that_is_no_method():
    assert refuse(toy("parser", part()), toy("a", part("network", "parsr"))) == (
        "methods/a/method.py: part network needs 'parsr', which is no method; did you mean 'parser'? "
        "(allowed: parser, a)"
    )


# The suite's own


def test_every_folder_with_a_declaration_is_found():
    folders = {path.parent.name for path in (Path(replication.__file__).parent / "methods").glob("*/method.py")}
    assert set(methods()) == folders
    assert all(one.name == name for name, one in methods().items())
    assert all(file_of(name, "method.py").is_file() for name in folders)


def test_a_method_by_name():
    first = next(iter(methods()))
    assert method(first) is methods()[first]
    with pytest.raises(InputError, match=rf"method '{first}x' does not exist; did you mean '{first}'\?"):
        method(f"{first}x")


def test_finding_them_imports_no_torch():
    code = "import sys, replication.methods.registry as r; r.methods(); print({'torch', 'numpy'} & set(sys.modules))"
    root = Path(replication.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
