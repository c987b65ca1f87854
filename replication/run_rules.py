"""Rules of params.yaml that tie runs to each other and to the machine; `config` asks for them when it loads a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from replication.errors import InputError
from replication.methods import Method, Need, Part
from replication.schedule import Schedule
from replication.settings import Settings

if TYPE_CHECKING:
    from replication.config import Parameters


def misfits_of_needed_runs(p: Parameters, one: Method) -> Iterator[tuple[str, str, str, str]]:
    """(needed run, key below its system's section, sentence, why it matters) for the values of a run that runs of `one`
    look through which do not fit the size of the images that it is shown there.
    """
    for part in one.parts:
        for dataset, settings in _used_on(p, one, part):
            for needed in _opened(p, one, part.name, part.needs, settings, dataset):
                for key, sentence in p.settings_of(needed).misfits(p.image_size_of(dataset)):
                    yield needed, key, sentence, f"runs of {one.title} look at {dataset} through {needed}"


def misfits_of_features(p: Parameters) -> Iterator[tuple[str, str, str, str]]:
    """The same of the run whose network makes the features of the Fréchet distance, on every set that is inpainted."""
    needed = p.evaluation.features
    if needed not in p.run_names() or (settings := _settings(p, needed)) is None:
        return
    for dataset in p.paired_datasets():
        for key, sentence in settings.misfits(p.image_size_of(dataset)):
            yield needed, key, sentence, f"evaluation.features looks at {dataset} through {needed}"


def _used_on(p: Parameters, one: Method, part: Part) -> Iterator[tuple[str, Settings]]:
    """The data sets on which a part is trained or computed, each with the settings that it has there."""
    runs = getattr(p.runs, one.name)
    if part.per == "dataset":
        for dataset in p.datasets_of(part):
            if dataset in p.data:
                yield dataset, getattr(p.methods, one.name)
        return
    for name, run in runs.items():
        if run.dataset in p.data and (settings := _settings(p, name)) is not None:
            yield run.dataset, settings


def _opened(
    p: Parameters, one: Method, part: str, needs: tuple[str, ...], settings: Any, dataset: str
) -> Iterator[str]:
    """Runs of other systems that a part opens, and those that these open."""
    own = {other.name for other in one.parts}
    for need in needs:
        if need in own or not settings.opens(part, need, dataset):
            continue
        needed, method = p.needed_run(settings, need), Need.parse(need).method
        if needed not in getattr(p.runs, method) or (theirs := _settings(p, needed)) is None:
            continue  # told elsewhere
        yield needed
        other = p.method_of(needed)
        yield from _opened(p, other, "", other.opens, theirs, dataset)


def _settings(p: Parameters, run: str) -> Any:
    """Of a run, None where its change cannot be used."""
    try:
        return p.settings_of(run)
    except InputError:
        return None


def undivided_batches(p: Parameters) -> Iterator[tuple[str, str]]:
    """(key, sentence) for the batch sizes that `compute.processes` processes cannot share equally."""
    sizes: dict[tuple[str, str, str], int] = {}
    for name in p.run_names():
        one, settings = p.method_of(name), _settings(p, name)
        if settings is None:
            continue
        for part in one.run_parts:
            if part.together:
                for key, schedule in _schedules(settings, part.settings or tuple(type(settings).model_fields)):
                    sizes[one.name, name, f"{key}.batch_size"] = schedule.batch_size
    shared = math.gcd(*sizes.values())
    allowed = ", ".join(str(count) for count in range(1, shared + 1) if shared % count == 0)
    wrong: dict[tuple[str, str, int], list[str]] = {}
    for (method, name, key), size in sizes.items():
        if size % p.compute.processes:
            wrong.setdefault((method, key, size), []).append(name)
    for (_, key, size), names in wrong.items():
        whose = f"run{'s' if len(names) > 1 else ''} {', '.join(names)}"
        yield (
            "compute.processes",
            f"{p.compute.processes} processes cannot share the {key} {size} of {whose} equally (allowed: {allowed})",
        )


def _schedules(settings: Settings, keys: tuple[str, ...]) -> Iterator[tuple[str, Schedule]]:
    for key in keys:
        value = getattr(settings, key)
        if isinstance(value, Schedule):
            yield key, value
        elif isinstance(value, Settings):
            yield from ((f"{key}.{below}", one) for below, one in _schedules(value, tuple(type(value).model_fields)))
