"""Where the two readers of params.yaml disagree: this suite, by YAML 1.1 and the floats of 1.2, and DVC, by YAML 1.2.

`seed: 010` is 8 to one and 10 to the other, and `no` is false or a text. DVC writes what it read into dvc.lock, and
compares it with the file: a value that the two read differently is none that it can watch. No spelling is listed here:
every scalar without quotes is read by both.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from replication.errors import InputError
from replication.yaml_files import composed, scalar

_UNREADABLE = object()


def read_differently(text: str) -> list[tuple[str, str]]:
    """(dotted key, sentence) of every value without quotes that DVC reads otherwise, and of every key that is no text.

    text: what `yaml_files.parse_yaml` can read.

    Raises:
        InputError: DVC cannot read it.
    """
    found = []
    with composed(text) as (root, construct):
        node, construct_as_dvc = _composed_as_dvc(text)
        for ours, theirs in itertools.zip_longest(_scalars(root), _scalars(node)):
            if ours is None or theirs is None or ours[1].value != theirs[1].value:
                raise InputError("DVC, by YAML 1.2, finds another structure in it; write it plainly")
            key, one, is_key = ours
            if one.style:  # quoted, or a block of text
                continue
            values = _constructed(construct, one), _constructed(construct_as_dvc, theirs[1])
            if sentence := _sentence(one.value, *values, is_key):
                found.append((key, f"{sentence} (line {one.start_mark.line + 1})"))
    return found


def is_text_to_both(name: str) -> bool:
    """Whether a name without quotes, as the commands of dvc.yaml have it, is read as the text that it is."""
    try:
        node, construct = _composed_as_dvc(name)
        return scalar(name) == name and _constructed(construct, node) == name
    except InputError:
        return False


def _sentence(typed: str, ours: Any, theirs: Any, is_key: bool) -> str | None:
    same = type(ours) is type(theirs) and (ours == theirs or ours != ours)  # (not a number equals nothing)
    if is_key and typed != "<<" and not (same and isinstance(ours, str)):
        read = dict.fromkeys((_words(ours, "the number "), _words(theirs, "the number ")))
        return f"a name must be a text, and {typed or 'nothing'} is read as {' or '.join(read)}; take another name"
    if same:
        return None
    return (
        f"{typed} is read here, by YAML 1.1, as {_words(ours)}, and by DVC, by YAML 1.2, as {_words(theirs)}; write "
        "what you mean so that both agree, a text in quotes"
    )


def _words(value: Any, number: str = "") -> str:
    if value is _UNREADABLE:
        return "an error"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"the text {value!r}" if isinstance(value, str) else f"{number}{value!r}"


def _constructed(construct: Any, node: Any) -> Any:
    try:
        return construct(node)
    except Exception:  # each reader has its own classes for what it cannot read
        return _UNREADABLE


def _composed_as_dvc(text: str) -> tuple[Any, Any]:
    """The root node by ruamel.yaml as DVC calls it (dvc.utils.serialize), and what makes a value of a scalar node."""
    from ruamel.yaml import YAML, YAMLError

    reader = YAML(typ="safe")
    try:
        return reader.compose(text), reader.constructor.construct_object
    except (YAMLError, ValueError) as error:
        raise InputError(f"DVC cannot read it: {' '.join(str(error).split())}") from error


def _scalars(root: Any) -> Iterator[tuple[str, Any, bool]]:
    """(dotted key, node, whether it is a key) of every scalar, in the order of the text."""
    passed: set[int] = set()

    def below(node: Any, path: str, is_key: bool) -> Iterator[tuple[str, Any, bool]]:
        if node is None or id(node) in passed:  # an alias: what it names was looked at where it stands
            return
        passed.add(id(node))
        if node.id == "scalar":
            yield path, node, is_key
        elif node.id == "mapping":
            for key, value in node.value:
                inner = f"{path}.{key.value}" if path else str(key.value)
                yield from below(key, inner, True)
                yield from below(value, inner, False)
        else:
            for i, item in enumerate(node.value):
                yield from below(item, f"{path}[{i}]", False)

    yield from below(root, "", False)
