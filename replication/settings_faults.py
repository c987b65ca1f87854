"""What is said of settings: declared types and their bounds in words, pydantic's errors as faults with a path each.

`settings` is the door to this: nothing else imports it.
"""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ValidationError

from replication.errors import InputError

_SHOWN = 100  # characters of a refused value that a sentence repeats


class Faults(InputError):
    """What is wrong with given settings. The message is one sentence for one fault, else a line for each.

    Several `read`s of one file become one error by `Faults([*first.faults, *second.faults], source)`. A validator of a
    model may raise it too, with paths relative to the model.

    Attributes:
        faults: (dotted path, sentence) pairs, at least one; the path is "" for the whole.
        source: the file's name, or None.
    """

    def __init__(self, faults: Iterable[tuple[str, str]], source: str | None = None) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        self.source = source
        lines = [f"{path}: {sentence}" if path else sentence for path, sentence in self.faults]
        inside = f" in {source}" if source else ""
        if len(lines) > 1:
            message = "\n  ".join([f"{len(lines)} faults{inside}:", *lines])
        elif self.faults[0][0] or not source:
            message = lines[0]
        else:
            message = f"{source}: {lines[0]}"
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:  # exceptions are pickled by their message, which is not enough here
        return Faults, (self.faults, self.source)


def hint(name: object, allowed: Iterable[str]) -> str:
    """The end of a sentence about a name that does not exist: the nearest one, and all that are allowed."""
    allowed = [str(each) for each in allowed]
    if not allowed:
        return " (there are none)"
    close = difflib.get_close_matches(str(name), allowed, n=1)
    return (f"; did you mean {close[0]!r}?" if close else "") + f" (allowed: {', '.join(allowed)})"


# Types as declared


@dataclass(frozen=True)
class Shape:
    """A declared type without its Annotated and its None.

    kind: a class, or a generic such as tuple[float, float], Literal["a"] or A | B.
    bounds: what Annotated said besides (objects with ge, gt, le or lt).
    discriminator: the field whose value says which member of a union it is.
    """

    kind: Any
    bounds: tuple[Any, ...] = ()
    discriminator: str | None = None

    @property
    def members(self) -> tuple[Any, ...]:
        """Members of a union, without None; empty for anything else."""
        if typing.get_origin(self.kind) not in (types.UnionType, typing.Union):
            return ()
        return tuple(each for each in typing.get_args(self.kind) if each is not type(None))

    @property
    def choices(self) -> tuple[Any, ...]:
        return typing.get_args(self.kind) if typing.get_origin(self.kind) is Literal else ()

    @property
    def tags(self) -> dict[Any, Shape]:
        """Value of the discriminator -> the member of the union that it stands for."""
        if self.discriminator is None:
            return {}
        members = [declared(each) for each in self.members]
        return {tag: m for m in members for tag in declared_fields(m.kind)[self.discriminator].choices}

    def below(self, key: Any) -> Shape:
        """The shape of one item; of Any where that is not known."""
        arguments = typing.get_args(self.kind)
        if is_settings(self.kind):
            return declared_fields(self.kind).get(key, _ANY)
        if typing.get_origin(self.kind) is dict:
            return declared(arguments[1])
        if typing.get_origin(self.kind) is tuple:
            if arguments[1:] == (...,):
                return declared(arguments[0])
            return declared(arguments[key]) if isinstance(key, int) and key < len(arguments) else _ANY
        return _ANY


_ANY = Shape(Any)


def declared(kind: Any, bounds: Iterable[Any] = (), discriminator: Any = None) -> Shape:
    """The shape of a type as a field declares it; `bounds` and `discriminator` are what is known of it beforehand."""
    found = list(bounds)
    while True:
        if typing.get_origin(kind) is Annotated:
            kind, *said = typing.get_args(kind)
            for each in said:
                found += getattr(each, "metadata", [each])  # a Field(...) holds its bounds in there
                discriminator = getattr(each, "discriminator", None) or discriminator
            continue
        inner = Shape(kind).members
        if len(inner) != 1:
            return Shape(kind, tuple(found), discriminator)
        kind = inner[0]


@functools.cache
def declared_fields(kind: type[BaseModel]) -> dict[str, Shape]:
    """Field -> its shape, of a settings class."""
    return {name: declared(f.annotation, f.metadata, f.discriminator) for name, f in kind.model_fields.items()}


def is_settings(kind: Any) -> bool:
    """Whether a declared type is a class of settings."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


# Faults


def join(path: str, more: str) -> str:
    """A dotted path and what stands below it; an index takes no dot: a.b, a[1]."""
    return path + more if not path or not more or more.startswith("[") else f"{path}.{more}"


@dataclass
class _Place:
    """Where a fault is: its path, the declared type there, and the mapping or list around it."""

    path: str
    shape: Shape
    around_path: str = ""
    around: Shape = _ANY
    union: Shape = _ANY  # of which `around` is a member; Any if of none
    tag: Any = None  # the value of the union's discriminator


def _place(kind: Any, location: tuple[Any, ...], path: str) -> _Place:
    """pydantic's location, which counts the members of unions as steps, as a path of keys."""
    place = _Place(path, declared(kind))
    union, tag = _ANY, None
    for step in location:
        if place.shape.discriminator is not None:
            union, tag = place.shape, step
            place.shape = union.tags.get(step, _ANY)
        elif place.shape.members:  # the step is a member's name, in pydantic's words
            place.shape = next((s for each in place.shape.members if _named(s := declared(each), step)), _ANY)
        else:
            item = f"[{step}]" if typing.get_origin(place.shape.kind) is tuple else str(step)
            below = place.shape.below(step)
            place = _Place(join(place.path, item), below, place.path, place.shape, union, tag)
            union, tag = _ANY, None
    return place


def _named(shape: Shape, step: Any) -> bool:
    name = getattr(typing.get_origin(shape.kind) or shape.kind, "__name__", "")
    return re.search(rf"\b{re.escape(name)}\b", str(step)) is not None


def faults_of(error: ValidationError, kind: Any, path: str) -> Iterator[tuple[str, str]]:
    """pydantic's errors as (path, sentence). Members of a plain union complain one by one: theirs are joined."""
    wants: dict[tuple[str, str], list[str]] = {}
    for each in error.errors(include_url=False):
        for where, want, end in _complaints(each, kind, path):
            wants.setdefault((where, end), []).append(want)
    for (where, end), parts in wants.items():
        want = " or ".join(dict.fromkeys(filter(None, parts)))
        yield where, f"must be {want}{end}" if want else end


_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
"""pydantic's type of error -> what a value must be."""


def _complaints(error: Any, kind: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """One of pydantic's errors as (path, what the value must be, ", got ..."), or as (path, "", whole sentence)."""
    what, location, value = error["type"], error["loc"], error["input"]
    context = error.get("ctx") or {}
    raised = context.get("error")
    got = f", got {_shown(value)}"
    if location[-1:] == ("[key]",):
        named = _place(kind, (*location[:-2], value), path)
        yield named.path, "", f"a name must be a text{got}; put it in quotes"
        return
    if what == "invalid_key":
        location = (*location[:-1], value)  # pydantic's has 1 for the key True
    place = _place(kind, location, path)
    shape = place.shape
    if isinstance(raised, Faults):
        for relative, sentence in raised.faults:
            yield join(place.path, relative), "", sentence
    elif raised is not None:
        key, sentence = _key_of(str(raised), shape)
        yield join(place.path, key), "", sentence
    elif what == "missing" and _fixed_length(place.around):
        yield place.around_path, _list_words(place.around), got
    elif what == "missing":
        name = place.union.discriminator
        yield (
            place.around_path,
            "",
            f"missing key {location[-1]!r}" + (f", needed when {name} is {place.tag}" if name else ""),
        )
    elif what in ("extra_forbidden", "invalid_key"):
        yield place.path, "", _unknown(place, location[-1])
    elif what == "union_tag_not_found":
        yield place.path, "", f"missing key {shape.discriminator!r} (allowed: {_words(shape.tags)})"
    elif what == "union_tag_invalid":
        end = f", got {_shown(value[shape.discriminator])}"
        yield join(place.path, shape.discriminator), f"one of {_words(shape.tags)}", end
    elif what == "literal_error":
        yield place.path, f"one of {_words(shape.choices) or context['expected']}", got
    elif what in ("tuple_type", "list_type") or (what == "too_long" and _fixed_length(shape)):
        yield place.path, _list_words(shape), got
    elif what == "too_short":
        yield place.path, f"a list of at least {context['min_length']}", got
    elif what.startswith(("greater_than", "less_than")):
        yield place.path, _range_words(shape.bounds) or error["msg"].removeprefix("Input should be "), got
    elif what == "multiple_of":
        yield place.path, f"a multiple of {context['multiple_of']:g}", got
    elif what == "string_pattern_mismatch":
        yield place.path, f"a text that matches {context['pattern']}", got
    elif what in _KINDS:
        yield place.path, _KINDS[what], got
    else:  # a constraint that no settings have used so far: pydantic's own words
        yield place.path, "", re.sub(r"^\w+ should ", "must ", error["msg"]) + got


def _key_of(message: str, shape: Shape) -> tuple[str, str]:
    """A validator's "key: sentence" in two parts; the key is "" if it begins with none of the model's."""
    key, colon, sentence = message.partition(": ")
    first = re.split(r"[.\[]", key)[0]
    return (key, sentence) if colon and first in _fields(shape) else ("", message)


def _unknown(place: _Place, key: Any) -> str:
    owners = [tag for tag, member in place.union.tags.items() if key in _fields(member)]
    if owners:
        name = place.union.discriminator
        return f"belongs to {name} {_words(owners)}; {name} here is {place.tag}"
    return f"unknown key{hint(key, _fields(place.around))}"


def _fields(shape: Shape) -> Collection[str]:
    return shape.kind.model_fields if is_settings(shape.kind) else ()


def _words(allowed: Iterable[Any]) -> str:
    return ", ".join(map(str, allowed))


def _fixed_length(shape: Shape) -> bool:
    return typing.get_origin(shape.kind) is tuple and typing.get_args(shape.kind)[1:] != (...,)


def _list_words(shape: Shape) -> str:
    if not _fixed_length(shape):
        return "a list"
    items = [declared(each).kind for each in typing.get_args(shape.kind)]
    return f"a list of {len(items)} {'numbers' if set(items) <= {int, float} else 'values'}"


def _range_words(bounds: Iterable[Any]) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = {name: limit for b in bounds for name in words if (limit := getattr(b, name, None)) is not None}
    if limits.keys() == {"ge", "le"}:
        return f"from {limits['ge']:.15g} to {limits['le']:.15g}"
    return " and ".join(f"{words[name]} {limit:.15g}" for name, limit in limits.items())


def mapping_needed(shape: Shape, value: Any) -> str:
    """The sentence about a value in the place of a mapping."""
    names = f" of {_words(_fields(shape))}" if _fields(shape) else ""
    return f"must be a mapping{names}, got {_shown(value)}"


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    """The value as the user wrote it, on one line, shortened."""
    text = " ".join(repr(_listed(value)).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
