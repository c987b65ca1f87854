"""The base of every settings class: frozen pydantic models whose faults are sentences, all of them at once.

A method declares its settings as a `Settings` class and is built from an object of it; `read` makes one from plain
YAML data, `merge` one from another and a run's changes. Both raise one `InputError` (`Faults`) that lists every key
that cannot be used, each with its dotted path and what is allowed there.
"""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from replication.errors import InputError

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

_S = TypeVar("_S", bound="Settings")
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
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


class Settings(BaseModel):
    """Base of settings: frozen, hashable, no unknown keys, nothing converted that is no number of the right kind.

    A list becomes a tuple where the field is one, a whole number a float where the field is one, and a number the text
    of a choice (`19` for Literal["19", "14"]); no other value changes its type. Floats are finite. Rules over several
    fields go into `faults`. Constructing one directly raises pydantic's ValidationError (a ValueError).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,  # else a default 1 of a float would be written as 1 and read back as 1.0
        protected_namespaces=(),
        **_STRICT,
    )

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong with this object though each field is right by itself: (path relative to it, sentence).

        Called on every nested object whose fields are all valid, by `read`, `merge`, `replace` and the constructor.
        """
        return iter(())

    @model_validator(mode="before")
    @classmethod
    def _fit_values(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        shapes = _shapes(cls)
        return {key: _fitted(shapes[key], value) if key in shapes else value for key, value in data.items()}

    @model_validator(mode="after")
    def _refuse_faults(self) -> Settings:
        if found := tuple(self.faults()):
            raise Faults(found)
        return self

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, name)) for name in type(self).model_fields)))


def read(kind: Any, data: Any, *, path: str = "", source: str | None = None) -> Any:
    """Plain YAML data as an object of `kind`: a Settings class, a union of them by `discriminator`, or a container.

    Args:
        path: dotted key under which `data` stands; the faults' paths begin with it.
        source: name of the file, for the message.

    Raises:
        Faults: an InputError that lists everything that cannot be used.
    """
    try:
        if _is_settings(kind):
            return kind.model_validate(data)
        return TypeAdapter(kind, config=_STRICT).validate_python(_fitted(_shape(kind), data))
    except ValidationError as error:
        raise Faults(_faults_of(error, kind, path), source) from None


def merge(
    settings: _S,
    change: Any,
    *,
    path: str,
    fixed: Collection[str] = (),
    because: str = "is the same for all runs of the method; change it in the method's own section",
    source: str | None = None,
) -> _S:
    """The same settings with a nested mapping of changes laid over them.

    A section that is a union is replaced whole where the change names another member (another `source`).

    Args:
        change: plain YAML data.
        path: dotted key under which `change` stands.
        fixed: top-level keys that may not change; `because` is the sentence of their refusal.

    Raises:
        Faults: an InputError that lists everything that cannot be used, of the change and of what it makes.
    """
    shape = _Shape(type(settings))
    if not isinstance(change, dict):
        raise Faults([(path, _mapping_needed(shape, change))], source)
    found = [(_join(path, str(key)), because) for key in change if key in fixed]
    given = {key: value for key, value in change.items() if key not in fixed}
    laid = _laid_over(shape, plain(settings), given, path, found)
    try:
        merged = read(type(settings), laid, path=path)
    except Faults as error:
        raise Faults([*found, *error.faults], source) from None
    if found:
        raise Faults(found, source)
    return merged


def replace(settings: _S, **fields: Any) -> _S:
    """A validated copy with other values for some fields, which are given as they are kept or as plain data.

    Raises:
        Faults: a field does not exist or its value is not allowed.
    """
    kind = type(settings)
    return read(kind, {name: getattr(settings, name) for name in kind.model_fields} | fields)


def plain(settings: Settings) -> dict[str, Any]:
    """The settings as data that JSON and YAML hold (tuples as lists); `read` makes an equal object of it."""
    return settings.model_dump(mode="json")


def hint(name: object, allowed: Iterable[str]) -> str:
    """The end of a sentence about a name that does not exist: the nearest one, and all that are allowed."""
    allowed = [str(each) for each in allowed]
    close = difflib.get_close_matches(str(name), allowed, n=1)
    return (f"; did you mean {close[0]!r}?" if close else "") + f" (allowed: {', '.join(allowed)})"


def json_schema(kind: type[Settings], title: str) -> dict[str, Any]:
    """A JSON schema (draft 2020-12) by which editors complete and check a YAML file of `kind`."""
    from pydantic.json_schema import GenerateJsonSchema  # slow to import, and of no use to a training

    class Generator(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False  # "Batch Size" says no more than the key batch_size

        def literal_schema(self, schema: Any) -> dict[str, Any]:
            made = super().literal_schema(schema)
            numbers = [int(text) for text in schema["expected"] if isinstance(text, str) and text.isdecimal()]
            return {"enum": [*schema["expected"], *numbers]} if numbers else made  # as `_fitted` accepts them

    made = kind.model_json_schema(schema_generator=Generator)
    return {"$schema": Generator.schema_dialect, **made, "title": title}


# Types as declared


@dataclass(frozen=True)
class _Shape:
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
    def tags(self) -> dict[Any, _Shape]:
        """Value of the discriminator -> the member of the union that it stands for."""
        if self.discriminator is None:
            return {}
        members = [_shape(each) for each in self.members]
        return {tag: m for m in members for tag in _shapes(m.kind)[self.discriminator].choices}

    def below(self, key: Any) -> _Shape:
        """The shape of one item; of Any where that is not known."""
        arguments = typing.get_args(self.kind)
        if _is_settings(self.kind):
            return _shapes(self.kind).get(key, _ANY)
        if typing.get_origin(self.kind) is dict:
            return _shape(arguments[1])
        if typing.get_origin(self.kind) is tuple:
            if arguments[1:] == (...,):
                return _shape(arguments[0])
            return _shape(arguments[key]) if isinstance(key, int) and key < len(arguments) else _ANY
        return _ANY


_ANY = _Shape(Any)


def _shape(kind: Any, bounds: Iterable[Any] = (), discriminator: Any = None) -> _Shape:
    found = list(bounds)
    while True:
        if typing.get_origin(kind) is Annotated:
            kind, *said = typing.get_args(kind)
            for each in said:
                found += getattr(each, "metadata", [each])  # a Field(...) holds its bounds in there
                discriminator = getattr(each, "discriminator", None) or discriminator
            continue
        inner = _Shape(kind).members
        if len(inner) != 1:
            return _Shape(kind, tuple(found), discriminator)
        kind = inner[0]


@functools.cache
def _shapes(kind: type[Settings]) -> dict[str, _Shape]:
    return {name: _shape(f.annotation, f.metadata, f.discriminator) for name, f in kind.model_fields.items()}


def _is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Settings)


# Values


def _fitted(shape: _Shape, value: Any) -> Any:
    """The value with lists as tuples and numbers as choices where the type asks for that, else itself.

    YAML has no tuples, and a choice may look like a number in it (19). Nested settings do this for themselves.
    """
    origin = typing.get_origin(shape.kind)
    if origin is tuple and isinstance(value, list):
        return tuple(_fitted(shape.below(i), item) for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _fitted(shape.below(key), item) for key, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in shape.choices:
        return str(value)
    for member in shape.members if shape.discriminator is None else ():
        fitted = _fitted(_shape(member), value)
        if fitted is not value:
            return fitted
    return value


def _laid_over(shape: _Shape, base: Any, change: Any, path: str, found: list[tuple[str, str]]) -> Any:
    """Plain data with a change laid over it; a mapping's faults that `read` cannot see go to `found`."""
    if not isinstance(base, dict) or change is None:
        return change
    if not isinstance(change, dict):
        found.append((path, _mapping_needed(shape.tags.get(base.get(shape.discriminator), shape), change)))
        return base
    if shape.discriminator is not None:
        if change.get(shape.discriminator, base[shape.discriminator]) != base[shape.discriminator]:
            return change
        shape = shape.tags[base[shape.discriminator]]
    laid = dict(base)
    for key, value in change.items():
        laid[key] = _laid_over(shape.below(key), base.get(key), value, _join(path, str(key)), found)
    return laid


def _mapping_needed(shape: _Shape, value: Any) -> str:
    names = f" of {_words(_fields(shape))}" if _fields(shape) else ""
    return f"must be a mapping{names}, got {_shown(value)}"


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return tuple(_hashable(item) for item in value) if isinstance(value, list | tuple) else value


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    """The value as the user wrote it, on one line, shortened."""
    text = " ".join(repr(_listed(value)).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


# Faults


def _join(path: str, more: str) -> str:
    return path + more if not path or not more or more.startswith("[") else f"{path}.{more}"


@dataclass
class _Place:
    """Where a fault is: its path, the declared type there, and the mapping or list around it."""

    path: str
    shape: _Shape
    around_path: str = ""
    around: _Shape = _ANY
    union: _Shape = _ANY  # of which `around` is a member; Any if of none
    tag: Any = None  # the value of the union's discriminator


def _place(kind: Any, location: tuple[Any, ...], path: str) -> _Place:
    """pydantic's location, which counts the members of unions as steps, as a path of keys."""
    place = _Place(path, _shape(kind))
    union, tag = _ANY, None
    for step in location:
        if place.shape.discriminator is not None:
            union, tag = place.shape, step
            place.shape = union.tags.get(step, _ANY)
        elif place.shape.members:  # the step is a member's name, in pydantic's words
            place.shape = next((s for each in place.shape.members if _named(s := _shape(each), step)), _ANY)
        else:
            item = f"[{step}]" if typing.get_origin(place.shape.kind) is tuple else str(step)
            below = place.shape.below(step)
            place = _Place(_join(place.path, item), below, place.path, place.shape, union, tag)
            union, tag = _ANY, None
    return place


def _named(shape: _Shape, step: Any) -> bool:
    name = getattr(typing.get_origin(shape.kind) or shape.kind, "__name__", "")
    return re.search(rf"\b{re.escape(name)}\b", str(step)) is not None


def _faults_of(error: ValidationError, kind: Any, path: str) -> Iterator[tuple[str, str]]:
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
            yield _join(place.path, relative), "", sentence
    elif raised is not None:
        key, sentence = _key_of(str(raised), shape)
        yield _join(place.path, key), "", sentence
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
        yield _join(place.path, shape.discriminator), f"one of {_words(shape.tags)}", end
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


def _key_of(message: str, shape: _Shape) -> tuple[str, str]:
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


def _fields(shape: _Shape) -> Collection[str]:
    return shape.kind.model_fields if _is_settings(shape.kind) else ()


def _words(allowed: Iterable[Any]) -> str:
    return ", ".join(map(str, allowed))


def _fixed_length(shape: _Shape) -> bool:
    return typing.get_origin(shape.kind) is tuple and typing.get_args(shape.kind)[1:] != (...,)


def _list_words(shape: _Shape) -> str:
    if not _fixed_length(shape):
        return "a list"
    items = [_shape(each).kind for each in typing.get_args(shape.kind)]
    return f"a list of {len(items)} {'numbers' if set(items) <= {int, float} else 'values'}"


def _range_words(bounds: Iterable[Any]) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = {name: limit for b in bounds for name in words if (limit := getattr(b, name, None)) is not None}
    if limits.keys() == {"ge", "le"}:
        return f"from {limits['ge']:.15g} to {limits['le']:.15g}"
    return " and ".join(f"{words[name]} {limit:.15g}" for name, limit in limits.items())
