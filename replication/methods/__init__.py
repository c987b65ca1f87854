"""One folder a published system, and here what every system promises to the rest of the suite.

A system is a folder of this one with a `method.py` that declares it: its settings, its parts (networks that are trained
one after another), the module that opens them. Nothing outside `methods/` knows a system by name: the stages, dvc.yaml,
tables, figures and the inspection all follow from the declarations, which `registry.methods` finds.

Importing this module imports no torch, so that the command line can list what there is in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from replication.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from replication.data.masks import MaskStore
    from replication.data.store import FaceStore
    from replication.schedule import Schedule
    from replication.training.trainable import Trainable

ONLY_PART = "network"
"""Name of the part of a system that has just one."""


class MethodSettings(Settings):
    """Base of the settings of a system: the section `methods.<system>` of params.yaml.

    Networks and losses take these very objects as constructor arguments, so that a key exists once.
    """

    def misfits(self, image_size: int) -> Iterator[tuple[str, str]]:
        """(key below the section, sentence) for each value that does not fit images of `image_size` pixels."""
        yield from ()

    def opens(self, part: str, need: str, dataset: str) -> bool:
        """Whether a part ("": a run that is opened) opens one of its needs on a data set; most open all of them."""
        return True

    def stated_by_the_paper(self, run: str) -> Mapping[str, tuple[Any, Any]]:
        """key below the section -> (value here, value in the paper), for what a comparable run has to share."""
        return {}


@dataclass(frozen=True)
class Need:
    """A network of another system's run that a part looks through or builds upon.

    method: its system. key: dotted key of the needing system's own settings that holds the name of the run; None
    stands for the run that is called like the system, as `parser` is.
    """

    method: str
    key: str | None = None

    @classmethod
    def parse(cls, text: str) -> Need:
        """ "parser" -> the run `parser`; "pconv:coarse.run" -> the run of pconv that the setting coarse.run names."""
        method, _, key = text.partition(":")
        return cls(method, key or None)


@dataclass(frozen=True)
class Part:
    """One network that is trained by itself, or one thing that is computed once for a data set: one stage of DVC.

    module: of its code; its import closure is what the result depends on (`graph.closure`). It has a function
        `train(task: Task) -> Training | Finished`, or, with per="dataset", `compute(task: Task, folder: Path) -> dict`
        that fills a folder and returns what its card says; and, where an own later part needs it,
        `open_part(trained: TrainedRun)`, which gives the frozen network.
    needs: what has to be there before: own parts by name, networks of other systems as `Need.parse` reads them.
    fields: of a batch beyond image and mask: "attributes", "boxes", "identity", "landmarks", "parsing".
    holes: whether batches have masks. data: whether it reads a data set at all.
    together: whether several processes may train it together (`compute.processes`); their step must then be that of
        one process with the whole batch.
    per: "run": one for every run and seed. "dataset": once for a data set, shared by all runs of the system on it.
    over: key of params.yaml that lists these data sets.
    settings: the top-level keys of the system's settings that it reads; empty for all of them.
    """

    name: str
    module: str
    needs: tuple[str, ...] = ()
    fields: frozenset[str] = frozenset()
    holes: bool = True
    data: bool = True
    together: bool = True
    per: Literal["run", "dataset"] = "run"
    over: str = "protocols.irregular.datasets"
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """A picture of what goes on inside a run, drawn by a function of the system.

    draw: "module:function" with (inside: Inside, **options) -> Figure, or None where this run lacks what the panel
        shows (an ablation without a memory). Its keyword-only arguments are the options that a user may set for it; a
        value must have the type of the default. title: what it shows, in words.
    """

    name: str
    title: str
    draw: str


@dataclass(frozen=True)
class Diagnosis:
    """What a system has to say about its runs below a table, from what its passes told while they were measured.

    sentences: "module:function" with (runs: row of the table -> bucket -> name -> mean over its images) -> list of
        sentences; the names are those of `Diagnosed.inpaint_with_diagnostics`. Its module imports no torch.
    tables: numbers of the tables of the system's paper below which it is printed.
    """

    sentences: str
    tables: tuple[int, ...]


@dataclass(frozen=True)
class Inside:
    """One test pair through one trained run: what a panel is given.

    title: names run, image and bucket. batch: of this one pair, see `Inpainter`. card: of the run's last part.
    options: what the user set for the system's panels, by name.
    """

    title: str
    run: str
    card: Mapping[str, Any]
    inpainter: Inpainter
    batch: Mapping[str, Any]
    trace: Trace
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A published system.

    name: of its folder and of its section in params.yaml. title: as the papers call it. paper: folder of
    `replication/papers` whose tables it stands in, or its citation where it stands in none.
    module: has `open_run(trained: TrainedRun)`, which gives an `Inpainter`, or for a network that others look through,
        that network, frozen.
    inpaints: whether its runs complete faces; others are not measured by a protocol.
    features: whether its runs open as the network of a Fréchet distance.
    opens: needs that `open_run` opens, as parts name theirs; what only a training looks through is not among them.
    needs: fields beyond image and mask without which its runs cannot complete a face, such as "exemplar".
    curves: scalars of its histories that `dvc plots` shows.
    panels: pictures of the inside of a run, beside those that are drawn of every Trace.
    diagnosis: what is printed below tables about how its runs work; None for systems that tell nothing.
    training_panel: "module:function" with (trained: TrainedRun, faces: FaceStore) -> Figure: what a freshly trained run
        makes of test faces of its data set. None for systems whose runs complete faces, which show that.
    """

    name: str
    title: str
    paper: str
    settings: type[MethodSettings]
    parts: tuple[Part, ...]
    module: str
    inpaints: bool = True
    features: bool = False
    opens: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    curves: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()
    training_panel: str | None = None
    diagnosis: Diagnosis | None = None

    def part(self, name: str) -> Part:
        """A part by name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def run_parts(self) -> tuple[Part, ...]:
        """The parts that every run has its own of."""
        return tuple(part for part in self.parts if part.per == "run")

    @property
    def shared_settings(self) -> tuple[str, ...]:
        """Keys that no run may change: what is computed once for a data set reads them, or dvc.yaml does, to know which
        runs of other systems are needed.
        """
        own = {part.name for part in self.parts}
        needs = [Need.parse(need) for part in self.parts for need in part.needs if need not in own]
        named = [need.key.split(".")[0] for need in needs if need.key]
        return tuple(dict.fromkeys([key for p in self.parts if p.per == "dataset" for key in p.settings] + named))


@dataclass(frozen=True)
class Task:
    """What a part is given to be trained or computed.

    run: the run's name. dataset, image_size: what it trains on. seed: of this training; torch is seeded with it before
    the part's function is called. shared_seed: of what is computed once for all seeds. settings: the system's, with
    the changes of the run.
    faces, masks: opened stores of the data set; None for parts without data or holes.
    open: a need as the part declares it ("parser", "pconv:coarse.run", an own part's name) -> the frozen network, on
    `device`. shared: an own part that is computed once for a data set -> its folder. memory_format: of frozen networks
    and their batches, by `compute.channels_last`.
    """

    run: str
    part: Part
    dataset: str
    image_size: int
    seed: int
    shared_seed: int
    settings: Any
    faces: FaceStore | None
    masks: MaskStore | None
    device: torch.device
    open: Callable[[str], Any]
    shared: Callable[[str], Path]
    memory_format: torch.memory_format

    @property
    def train_images(self) -> int:
        """Different faces to train on."""
        return len(self.faces.rows("train"))


@dataclass(frozen=True)
class Training:
    """A training to be done by the one loop: what is trained, how long, and how batches differ from the usual.

    batches: further arguments of `data.loader.TrainingBatches`.
    """

    trainable: Trainable
    schedule: Schedule
    batches: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A part that needs no training, such as published weights: its tensors by name, and what its card says."""

    weights: Mapping[str, Tensor]
    card: Mapping[str, Any]


@dataclass(frozen=True)
class TrainedRun:
    """What a system is given to open one of its trained runs.

    settings: those that it was trained with, from its own cards. cards: part -> card. weights: part -> tensors.
    open, memory_format: as in `Task`.
    """

    run: str
    dataset: str
    settings: Any
    cards: Mapping[str, Mapping[str, Any]]
    weights: Callable[[str], dict[str, Tensor]]
    device: torch.device
    open: Callable[[str], Any]
    memory_format: torch.memory_format


class Inpainter(Protocol):
    """A trained run that completes faces; evaluation and inspection know no more of a system.

    A batch is a dict: `image` (B,3,H,W) in [-1,1]; `mask` (B,1,H,W), 1 = hole; what `needs` names.
    """

    needs: frozenset[str]
    """Fields of a batch beyond image and mask, such as "exemplar": checked against the protocol before any work."""

    def inpaint(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> Tensor:
        """Completed images (B,3,H,W) in [-1,1].

        Pixels under the hole are never read, known pixels come back bit for bit. One seed an image: whatever is drawn
        for an image is drawn from its own seed, so that the size and the order of batches cannot matter.
        """

    def features(self, batch: Mapping[str, Any], seeds: Sequence[int]) -> Trace:
        """The named tensors of the pass that `inpaint` makes of the same batch and seeds, for inspection."""


class Diagnosed(Inpainter, Protocol):
    """An Inpainter that tells how a pass worked; the evaluation keeps the means of it beside the metrics."""

    def inpaint_with_diagnostics(
        self, batch: Mapping[str, Any], seeds: Sequence[int]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """What `inpaint` returns for the same batch and seeds, and numbers by name, (B,) each, a value an image; NaN
        where an image has none. Names are the same for every batch.
        """


KINDS = ("picture", "mask", "labels", "map", "matrix", "vectors", "flags", "scalar")
"""Kinds of tensors in a Trace, each with its own way to be drawn:

picture (B,3,H,W) in [-1,1]; mask (B,1,H,W) 0/1; labels (B,H,W) integers; map: feature map (B,C,h,w); matrix: (B,n,m);
vectors: (B,n,d), a row each; flags: (B,n) 0/1; scalar: (B,).
"""


def tensor(kind: str, meaning: str, **more: Any) -> Any:
    """A field of a Trace: its kind (one of KINDS) and what it is, with the paper's symbol where there is one.

    more: what drawing may want, such as `names` of the rows of vectors.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: must be one of {', '.join(KINDS)}")
    return field(default=None, metadata={"kind": kind, "meaning": meaning, **more}, kw_only=True)


@dataclass(frozen=True)
class Trace:
    """Named tensors of one pass through a system; every system has a frozen subclass with its own.

    A tensor that a variant lacks (a memory that an ablation took away) is None. Fields that are no tensors, such as
    scalars of a log, are declared without `tensor` and are not drawn.
    """

    masked_input: Tensor = tensor("picture", "I, what the network sees")
    mask: Tensor = tensor("mask", "M, 1 = hole")
    completed: Tensor = tensor("picture", "known pixels of the input, the hole as the network fills it")

    def named(self) -> dict[str, tuple[Tensor, Mapping[str, Any]]]:
        """name -> (tensor, metadata with `kind` and `meaning`) of every tensor that is there, in their order."""
        own = {one.name: one.metadata for one in fields(self) if "kind" in one.metadata}
        return {name: (getattr(self, name), m) for name, m in own.items() if getattr(self, name) is not None}

    def absent(self) -> tuple[str, ...]:
        """Names of the tensors that this variant lacks."""
        return tuple(f.name for f in fields(self) if "kind" in f.metadata and getattr(self, f.name) is None)
