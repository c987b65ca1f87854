"""The base of every settings class: frozen pydantic models whose faults are sentences, all of them at once.

A method declares its settings as a `Settings` class and is built from an object of it; `read` makes one from plain
YAML data, `merge` one from another and a run's changes. Both raise one `InputError` (`Faults`) that lists every key
that cannot be used, each with its dotted path and what is allowed there.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from replication.settings_faults import (
    Faults,
    Shape,
    declared,
    declared_fields,
    faults_of,
    hint,
    is_settings,
    join,
    mapping_needed,
)

__all__ = [
    "Count",
    "Faults",
    "NonNegative",
    "Positive",
    "Settings",
    "Share",
    "Weight",
    "hint",
    "json_schema",
    "merge",
    "plain",
    "read",
    "replace",
]

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

_S = TypeVar("_S", bound="Settings")
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


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
        shapes = declared_fields(cls)
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
        if is_settings(kind):
            return kind.model_validate(data)
        return TypeAdapter(kind, config=_STRICT).validate_python(_fitted(declared(kind), data))
    except ValidationError as error:
        raise Faults(faults_of(error, kind, path), source) from None


def merge(
    settings: _S,
    change: Any,
    *,
    path: str,
    kind: Any = None,
    fixed: Collection[str] = (),
    because: str = "is the same for all runs of the method; change it in the method's own section",
    source: str | None = None,
) -> _S:
    """The same settings with a nested mapping of changes laid over them.

    A section that is a union is replaced whole where the change names another member (another `source`).

    Args:
        change: plain YAML data.
        path: dotted key under which `change` stands.
        kind: declared type of the settings where that is a union, of which a change may name another member.
        fixed: top-level keys that may not change; `because` is the sentence of their refusal.

    Raises:
        Faults: an InputError that lists everything that cannot be used, of the change and of what it makes.
    """
    kind = type(settings) if kind is None else kind
    shape = declared(kind)
    if not isinstance(change, dict):
        raise Faults([(path, mapping_needed(Shape(type(settings)), change))], source)
    found = [(join(path, str(key)), because) for key in change if key in fixed]
    given = {key: value for key, value in change.items() if key not in fixed}
    laid = _laid_over(shape, plain(settings), given, path, found)
    try:
        merged = read(kind, laid, path=path)
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


# Values


def _fitted(shape: Shape, value: Any) -> Any:
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
        fitted = _fitted(declared(member), value)
        if fitted is not value:
            return fitted
    return value


def _laid_over(shape: Shape, base: Any, change: Any, path: str, found: list[tuple[str, str]]) -> Any:
    """Plain data with a change laid over it; a mapping's faults that `read` cannot see go to `found`."""
    if not isinstance(base, dict) or change is None:
        return change
    if not isinstance(change, dict):
        found.append((path, mapping_needed(shape.tags.get(base.get(shape.discriminator), shape), change)))
        return base
    if shape.discriminator is not None:
        if change.get(shape.discriminator, base[shape.discriminator]) != base[shape.discriminator]:
            return change
        shape = shape.tags[base[shape.discriminator]]
    laid = dict(base)
    for key, value in change.items():
        laid[key] = _laid_over(shape.below(key), base.get(key), value, join(path, str(key)), found)
    return laid


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return tuple(_hashable(item) for item in value) if isinstance(value, list | tuple) else value
