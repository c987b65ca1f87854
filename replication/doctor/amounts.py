"""How much a profile trains, computes, measures and stores, from its parameters and numbers of images alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.graph.stages import expand_stages
from replication.methods import Method, Part
from replication.schedule import Schedule
from replication.settings import Settings, plain
from replication.yaml_files import read_yaml

if TYPE_CHECKING:
    from replication.config import Parameters, Protocol


@dataclass(frozen=True)
class Images:
    """Faces of one data set: for training and for testing; `assumed` if they had to be guessed, as none are there."""

    train: int
    test: int
    assumed: bool = False


def schedules(settings: Settings, above: str = "") -> dict[str, Schedule]:
    """Dotted key -> schedule of every training that a system's settings describe; none for published networks."""
    found: dict[str, Schedule] = {}
    for name, value in settings:
        if isinstance(value, Schedule):
            found[f"{above}{name}"] = value
        elif isinstance(value, Settings):
            found |= schedules(value, f"{above}{name}.")
    return found


def items_of(settings: Settings, part: Part) -> tuple[str, int] | None:
    """(key, count) of what a part computes for a data set, such as ("pairs", 2000): the whole number of its section."""
    section = getattr(settings, part.name)
    numbers = [(name, value) for name, value in section if type(value) is int]
    return numbers[0] if len(numbers) == 1 else None


def is_computed(parameters: Parameters, method: Method, part: Part) -> bool:
    """Whether a part is computed for data sets, and there is anything to compute."""
    if part.per != "dataset" or not parameters.run_names(method.name):
        return False
    found = items_of(getattr(parameters.methods, method.name), part)
    return found is not None and found[1] > 0


def mask_buckets() -> int:
    """Ranges of the hole ratio that irregular masks come in."""
    from replication.data.masks import BUCKETS

    return len(BUCKETS)


def buckets_of(protocol: Protocol) -> int:
    """Groups of pairs that a protocol measures by themselves."""
    return {"irregular": mask_buckets(), "regions": len(protocol.regions)}.get(protocol.holes, 1)


def pairs_of(parameters: Parameters, images: Mapping[str, Images], run: str) -> int:
    """Test pairs of one training of a run, over all buckets."""
    most, wanted = images[parameters.run(run).dataset].test, parameters.evaluation.pairs_per_bucket
    return buckets_of(parameters.protocol_of(run)) * (most if wanted is None else min(most, wanted))


def masked_datasets(parameters: Parameters) -> list[str]:
    """The data sets that irregular masks are made for: those of protocols and of trainings with holes."""
    wanted = set(parameters.paired_datasets())
    for run in parameters.run_names():
        if any(part.data and part.holes for part in parameters.method_of(run).parts):
            wanted.add(parameters.run(run).dataset)
    return [name for name in parameters.data if name in wanted]


def masks_of(parameters: Parameters) -> int:
    """Irregular masks for one data set."""
    return parameters.masks.train + mask_buckets() * parameters.masks.test_per_bucket


def stage_count(parameters: Parameters, root: str | Path = ".") -> int:
    """Stages of the pipeline of a checkout with these parameters, which need not be its active ones.

    Raises:
        InputError: dvc.yaml is missing, or cannot be used.
    """
    return len(expand_stages(read_yaml(Path(root) / "dvc.yaml"), plain(parameters)))


def typical_run(parameters: Parameters, runs: list[str]) -> str:
    """The run that stands for all of its system where one has to do: the first without changes, if there is any."""
    return min(runs, key=lambda name: bool(parameters.run(name).change))


def of_key(settings: Any, key: str) -> Any:
    """The value of a dotted key, or None where a variant of the settings lacks it."""
    for name in key.split("."):
        settings = getattr(settings, name, None)
    return settings
