"""How long a profile will take on this machine: its amounts of work times a few measured speeds.

The amounts follow from the parameters and the number of images; the speeds are measured by `timed_steps`. Nothing here
needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from replication.config import Parameters
from replication.doctor.amounts import (
    Images,
    items_of,
    masked_datasets,
    masks_of,
    of_key,
    pairs_of,
)
from replication.errors import counted
from replication.methods import Method, Part
from replication.methods.registry import methods
from replication.schedule import Schedule

SCORES_S = 5.0 / 900
"""Seconds for a completed image's part in the scores and intervals of its training; measured in `demo`."""


@dataclass(frozen=True)
class Step:
    """One training step of a part: its seconds for the batch size of its schedule and for images of `size` pixels.

    key: dotted key of that schedule in the system's settings, where every run has its own; None if it stands nowhere.
    """

    seconds: float
    size: int
    schedule: Schedule
    key: str | None


@dataclass(frozen=True)
class Each:
    """Seconds for one image of a batch, of `size` pixels."""

    seconds: float
    size: int


@dataclass(frozen=True)
class Timings:
    """Seconds for one of each.

    face: drawing one face of the profile's size on one core; `photo` reading and resizing one from a folder. mask:
    likewise. stage: what every stage costs beside its work (starting a notebook, importing, writing it as HTML).
    steps: (system, part) -> a training step; parts that are not trained are absent. items: (system, part) -> one item
    of what is computed once for a data set. completed: system -> one test pair completed, pasted, measured by every
    metric and described by the network of the Fréchet distance. notes: how it was measured, in words.
    """

    face: float
    photo: float
    mask: float
    stage: float
    steps: Mapping[tuple[str, str], Step] = field(default_factory=dict)
    items: Mapping[tuple[str, str], Each] = field(default_factory=dict)
    completed: Mapping[str, Each] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """One kind of work: how much of it, and the seconds that it takes."""

    name: str
    amount: str
    seconds: float


def estimate(
    parameters: Parameters, images: Mapping[str, Images], timings: Timings, *, stages: int = 0, workers: int = 1
) -> list[Work]:
    """The work of a whole run from nothing, in the order of the pipeline.

    images: by data set. stages: of the pipeline. workers: processes that draw faces and masks side by side.
    """
    p = parameters
    work = [*_data(p, images, timings, workers)]
    for one in methods().values():
        for part in one.parts:
            work.append(
                _computed(p, one, part, timings) if part.per == "dataset" else _trained(p, images, one, part, timings)
            )
    work.append(_measured(p, images, timings))
    work.append(Work("notebooks and reports", f"{stages} stages", stages * timings.stage))
    return [each for each in work if each.seconds > 0]


def _area(p: Parameters, dataset: str, size: int) -> float:
    """Pixels of a data set's images, in those of images of `size`."""
    return (p.image_size_of(dataset) / size) ** 2


def _data(p: Parameters, images: Mapping[str, Images], timings: Timings, workers: int) -> Iterator[Work]:
    for source, each in (("drawn", timings.face), ("photos", timings.photo)):
        sets = {name: n.train + n.test for name, n in images.items() if p.data[name].source == source}
        seconds = sum(count * _area(p, name, p.image_size) for name, count in sets.items()) * each / workers
        yield Work("drawn faces" if source == "drawn" else "photos", f"{sum(sets.values()):,} images", seconds)
    sets, count = masked_datasets(p), masks_of(p)
    seconds = count * sum(_area(p, name, p.image_size) for name in sets) * timings.mask / workers
    yield Work("masks", f"{count * len(sets):,} masks", seconds)


def _trained(p: Parameters, images: Mapping[str, Images], one: Method, part: Part, timings: Timings) -> Work:
    step, trainings, steps, seconds = timings.steps.get((one.name, part.name)), 0, 0, 0.0
    for name in p.run_names(one.name) if step is not None else ():
        schedule = step.schedule if step.key is None else of_key(p.settings_of(name), step.key)
        if schedule is None:  # published weights in this run
            continue
        dataset, seeds = p.run(name).dataset, p.seeds_of(name)
        own = seeds * schedule.steps(images[dataset].train)
        trainings, steps = trainings + seeds, steps + own
        seconds += own * step.seconds * schedule.batch_size / step.schedule.batch_size * _area(p, dataset, step.size)
    name = one.title if len(one.run_parts) == 1 else f"{one.title}, {part.name}"
    return Work(f"{name}, {counted(trainings, 'training')}", f"{steps:,} steps", seconds)


def _computed(p: Parameters, one: Method, part: Part, timings: Timings) -> Work:
    """A part that is computed once for a data set."""
    settings, each = getattr(p.methods, one.name), timings.items.get((one.name, part.name))
    items = items_of(settings, part) if each is not None else None
    if items is None:
        return Work(part.name, "", 0.0)
    (key, count), sets = items, p.datasets_of(part)
    seconds = count * each.seconds * sum(_area(p, name, each.size) for name in sets)
    return Work(f"{one.title}, {part.name}", f"{count * len(sets):,} {key}", seconds)


def _measured(p: Parameters, images: Mapping[str, Images], timings: Timings) -> Work:
    count, seconds = 0, 0.0
    for name in p.measured_runs():
        each = timings.completed.get(p.method_of(name).name)
        if each is not None:
            own = p.seeds_of(name) * pairs_of(p, images, name)
            count += own
            seconds += own * (each.seconds * _area(p, p.run(name).dataset, each.size) + SCORES_S)
    return Work("evaluation", f"{count:,} completed images", seconds)


def duration(seconds: float) -> str:
    """Seconds in words that promise no more than an estimate can: "40 s", "12 min", "3.5 h", "6 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    days = seconds / 86400
    return f"{days:.0f} days" if days < 730 else f"{days / 365:.0f} years"
