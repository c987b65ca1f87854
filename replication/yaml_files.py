"""The one reader of YAML: params.yaml, dvc.yaml, dvc.lock, and values typed on the command line.

PyYAML reads YAML 1.1, DVC writes YAML 1.2: there 1e-05 is a number, and here too. PyYAML also takes the last of two
equal keys in silence; here a key given twice is refused with both lines.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from replication.errors import InputError

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


class _Twice(Exception):
    """A key stands twice in one mapping: its node, and the earlier one's."""

    def __init__(self, mapping: yaml.MappingNode, first: yaml.Node, second: yaml.Node) -> None:
        super().__init__()
        self.mapping, self.first, self.second = mapping, first, second


class _Unusable(Exception):
    """A value that is no text, number, true, false, null, list or mapping: its node, and what it is in words."""

    def __init__(self, node: yaml.Node, kind: str) -> None:
        super().__init__()
        self.node, self.kind = node, kind


class _UnusableError(InputError):
    """The same for a user; `sentence` is the part that needs no file."""

    def __init__(self, name: str, path: str, line: int, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(f"{name}: {path}{', ' if path else ''}line {line}: {sentence}")


# The C parser reads a dvc.lock of a few thousand lines ten times faster.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe; floats of YAML 1.2 as well as those of 1.1; no key twice; no value that contains itself."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.root: yaml.Node | None = None
        self._checked: set[int] = set()

    def construct_document(self, node: yaml.Node) -> Any:
        self.root = node
        return super().construct_document(node)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Merging (`<<`) puts the other mapping's pairs into this node, where they may be overridden: a node is looked
        # at once, before that. The nodes live as long as the loader, so their ids stay their own.
        if id(node) not in self._checked:
            self._checked.add(id(node))
            texts = {key.value for key, _ in node.value if key.tag == _TEXT and isinstance(key, yaml.ScalarNode)}
            if len(texts) < len(node.value):  # rare: two are equal, or some are no texts
                self._refuse_twice(node)
        super().flatten_mapping(node)

    def _refuse_twice(self, node: yaml.MappingNode) -> None:
        """The exact check, by value: `1` and `"1"` are two keys, `on` and `true` are one."""
        seen: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            value = self.construct_object(key)
            name = (isinstance(value, str), value)
            if name in seen:
                raise _Twice(node, seen[name], key)
            seen[name] = key


# Without PyYAML's generators a value that contains itself is refused by PyYAML, as nothing here could write it down.
_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, deep=True))
_Loader.add_constructor("tag:yaml.org,2002:seq", lambda loader, node: loader.construct_sequence(node, deep=True))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def _with_line(name: str) -> Any:
    """The constructor of a kind of scalar, with the line in its complaint (of a 13th month, for instance)."""
    construct = yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{name}"]

    def constructor(loader: _Loader, node: yaml.Node) -> Any:
        try:
            return construct(loader, node)
        except (ValueError, IndexError, KeyError) as error:
            problem = f"{node.value!r} is no {name}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    return constructor


for _name in ("bool", "int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _with_line(_name))


def _refused(kind: str) -> Any:
    """The constructor of what no file of this suite may hold: JSON has no such values, and a date stops DVC."""

    def constructor(loader: _Loader, node: yaml.Node) -> Any:
        raise _Unusable(node, kind)

    return constructor


for _name, _kind in {
    "timestamp": "a date",
    "binary": "bytes",
    "set": "a set",
    "omap": "an ordered mapping",
    "pairs": "a list of pairs",
}.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _refused(_kind))


def read_yaml(path: str | Path) -> dict[Any, Any]:
    """The mapping that a YAML file holds.

    Raises:
        InputError: the file is missing, cannot be read, is not UTF-8 or not YAML, gives a key twice, or holds no
            mapping; one sentence, with the line where there is one.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return parse_yaml(content, str(path))


def parse_yaml(text: str | bytes, name: str) -> dict[Any, Any]:
    """The mapping that a YAML text holds; `name` is what the sentences call it.

    Raises:
        InputError: as by `read_yaml`.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            byte = text[error.start]
            raise InputError(f"{name} is not UTF-8: byte 0x{byte:02x} at line {line}; save it as UTF-8") from error
    data = _load(text.removeprefix("\ufeff"), name)
    if isinstance(data, dict):
        return data
    kind = "nothing" if data is None else "a list" if isinstance(data, list) else "a single value"
    raise InputError(f"{name} must hold a mapping; it holds {kind}")


def scalar(text: str) -> Any:
    """A value typed on the command line, as the same text would be read in a file: "2e-3" is a number, "" is None.

    Raises:
        InputError: it is not YAML, holds what JSON cannot, such as a date, or has keys that are no texts.
    """
    try:
        value = _load(text, "the value")
    except _UnusableError as error:
        raise InputError(f"the value {text!r}: {error.sentence}") from error
    except InputError as error:  # its line numbers say nothing about one line
        raise InputError(f"the value {text!r} cannot be read as YAML; put it in quotes") from error
    for key in _keys(value):
        if not isinstance(key, str):
            raise InputError(f"the value {text!r}: its key {key!r} is no text; put it in quotes")
    return value


@contextlib.contextmanager
def composed(text: str) -> Iterator[tuple[yaml.Node | None, Callable[[yaml.Node], Any]]]:
    """The root node of a text that `parse_yaml` can read, and what makes a value of a scalar node."""
    loader = _Loader(text.removeprefix("\ufeff"))
    try:
        yield loader.get_single_node(), loader.construct_object
    finally:
        loader.dispose()


def _keys(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(item)


def _load(text: str, name: str) -> Any:
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except _Twice as twice:
        path = next(_paths(loader.root, twice.mapping, "", set()), "")  # none inside `<<`, which PyYAML has taken out
        key = f"{path}.{twice.second.value}" if path else twice.second.value
        first, second = twice.first.start_mark.line + 1, twice.second.start_mark.line + 1
        lines = f"lines {first} and {second}" if first != second else f"line {first}"
        raise InputError(f"{name}: {key} is given twice, at {lines}") from None
    except _Unusable as found:
        path, node = next(_paths(loader.root, found.node, "", set()), ""), found.node
        what = f"{node.value} is read as {found.kind}; put it in quotes"
        if not isinstance(node, yaml.ScalarNode):
            what = f"{found.kind} cannot be used; write a list or a mapping"
        raise _UnusableError(name, path, node.start_mark.line + 1, what) from None
    except UnicodeEncodeError as error:  # what a shell hands over may be no text
        raise InputError(f"{name} is not UTF-8") from error
    except RecursionError as error:
        raise InputError(f"{name} is not valid YAML: it is nested too deeply") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, text.find(chr(error.character))) + 1
        problem = f"control character {error.character:#04x}"
        raise InputError(f"{name} is not valid YAML at line {line}: {problem}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{name} is not valid YAML at line {mark.line + 1}: {_problem(error, text)}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not valid YAML") from error
    finally:
        if loader is not None:
            loader.dispose()


def _problem(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong, on one line; a tab is called one, as it cannot be seen."""
    mark = error.problem_mark
    lines = text.splitlines()
    if mark is not None and mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        return "a tab; YAML is indented by spaces"
    return " ".join(str(error.problem).split())


def _paths(node: yaml.Node | None, wanted: yaml.Node, path: str, passed: set[int]) -> Iterator[str]:
    """Dotted keys under which a node stands."""
    if node is wanted:
        yield path
    elif id(node) not in passed:
        passed.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from _paths(value, wanted, f"{path}.{key.value}" if path else str(key.value), passed)
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                yield from _paths(value, wanted, f"{path}[{i}]", passed)
