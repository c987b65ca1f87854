"""Every parameter of the pipeline: typed, with its range, and refused by name when it cannot be.

`params.yaml` at the root of a checkout is the active profile, whole and plain. `load_parameters` reads it into
frozen dataclasses; an unknown or misspelt key, a wrong type or a value out of range raises `InputError` with the
key's path. Profiles are complete files in `replication/profiles`; comments there carry the units.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from replication.atomic import write_text
from replication.errors import InputError

PROFILES = Path(__file__).parent / "profiles"
RESERVED = ("parser", "reconstruction", "attributes", "coarse_celebahq", "coarse_ffhq")
"""Names of trained things that are no experiments: no experiment may be called so."""


@dataclass(frozen=True)
class Range:
    """Closed bounds of a number; None is open."""

    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high is None else f"from {self.low:g} to {self.high:g}"


Count = Annotated[int, Range(1)]
NonNegative = Annotated[int, Range(0)]
Positive = Annotated[float, Range(1e-12)]
Weight = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class Run:
    """How to compute; none of this should change what is computed beyond rounding."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True
    compile: bool = False
    processes: Count = 1
    deterministic: bool = True
    checkpoint_every_s: Positive = 60.0
    log_every_s: Positive = 10.0


@dataclass(frozen=True)
class DataSet:
    """One set of faces: drawn, or packed from a folder of photos."""

    title: str
    source: Literal["drawn", "photos"]
    seed: NonNegative = 0
    # drawn faces
    distribution: Literal["celebahq", "ffhq", "both"] = "celebahq"
    train: Count | None = None
    test: NonNegative | None = None
    # photos
    folder: str | None = None
    table: str | None = None
    parsing_folder: str | None = None
    parsing_order: Literal["bisenet", "g_mask"] = "bisenet"
    align: Literal["none", "ffhq", "celebahq"] = "none"
    test_fraction: Share = 0.1
    duplicates: Literal["refuse", "drop", "allow"] = "refuse"
    skip_corrupt: bool = False
    allow_upscaling: bool = False


@dataclass(frozen=True)
class Masks:
    """Irregular hole masks; 1 = hole everywhere."""

    source: Literal["drawn", "nvidia"]
    train: Count
    test_per_bucket: Count
    seed: NonNegative = 0
    test_folder: str | None = None
    train_folder: str | None = None


@dataclass(frozen=True)
class Evaluation:
    pairs_per_bucket: Annotated[int, Range(2)] | None
    batch_size: Count
    samples: Count
    seed: NonNegative
    extractor: Literal["attributes", "inception"]
    inception_weights: str | None = None
    lpips_weights: str | None = None


@dataclass(frozen=True)
class Schedule:
    """How long and with what Adam settings to train. Exactly one of epochs and images is given."""

    batch_size: Count
    lr: Positive
    betas: tuple[Annotated[float, Range(0, 0.9999)], Annotated[float, Range(0, 0.99999)]]
    epochs: Positive | None = None
    images: Count | None = None
    decay: Literal["constant", "cosine"] = "constant"

    def total_images(self, train_images: int) -> int:
        """Images to see: `images`, or epochs times the training set's size."""
        return self.images if self.images is not None else round(self.epochs * train_images)

    def steps(self, train_images: int) -> int:
        """Optimiser steps of `batch_size` images, at least one."""
        return max(1, self.total_images(train_images) // self.batch_size)


@dataclass(frozen=True)
class PConvWeights:
    """Weights of the PConv loss (Liu et al. 2018); `style` applies to output and composite each."""

    valid: Weight = 1.0
    hole: Weight = 6.0
    perceptual: Weight = 0.05
    style: Weight = 120.0
    total_variation: Weight = 0.1


@dataclass(frozen=True)
class Coarse:
    width: Count
    levels: Annotated[int, Range(2, 8)]
    schedule: Schedule
    for_ffhq: Literal["celebahq", "ffhq"]
    paste: bool = True
    finetune_epochs: Weight = 0.0
    finetune_lr: Positive = 5.0e-5
    losses: PConvWeights = field(default_factory=PConvWeights)


@dataclass(frozen=True)
class Parser:
    source: Literal["train", "published"]
    width: Count
    upscale: Annotated[int, Range(1, 8)]
    output_stride: Literal["8", "4"] = "8"
    schedule: Schedule | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Reconstruction:
    width: Count
    schedule: Schedule


@dataclass(frozen=True)
class Attributes:
    width: Count
    schedule: Schedule | None


@dataclass(frozen=True)
class Perceptual:
    source: Literal["parser", "vgg"]
    vgg19: str | None = None
    vgg16: str | None = None


@dataclass(frozen=True)
class Memory:
    slots: Annotated[int, Range(1, 65536)] = 128
    decay: Share = 0.99
    shared: bool = False
    temperature: Positive = 1.0
    read: Literal["softmax", "class_mean"] = "softmax"
    start: Literal["random", "data"] = "random"


@dataclass(frozen=True)
class Mining:
    similarity: Literal["dot", "cosine"] = "dot"
    scale: Positive = 10.0
    key_mask: Literal["none", "known_any"] = "none"


@dataclass(frozen=True)
class LossWeights:
    """Weights of equation 15's terms (the paper reports none) and how InCo2 is read."""

    intra: Weight = 1.0
    inter: Weight = 1.0
    semantic: Weight = 0.1
    reconstruction: Weight = 1.0
    perceptual: Weight = 0.1
    style: Weight = 250.0
    adversarial: Weight = 0.1
    total_variation: Weight = 0.1
    apply_to: Literal["raw", "composite"] = "raw"  # ("on" would be a boolean in YAML)
    regions: Literal["semantic", "mask"] = "semantic"
    similarity: Literal["dot", "cosine"] = "dot"
    semantic_classes: Literal["19", "14"] = "19"


@dataclass(frozen=True)
class Size:
    channels: Annotated[int, Range(8)]
    style_width: Count
    width: Count
    blocks: NonNegative
    spade_hidden: Count
    patch: Count


@dataclass(frozen=True)
class MDRNet:
    size: Size
    schedule: Schedule
    discriminator_width: Count
    discriminator_norm: Literal["spectral", "batch"] = "spectral"
    discriminator_lr_ratio: Positive = 1.0
    spade_norm: Literal["instance", "batch"] = "instance"
    dmm: bool = True
    mcm: bool = True
    memory: Memory = field(default_factory=Memory)
    mining: Mining = field(default_factory=Mining)
    losses: LossWeights = field(default_factory=LossWeights)
    bank_pairs: NonNegative = 0


@dataclass(frozen=True)
class Experiment:
    """One kind of MDRNet: a data set, and whatever differs from the section `mdrnet`; trained `seeds` times."""

    dataset: Literal["celebahq", "ffhq"]
    seeds: Count | None = None
    change: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """One row of Table 1 that is not ours."""

    method: Literal["pconv"]
    dataset: Literal["celebahq", "ffhq"]
    seeds: Count | None = None


@dataclass(frozen=True)
class DataSets:
    """The four roles: two sets to inpaint, one with parsing maps, one with attributes."""

    celebahq: DataSet
    ffhq: DataSet
    parsing: DataSet
    attributes: DataSet


@dataclass(frozen=True)
class Parameters:
    profile: str
    comparable: bool
    note: str
    image_size: Annotated[int, Range(32, 512)]
    seed: NonNegative
    seeds: Count
    run: Run
    data: DataSets
    masks: Masks
    evaluation: Evaluation
    coarse: Coarse
    parser: Parser
    reconstruction: Reconstruction
    attributes: Attributes
    perceptual: Perceptual
    mdrnet: MDRNet
    experiments: dict[str, Experiment]
    baselines: dict[str, Baseline]
    consent: tuple[str, ...] = ()  # data sets whose terms the user accepts; read by `download` alone

    def mdrnet_of(self, experiment: str) -> MDRNet:
        """The section `mdrnet` with one experiment's changes merged in."""
        change = self.experiment(experiment).change
        merged = _merge(dataclasses.asdict(self.mdrnet), change, f"experiments.{experiment}.change")
        return _build(MDRNet, merged, f"experiments.{experiment}.change")

    def experiment(self, name: str) -> Experiment:
        """One entry of `experiments`; InputError names those that exist."""
        if name not in self.experiments:
            raise InputError(f"experiment {name!r} does not exist{hint(name, self.experiments)}")
        return self.experiments[name]

    def seeds_of(self, name: str) -> int:
        """How often an experiment or baseline is trained: with the seeds `seed`, `seed` + 1, ..."""
        own = self.baselines[name].seeds if name in self.baselines else self.experiment(name).seeds
        return own or self.seeds

    def coarse_seeds(self, dataset: str) -> int:
        """How often the partial-convolution network of a data set is trained; the first is the coarse network."""
        return max([1, *(self.seeds_of(n) for n, b in self.baselines.items() if b.dataset == dataset)])


def hint(name: str, allowed: typing.Iterable[str]) -> str:
    allowed = list(allowed)
    close = difflib.get_close_matches(str(name), allowed, n=1)
    return (f"; did you mean {close[0]!r}?" if close else "") + f" (allowed: {', '.join(allowed)})"


def _merge(base: dict, change: dict, path: str) -> dict:
    merged = dict(base)
    for key, value in change.items():
        if key not in base:
            raise InputError(f"{path}.{key}: unknown key{hint(key, base)}")
        if isinstance(base[key], dict):
            if not isinstance(value, dict):
                raise InputError(f"{path}.{key}: must be a mapping of {', '.join(base[key])}, got {value!r}")
            merged[key] = _merge(base[key], value, f"{path}.{key}")
        else:
            merged[key] = value
    return merged


def _build(kind: Any, value: Any, path: str) -> Any:
    """Turn plain YAML data into the type `kind`, or say with the key's path why it cannot be."""
    where = path or "params"
    origin = typing.get_origin(kind)
    if origin is Annotated:
        base, *bounds = typing.get_args(kind)
        value = _build(base, value, path)
        for bound in bounds:
            low, high = bound.low, bound.high
            if not ((low is None or value >= low) and (high is None or value <= high)):
                raise InputError(f"{where}: must be {bound}, got {value!r}")
        return value
    if origin in (types.UnionType, typing.Union):
        inner = [k for k in typing.get_args(kind) if k is not type(None)]
        return None if value is None else _build(inner[0], value, path)
    if origin is Literal:
        allowed = typing.get_args(kind)
        # A choice may look like a number in YAML (19); compare as text.
        if str(value) not in allowed or isinstance(value, bool):
            raise InputError(f"{where}: must be one of {', '.join(allowed)}, got {value!r}")
        return str(value)
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where}: must be a mapping, got {value!r}")
        return {str(k): _build(typing.get_args(kind)[1], v, f"{path}.{k}") for k, v in value.items()}
    if origin is tuple:
        kinds = typing.get_args(kind)
        if kinds[1:] == (...,):
            if not isinstance(value, list | tuple):
                raise InputError(f"{where}: must be a list, got {value!r}")
            return tuple(_build(kinds[0], v, f"{path}[{i}]") for i, v in enumerate(value))
        if not isinstance(value, list | tuple) or len(value) != len(kinds):
            raise InputError(f"{where}: must be a list of {len(kinds)} numbers, got {value!r}")
        return tuple(_build(k, v, f"{path}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, path)
    if kind is Any:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        return value
    names = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text"}
    raise InputError(f"{where}: must be {names[kind]}, got {value!r}")


def _build_dataclass(kind: type, value: Any, path: str) -> Any:
    where = path or "params"
    if not isinstance(value, dict):
        raise InputError(f"{where}: must be a mapping, got {value!r}")
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise InputError(f"{path + '.' if path else ''}{key}: unknown key{hint(key, fields)}")
    missing = [
        name
        for name, f in fields.items()
        if name not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{where}: missing key {missing[0]!r}")
    built = {key: _build(hints[key], item, f"{path}.{key}" if path else key) for key, item in value.items()}
    return kind(**built)


def _stated_by_the_paper(p: Parameters) -> dict[str, tuple[Any, Any]]:
    """What numbers that stand beside ShowFace's have to share with it: key -> (value here, value there)."""

    def recipe(epochs: int) -> Schedule:
        return Schedule(batch_size=8, lr=2e-4, betas=(0.9, 0.99), epochs=epochs)

    stated = {
        "image_size": (p.image_size, 256),
        "data.celebahq.source": (p.data.celebahq.source, "photos"),
        "data.ffhq.source": (p.data.ffhq.source, "photos"),
        "masks.source": (p.masks.source, "nvidia"),
        "evaluation.extractor": (p.evaluation.extractor, "inception"),
        "evaluation.pairs_per_bucket": (p.evaluation.pairs_per_bucket, None),
        "parser.source": (p.parser.source, "published"),
        "perceptual.source": (p.perceptual.source, "vgg"),
        "coarse.for_ffhq": (p.coarse.for_ffhq, "celebahq"),
        "coarse.schedule": (p.coarse.schedule, recipe(100)),
        "reconstruction.schedule": (p.reconstruction.schedule, recipe(30)),
    }
    for name, experiment in p.experiments.items():
        own = f"experiments.{name}.change" if "schedule" in experiment.change else "mdrnet"
        stated[f"{own}.schedule"] = (p.mdrnet_of(name).schedule, recipe(45))
    if "full" in p.experiments:
        stated["mdrnet.memory.slots (of full)"] = (p.mdrnet_of("full").memory.slots, 128)
    return stated


def _check_together(p: Parameters) -> None:
    """Rules that tie several values; each names the key to change."""
    size = p.image_size
    for name in (*p.experiments, *p.baselines):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
            section = "experiments" if name in p.experiments else "baselines"
            raise InputError(
                f"{section}.{name}: a name is made of a-z, 0-9 and _, begins with a letter, and is none of "
                f"{', '.join(RESERVED)}"
            )
    if size % 8:  # the autoencoder behind InCo2 has stride 8
        raise InputError(f"image_size: {size} must be a multiple of 8")
    if size % 2**p.coarse.levels:
        raise InputError(
            f"image_size: {size} must be a multiple of 2^coarse.levels = {2**p.coarse.levels}; take another size, or "
            "lower coarse.levels"
        )
    for name, schedule in {
        "coarse": p.coarse.schedule,
        "parser": p.parser.schedule,
        "reconstruction": p.reconstruction.schedule,
        "attributes": p.attributes.schedule,
        "mdrnet": p.mdrnet.schedule,
    }.items():
        if schedule is not None and (schedule.epochs is None) == (schedule.images is None):
            raise InputError(f"{name}.schedule: give exactly one of epochs and images")
    if p.coarse.schedule.epochs is not None and p.coarse.finetune_epochs > p.coarse.schedule.epochs:
        raise InputError("coarse.finetune_epochs: must not exceed coarse.schedule.epochs")
    if p.coarse.finetune_epochs and p.coarse.schedule.epochs is None:
        raise InputError("coarse.finetune_epochs: needs coarse.schedule.epochs")
    if p.parser.schedule is not None and p.parser.schedule.decay != "constant":
        raise InputError(
            "parser.schedule.decay: must be constant; the parser's training has a polynomial decay of its own"
        )
    if p.parser.source == "train" and p.parser.schedule is None:
        raise InputError("parser.schedule: needed when parser.source is train")
    if p.parser.source == "published" and (p.parser.width, p.parser.output_stride) != (64, "8"):
        raise InputError("parser.width: the published parser has width 64 and output_stride 8")
    if p.comparable:
        for key, (value, needed) in _stated_by_the_paper(p).items():
            if value != needed:
                words = needed
                if needed is None:
                    words = "null"
                elif isinstance(needed, Schedule):
                    words = ", ".join(f"{k} {v}" for k, v in dataclasses.asdict(needed).items() if v is not None)
                raise InputError(f"comparable: may be true only under the paper's conditions, but {key} is not {words}")
    if p.parser.source == "published" and not p.parser.weights:
        raise InputError("parser.weights: needed when parser.source is published")
    if p.evaluation.extractor == "inception" and not p.evaluation.inception_weights:
        raise InputError("evaluation.inception_weights: needed when evaluation.extractor is inception")
    if p.evaluation.extractor == "attributes" and p.attributes.schedule is None:
        raise InputError("attributes.schedule: needed when evaluation.extractor is attributes")
    if p.perceptual.source == "vgg" and not (p.perceptual.vgg19 and p.perceptual.vgg16):
        raise InputError("perceptual.vgg19: both vgg19 and vgg16 weight files are needed when source is vgg")
    if p.masks.source == "nvidia" and not p.masks.test_folder:
        raise InputError("masks.test_folder: needed when masks.source is nvidia")
    for name in ("celebahq", "ffhq", "parsing", "attributes"):
        data: DataSet = getattr(p.data, name)
        if data.source == "photos" and not data.folder:
            raise InputError(f"data.{name}.folder: needed when source is photos")
        if data.source == "photos" and data.align != "none" and not data.table:
            raise InputError(f"data.{name}.table: needed with landmarks when align is {data.align}")
        if data.source == "drawn" and (data.train is None or data.test is None):
            raise InputError(f"data.{name}.train: train and test counts are needed when source is drawn")
        if data.source == "drawn" and name in ("celebahq", "ffhq") and data.test < 2:
            raise InputError(f"data.{name}.test: at least 2 test images are needed to evaluate")
    if clash := set(p.experiments) & set(p.baselines):
        raise InputError(f"baselines.{sorted(clash)[0]}: the name is used by an experiment too")
    for name in p.experiments:
        m = p.mdrnet_of(name)
        grid = size // 2
        if grid % m.size.patch:
            raise InputError(
                f"mdrnet.size.patch: must divide the feature grid {grid} = image_size/2, got {m.size.patch}"
            )
        if m.size.channels % 8:
            raise InputError(f"mdrnet.size.channels: must be a multiple of 8, got {m.size.channels}")
        if (m.schedule.epochs is None) == (m.schedule.images is None):
            raise InputError(f"experiments.{name}.change.schedule: give exactly one of epochs and images")


def load_parameters(path: str | Path = "params.yaml") -> Parameters:
    """Read and validate a parameter file.

    Raises:
        InputError: the file is missing, is not YAML, or holds a key or value that is not allowed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; make it with `python -m replication profile demo`")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        line = f" at line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""
        raise InputError(f"{path} is not valid YAML{line}") from error
    parameters = _build(Parameters, data, "")
    _check_together(parameters)
    return parameters


def profile_names() -> list[str]:
    return sorted(p.stem for p in PROFILES.glob("*.yaml"))


def activate_profile(name: str, path: str | Path = "params.yaml") -> bool:
    """Make a packaged profile the active `params.yaml`; true if the file changed.

    A params.yaml with changes of its own is kept beside it as `params.edited.yaml` (`-2`, `-3` ...): nothing typed
    is lost.

    Raises:
        InputError: no such profile.
    """
    if name not in profile_names():
        raise InputError(f"profile {name!r} does not exist{hint(name, profile_names())}")
    text = (PROFILES / f"{name}.yaml").read_text(encoding="utf-8")
    load_parameters(PROFILES / f"{name}.yaml")
    path = Path(path)
    if path.is_file():
        before = path.read_text(encoding="utf-8")
        if before == text:
            return False
        if before not in [(PROFILES / f"{n}.yaml").read_text(encoding="utf-8") for n in profile_names()]:
            kept, number = path.with_name("params.edited.yaml"), 1
            while kept.is_file() and kept.read_text(encoding="utf-8") != before:
                number += 1
                kept = path.with_name(f"params.edited-{number}.yaml")
            write_text(kept, before)
    write_text(path, text)
    return True
