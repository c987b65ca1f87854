"""The modules at which the closure of each kind of stage begins."""

from __future__ import annotations

from collections.abc import Iterable

from replication.methods import Method, Need, Part
from replication.methods.registry import figure_modules, methods


def part_roots(method: Method, part: Part) -> tuple[str, ...]:
    """Of a training, or of a part computed for a data set: its module, its declaration, the loop, what it opens."""
    own = {one.name: one for one in method.parts}
    opened = [own[need].module for need in part.needs if need in own]
    others = {Need.parse(need).method for need in part.needs if need not in own}
    roots = {part.module, _declaration(method), "replication.stages.training", *opened}
    for name in others:
        roots |= set(opening_roots(methods()[name]))
    return tuple(sorted(roots))


def opening_roots(method: Method) -> tuple[str, ...]:
    """Of a run that is opened: the system's module and those of the systems that it looks through."""
    roots = {method.module, _declaration(method)}
    for name in others_of(method):
        roots |= set(opening_roots(methods()[name]))
    return tuple(sorted(roots))


def evaluation_roots(method: Method, features: Iterable[str]) -> tuple[str, ...]:
    """Of a measurement: the opened run, the evaluation, and the systems that may make its features."""
    roots = {*opening_roots(method), "replication.stages.evaluation"}
    for name in features:
        roots |= set(opening_roots(methods()[name]))
    return tuple(sorted(roots))


def inspection_roots() -> tuple[str, ...]:
    """Of a look inside: the room, and every system that inpaints with its panels."""
    roots = {"replication.inspection.pair"}
    for one in methods().values():
        if one.inpaints:
            roots |= {*opening_roots(one), *(panel.draw.partition(":")[0] for panel in one.panels)}
    return tuple(sorted(roots))


def figure_roots() -> tuple[str, ...]:
    """Of the figures of all papers: the stage, and for figures drawn by a system's own function that system."""
    roots = {"replication.stages.figures"}
    for module in figure_modules():
        name = module.removeprefix("replication.methods.").split(".")[0]
        roots |= {module, *opening_roots(methods()[name])}
    return tuple(sorted(roots))


def others_of(method: Method) -> list[str]:
    """The other systems whose runs a system needs, each once."""
    own = {part.name for part in method.parts}
    return sorted({Need.parse(need).method for part in method.parts for need in part.needs if need not in own})


def feature_methods() -> list[str]:
    """The systems whose runs open as networks that others look through."""
    return [name for name, one in methods().items() if not one.inpaints]


def _declaration(method: Method) -> str:
    return f"replication.methods.{method.name}.method"
