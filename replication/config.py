"""Every parameter of the pipeline that is no system's own: typed, with its range, and refused by name if it cannot be.

`params.yaml` at the root of a checkout is the active profile, whole and plain. `load_parameters` reads it into
frozen settings; all of its faults are told at once, each with its key's path. The sections `methods` and `runs` have a
key for every system that `methods.registry` finds, and are checked by that system's own settings.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, create_model

from replication.data.pair_rules import PairRule
from replication.data.settings import DataSet, DrawnFaces, Masks, Photos, Protocol
from replication.errors import InputError
from replication.methods import Method, Need, Part
from replication.methods.registry import method, methods
from replication.run_rules import misfits_of_features, misfits_of_needed_runs, undivided_batches
from replication.settings import (
    Count,
    Faults,
    NonNegative,
    Positive,
    Settings,
    hint,
    merge,
    plain,
    read,
)
from replication.yaml_files import read_yaml
from replication.yaml_readers import is_text_to_both, read_differently

NAME = r"[a-z][a-z0-9_]*"


class Compute(Settings):
    """How to compute; none of this should change what is computed beyond rounding."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True
    compile: bool = False
    processes: Count = 1
    deterministic: bool = True
    checkpoint_every_s: Positive = 60.0
    log_every_s: Positive = 10.0


class Evaluation(Settings):
    """What is measured, and on how many images."""

    pairs_per_bucket: int | None = Field(ge=2, description="frozen pairs in each bucket; null = every test image")
    batch_size: Count
    samples: Count
    seed: NonNegative
    features: str = Field(description="run whose network makes the features of the Fréchet distance")
    lpips_weights: str | None = None


class Run(Settings):
    """One kind of network to train: a data set, and whatever differs from its system's section."""

    dataset: str | None = Field(None, description="key of `data`")
    protocol: str | None = Field(None, description="key of `protocols`; of systems that inpaint")
    seeds: Count | None = Field(None, description="how often it is trained; null = the profile's `seeds`")
    change: dict[str, Any] = Field(default_factory=dict, description="keys of its system's section that differ")


class Parameters(Settings):
    """params.yaml without `methods` and `runs`; `parameters_model()` adds those."""

    profile: str
    comparable: bool = Field(description="may these numbers stand beside the papers'?")
    note: str
    consent: tuple[str, ...] = Field((), description="data sets whose terms the user accepts; read by `download` alone")
    image_size: int = Field(ge=32, le=512, description="pixels")
    seed: NonNegative
    seeds: Count
    compute: Compute
    data: dict[str, DataSet]
    masks: Masks
    protocols: dict[str, Protocol]
    evaluation: Evaluation
    inspected: tuple[str, ...] = Field((), description="runs whose inside a notebook of the pipeline shows")

    def run_names(self, method_name: str | None = None) -> list[str]:
        """All runs, or those of one system, in the order of systems and of the file."""
        names = [method_name] if method_name is not None else methods()
        return [run for name in names for run in getattr(self.runs, name)]

    def measured_runs(self) -> list[str]:
        """The runs that a protocol measures."""
        return [name for name in self.run_names() if self.run(name).protocol is not None]

    def method_of(self, run: str) -> Method:
        """The system of a run; InputError names the runs that exist."""
        for name, one in methods().items():
            if run in getattr(self.runs, name):
                return one
        raise InputError(f"run {run!r} does not exist{hint(run, self.run_names())}")

    def run(self, name: str) -> Run:
        """A run by name; InputError names those that exist."""
        return getattr(self.runs, self.method_of(name).name)[name]

    def settings_of(self, name: str) -> Any:
        """The settings of a run's system with the run's changes merged in."""
        one, run = self.method_of(name), self.run(name)
        own = getattr(self.methods, one.name)
        if not run.change:
            return own
        return merge(
            own,
            run.change,
            path=f"runs.{one.name}.{name}.change",
            kind=one.settings,
            fixed=one.shared_settings,
            because=f"is the same for all runs; change it in methods.{one.name}",
        )

    def seeds_of(self, name: str) -> int:
        """How often a run is trained: with the seeds `seed`, `seed` + 1, ..."""
        return self.run(name).seeds or self.seeds

    def image_size_of(self, dataset: str) -> int:
        """Pixels of a data set's images."""
        return self.data_set(dataset).image_size or self.image_size

    def data_set(self, name: str) -> DrawnFaces | Photos:
        """A data set by name; InputError names those that exist."""
        if name not in self.data:
            raise InputError(f"data set {name!r} does not exist{hint(name, self.data)}")
        return self.data[name]

    def protocol_of(self, name: str) -> Protocol:
        """How a run is measured; InputError if it is not."""
        protocol = self.run(name).protocol
        if protocol is None:
            raise InputError(f"run {name!r} is measured by no protocol; give it one in params.yaml")
        return self.protocols[protocol]

    def paired_datasets(self) -> list[str]:
        """The data sets of all protocols, in the order of `data`: those that systems inpaint."""
        wanted = {dataset for protocol in self.protocols.values() for dataset in protocol.datasets}
        return [dataset for dataset in self.data if dataset in wanted]

    def datasets_of(self, part: Part) -> tuple[str, ...]:
        """The data sets for which a part is computed that all runs of its system share."""
        protocol = self.protocols.get(part.over.split(".")[1])
        return protocol.datasets if protocol is not None else ()

    def needed_run(self, settings: Any, need: str) -> str:
        """The run that a need of other systems names, see `methods.Need.parse`."""
        parsed = Need.parse(need)
        if parsed.key is None:
            return parsed.method
        return functools.reduce(getattr, parsed.key.split("."), settings)


@functools.cache
def parameters_model() -> type[Parameters]:
    """Parameters with a section of settings and one of runs for every system."""
    sections = create_model("Methods", __base__=Settings, **{n: (m.settings, ...) for n, m in methods().items()})
    runs = create_model("Runs", __base__=Settings, **dict.fromkeys(methods(), (dict[str, Run], ...)))
    return create_model("Parameters", __base__=Parameters, methods=(sections, ...), runs=(runs, ...))


def load_parameters(path: str | Path = "params.yaml") -> Parameters:
    """Read and check a parameter file.

    Raises:
        InputError: the file is missing or cannot be read, or (`settings.Faults`) keys and values in it are not allowed:
            all of them, each with its path. So are values that DVC would read as something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; make it with `python -m replication profile demo`")
    data = read_yaml(path)
    try:
        found = read_differently(path.read_text(encoding="utf-8"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if found:
        raise Faults(found, str(path))
    return parameters_of(data, str(path))


def parameters_of(data: Mapping[str, Any], source: str = "params.yaml") -> Parameters:
    """The same from the content of a file."""
    parameters = read(parameters_model(), data, source=source)
    found = list(dict.fromkeys(_together(parameters)))
    if parameters.comparable and not found:  # what is compared with the papers has to be readable first
        found = list(_not_comparable(parameters))
    if found:
        raise Faults(found, source)
    return parameters


def _name_faults(name: str) -> Iterator[str]:
    """What is wrong with a name that commands, paths and templates of DVC will have without quotes."""
    if not re.fullmatch(NAME, name):
        yield "a name is made of a-z, 0-9 and _, and begins with a letter"
    elif not is_text_to_both(name):
        yield f"{name} without quotes, as the commands of dvc.yaml have it, is no text in YAML; take another name"


def _together(p: Parameters) -> Iterator[tuple[str, str]]:
    """Rules that tie several sections: (key's path, sentence)."""
    for name in p.data:
        for sentence in _name_faults(name):
            yield f"data.{name}", sentence
    if not p.protocols:
        yield "protocols", "at least one is needed, or nothing is measured"
    for name, protocol in p.protocols.items():
        for sentence in _name_faults(name):
            yield f"protocols.{name}", sentence
        if not protocol.datasets:
            yield f"protocols.{name}.datasets", f"at least one is needed{hint('', p.data)}"
        for dataset in protocol.datasets:
            if dataset not in p.data:
                yield f"protocols.{name}.datasets", f"{dataset!r} is no data set{hint(dataset, p.data)}"
                continue
            own = p.data[dataset]
            rule = PairRule(name, protocol.holes, protocol.regions, protocol.exemplar)
            try:
                rule.require(own.possible_fields, dataset)
            except InputError as error:
                yield f"protocols.{name}", str(error)
            if own.source == "drawn" and own.test < 2:
                yield f"data.{dataset}.test", "at least 2 test images are needed to evaluate"
    features = p.evaluation.features
    if features not in p.run_names():
        yield "evaluation.features", f"{features!r} is no run{hint(features, p.run_names())}"
    elif not p.method_of(features).features:
        yield "evaluation.features", f"{features!r} is a run of {p.method_of(features).title}, which makes no features"
    for name in p.inspected:
        if name not in p.run_names() or not p.method_of(name).inpaints:
            yield "inspected", f"{name!r} is no run that completes faces{hint(name, p.measured_runs())}"
    seen: dict[str, str] = {}
    told: set[tuple[str, str]] = set()
    for one in methods().values():
        for name, run in getattr(p.runs, one.name).items():
            path = f"runs.{one.name}.{name}"
            for sentence in _name_faults(name):
                yield path, sentence
            if name in seen:
                yield path, f"the name is used by a run of {seen[name]} too"
                continue  # by its name alone, it is the other run that would be looked at
            seen[name] = one.name
            found = list(_run_faults(p, one, name, run, path))
            told.update(found)
            yield from found
    if len(seen) < len(p.run_names()):
        return  # two runs of one name
    looked_through = [misfits_of_needed_runs(p, one) for one in methods().values()]
    for needed, key, sentence, why in itertools.chain(*looked_through, misfits_of_features(p)):
        where = _key_in_file(p.method_of(needed), needed, p.run(needed), key)
        if (where, sentence) not in told:  # of the run itself
            yield where, f"{sentence} ({why})"
    yield from undivided_batches(p)


def _run_faults(p: Parameters, one: Method, name: str, run: Run, path: str) -> Iterator[tuple[str, str]]:
    if run.dataset is None and any(part.data for part in one.parts):
        yield f"{path}.dataset", f"needed{hint('', p.data)}"
        return
    if run.dataset is not None and run.dataset not in p.data:
        yield f"{path}.dataset", f"{run.dataset!r} is no data set{hint(run.dataset, p.data)}"
        return
    if run.protocol is None and one.inpaints:
        yield f"{path}.protocol", f"needed{hint('', p.protocols)}"
    elif run.protocol is not None and not one.inpaints:
        yield f"{path}.protocol", f"{one.title} completes no faces, so no protocol measures it"
    elif run.protocol is not None and run.protocol not in p.protocols:
        yield f"{path}.protocol", f"{run.protocol!r} is no protocol{hint(run.protocol, p.protocols)}"
    elif run.protocol is not None:
        paired = p.protocols[run.protocol].datasets
        # A misspelt data set of a protocol is told there, once, and not at every run.
        if run.dataset not in paired and set(paired) <= p.data.keys():
            wanted = ", ".join(paired)
            yield f"{path}.dataset", f"protocol {run.protocol} pairs no images of {run.dataset} (it has: {wanted})"
    if run.protocol in p.protocols and "exemplar" in one.needs and p.protocols[run.protocol].exemplar == "none":
        yield f"{path}.protocol", f"{one.title} needs an exemplar, and protocol {run.protocol} pairs none"
    try:
        settings = p.settings_of(name)
    except Faults as error:
        yield from error.faults
        return
    if run.dataset is not None:
        for key, sentence in settings.misfits(p.image_size_of(run.dataset)):
            yield _key_in_file(one, name, run, key), sentence
    for part in one.parts:
        made_for = p.datasets_of(part)
        # (Where one of them is misspelt, that is told once, and not at every run.)
        if part.per == "dataset" and run.dataset not in made_for and set(made_for) <= set(p.data):
            wanted = ", ".join(made_for)
            yield f"{path}.dataset", f"{run.dataset} is not among {part.over} ({wanted}), for which {part.name} is made"
        for need in part.needs:
            if need in {other.name for other in one.parts}:
                continue
            parsed, needed = Need.parse(need), p.needed_run(settings, need)
            there = getattr(p.runs, parsed.method)
            if needed not in there:
                key = _key_in_file(one, name, run, parsed.key) if parsed.key else f"runs.{parsed.method}"
                what = f"{one.name} needs the run {needed!r} of {parsed.method}"
                yield key, f"{what}, which is not there{hint(needed, there)}"


def _key_in_file(one: Method, name: str, run: Run, key: str) -> str:
    """Where a run's value of a key of its system's settings stands: in the run's change, or in the system's section."""
    inner: Any = run.change
    for step in key.split("."):
        if not isinstance(inner, dict) or step not in inner:
            return f"methods.{one.name}.{key}".rstrip(".")
        inner = inner[step]
    return f"runs.{one.name}.{name}.change.{key}"


def _not_comparable(p: Parameters) -> Iterator[tuple[str, str]]:
    """What keeps numbers from standing beside the papers'."""
    stated: dict[str, tuple[Any, Any]] = {
        "masks.source": (p.masks.source, "nvidia"),
        "evaluation.features": (p.method_of(p.evaluation.features).name, "inception"),
        "evaluation.pairs_per_bucket": (p.evaluation.pairs_per_bucket, None),
    }
    for dataset in p.paired_datasets():
        stated[f"data.{dataset}.source"] = (p.data[dataset].source, "photos")
        stated[f"image_size (of data.{dataset})"] = (p.image_size_of(dataset), 256)
    for name in p.run_names():
        one, run = p.method_of(name), p.run(name)
        for key, both in p.settings_of(name).stated_by_the_paper(name).items():
            stated[_key_in_file(one, name, run, key)] = both
    for key, (value, needed) in stated.items():
        if value != needed:
            words = needed
            if needed is None:
                words = "null"
            elif isinstance(needed, Settings):
                words = ", ".join(f"{k} {v}" for k, v in plain(needed).items() if v is not None)
            yield "comparable", f"may be true only under the paper's conditions, but {key} is not {words}"


__all__ = [
    "Faults",
    "Parameters",
    "Run",
    "hint",
    "load_parameters",
    "method",
    "methods",
    "parameters_model",
    "parameters_of",
]
