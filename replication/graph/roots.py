"""The modules at which the closure of each kind of stage begins."""

from __future__ import annotations

from collections.abc import Iterable

from replication.methods import Method, Need, Part
from replication.methods.registry import figure_modules, methods
from replication.papers import check_modules


def part_roots(method: Method, part: Part) -> tuple[str, ...]:
    """Of a training, or of a part computed for a data set: its module, the loop, and what it opens.

    Not the declaration: what it says of a part stands in the training's own digest, and a new panel trains nothing.
    """
    own = {one.name: one for one in method.parts}
    roots = {part.module, "replication.stages.training", *(own[need].module for need in part.needs if need in own)}
    for need in part.needs:
        if need not in own:
            roots |= set(opening_roots(methods()[Need.parse(need).method]))
    return tuple(sorted(roots))


def opening_roots(method: Method) -> tuple[str, ...]:
    """Of a run that is opened: the system's module and those of the systems that it opens."""
    roots = {method.module, "replication.methods.opening"}
    for need in method.opens:
        roots |= set(opening_roots(methods()[Need.parse(need).method]))
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
            roots |= {*_whole(one), *(panel.draw.partition(":")[0] for panel in one.panels)}
    return tuple(sorted(roots))


def figure_roots() -> tuple[str, ...]:
    """Of the figures of all papers: the stage, and for figures drawn by a system's own function that system."""
    roots = {"replication.stages.figures"}
    for module in figure_modules():
        roots |= {module, *_whole(methods()[module.removeprefix("replication.methods.").split(".")[0]])}
    return tuple(sorted(roots))


def table_roots(stages: Iterable[str]) -> tuple[str, ...]:
    """Of stages that print tables: they, and of each system that says something below them its words and when."""
    roots = set(stages)
    for name, one in methods().items():
        if one.diagnosis is not None:
            roots |= {one.diagnosis.sentences.partition(":")[0], f"replication.methods.{name}.method"}
    return tuple(sorted(roots))


def claim_roots(stage: str) -> tuple[str, ...]:
    """Of a stage that judges claims or prints them: the stage, and the checks of every paper that has some."""
    return tuple(sorted({stage, *check_modules()}))


def plot_roots() -> tuple[str, ...]:
    """Of the curves: the stage, and what each system declares as its curves."""
    return tuple(sorted({"replication.stages.plots", *(f"replication.methods.{name}.method" for name in methods())}))


def others_of(method: Method) -> list[str]:
    """The other systems whose runs a system needs to be trained, each once."""
    own = {part.name for part in method.parts}
    return sorted({Need.parse(need).method for part in method.parts for need in part.needs if need not in own})


def feature_methods() -> list[str]:
    """The systems whose runs make the features of a Fréchet distance."""
    return [name for name, one in methods().items() if one.features]


def _whole(method: Method) -> set[str]:
    """Of a run whose inside is drawn: it may look through everything that its training looked through."""
    return {*opening_roots(method), *(root for name in others_of(method) for root in opening_roots(methods()[name]))}
