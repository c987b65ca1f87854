"""Finding the systems: every folder beside this file that has a `method.py`."""

from __future__ import annotations

import csv
import functools
import importlib
import importlib.util
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from replication.data.fields import OPTIONAL_FIELDS
from replication.errors import InputError
from replication.methods import Method, Need
from replication.settings import hint

_FOLDER = Path(__file__).parent


@functools.cache
def methods() -> dict[str, Method]:
    """name -> declaration of every system, those that others need first, else by name.

    Raises:
        InputError: a declaration cannot be used; the sentence names it and what is wrong.
    """
    found = {}
    for file in sorted(_FOLDER.glob("*/method.py")):
        module = importlib.import_module(f"replication.methods.{file.parent.name}.method")
        found[file.parent.name] = module.METHOD
    return in_order(found)


def method(name: str) -> Method:
    """A system by name; InputError names those that exist."""
    if name not in methods():
        raise InputError(f"method {name!r} does not exist{hint(name, methods())}")
    return methods()[name]


def file_of(name: str, file: str) -> Path:
    """A file in a system's folder, such as CHOICES.csv; it need not exist."""
    return _FOLDER / name / file


def function(reference: str) -> Callable[..., Any]:
    """The function that "module:name" stands for, as declarations and papers' lists of figures name them.

    Raises:
        InputError: there is no such module, or no such function in it.
    """
    module, _, name = reference.partition(":")
    if not _exists(module):
        raise InputError(f"{reference!r}: the module {module} does not exist")
    found = getattr(importlib.import_module(module), name, None)
    if found is None:
        raise InputError(f"{reference!r}: the module {module} has no function {name!r}")
    return found


def figure_modules() -> list[str]:
    """Modules of the functions by which systems draw figures of papers themselves: `draw` in their figures.csv."""
    found = set()
    for name in methods():
        path = file_of(name, "figures.csv")
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                found |= {row["draw"].partition(":")[0] for row in csv.DictReader(file) if row.get("draw")}
    return sorted(found)


def in_order(found: Mapping[str, Method]) -> dict[str, Method]:
    """Check declarations against each other, and order them so that each stands after those that it needs.

    Raises:
        InputError: a name, a module or a need that does not exist, or needs that form a circle.
    """
    for folder, one in found.items():
        _check(folder, one, found)
    done: dict[str, Method] = {}
    while len(done) < len(found):
        free = [name for name, one in found.items() if name not in done and _others(one) <= done.keys()]
        if not free:
            circle = ", ".join(sorted(found.keys() - done.keys()))
            raise InputError(f"methods {circle}: their needs form a circle, so none of them can be trained first")
        done |= {name: found[name] for name in free}
    return done


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # of a package that does not exist; of an empty name
        return False


def _others(one: Method) -> set[str]:
    """Other systems whose runs this one needs."""
    own = {part.name for part in one.parts}
    return {Need.parse(need).method for part in one.parts for need in part.needs if need not in own}


def _check(folder: str, one: Method, found: Mapping[str, Method]) -> None:
    where = f"methods/{folder}/method.py"
    if one.name != folder or not re.fullmatch(r"[a-z][a-z0-9_]*", folder):
        raise InputError(
            f"{where}: the method is called {one.name!r}; it must be called like its folder, in a-z, 0-9, _"
        )
    own = [part.name for part in one.parts]
    if not own or len(set(own)) < len(own):
        raise InputError(f"{where}: a method has at least one part, and each has a name of its own (here: {own})")
    drawn = [panel.draw for panel in one.panels] + ([one.training_panel] if one.training_panel else [])
    drawn += [one.diagnosis.sentences] if one.diagnosis else []
    for module in (one.module, *(part.module for part in one.parts), *(each.partition(":")[0] for each in drawn)):
        if not _exists(module):
            raise InputError(f"{where}: the module {module} does not exist")
    keys = _keys(one.settings)
    for part in one.parts:
        for wrong in sorted(part.fields - set(OPTIONAL_FIELDS)):
            raise InputError(f"{where}: part {part.name} wants the field {wrong!r}{hint(wrong, OPTIONAL_FIELDS)}")
        for wrong in [key for key in part.settings if key not in keys]:
            raise InputError(f"{where}: part {part.name} reads the setting {wrong!r}{hint(wrong, keys)}")
    for what, needs in [(f"part {part.name}", part.needs) for part in one.parts] + [("open_run", one.opens)]:
        for need in [need for need in needs if need not in own]:
            parsed = Need.parse(need)
            if parsed.method not in found:
                raise InputError(f"{where}: {what} needs {need!r}, which is no method{hint(need, found)}")
            if parsed.key is not None and parsed.key.split(".")[0] not in keys:
                raise InputError(f"{where}: {what} needs {need!r}, whose key is no setting{hint(parsed.key, keys)}")
    done: list[str] = []
    while len(done) < len(own):
        free = [p.name for p in one.parts if p.name not in done and {n for n in p.needs if n in own} <= set(done)]
        if not free:
            circle = ", ".join(sorted(set(own) - set(done)))
            raise InputError(f"{where}: the needs of its parts {circle} form a circle")
        done += free
    late = [p.name for p in one.parts if {n for n in p.needs if n in own} - set(own[: own.index(p.name)])]
    if late:
        raise InputError(f"{where}: part {late[0]} stands before one that it needs; parts are trained in their order")


def _keys(settings: Any) -> list[str]:
    """The top-level keys of a settings class, or of all members of a union."""
    members = [m for m in typing.get_args(settings) if hasattr(m, "model_fields") or typing.get_args(m)]
    if hasattr(settings, "model_fields"):
        return list(settings.model_fields)
    return list(dict.fromkeys(key for member in members for key in _keys(member)))
