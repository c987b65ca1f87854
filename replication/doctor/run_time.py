"""How long a profile will take on this machine: its amounts of work times a few measured speeds.

The amounts follow from the parameters and the number of images; the speeds are measured by `rehearsal`. Nothing here
needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from replication.config import Parameters

BUCKETS = 3
"""Ranges of hole ratios that are evaluated (data/masks.BUCKETS)."""
SCORES_S = 5.0 / 900
"""Seconds for a completed image's part in the scores and intervals of its training; measured in `demo`."""
REPORT_STAGES = ("tables", "claims", "figures", "inspect", "plots", "costs", "site")


@dataclass(frozen=True)
class Images:
    """Faces of one role: for training and for testing; `assumed` if they had to be guessed, since none are there."""

    train: int
    test: int
    assumed: bool = False


@dataclass(frozen=True)
class Timings:
    """Seconds for one of each. A step is one of the profile's batch size; an image is one of a batch.

    face: drawing (or reading, resizing) one face on one core; `photo` the same from a folder. mask: likewise.
    parser_step ... mdrnet_step: a training step, None where the profile does not train that. priors_image: the coarse
    network and parser on one training pair. completed_image: one test pair through an MDRNet, pasted, measured by every
    metric and described by the network of the Fréchet distance. stage: what every stage costs beside its work (starting
    a notebook, importing, writing it as HTML). notes: how it was measured, in words.
    """

    face: float
    photo: float
    mask: float
    coarse_step: float
    mdrnet_step: float
    reconstruction_step: float
    priors_image: float
    completed_image: float
    stage: float
    parser_step: float | None = None
    attributes_step: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One kind of work: how much of it, and the seconds that it takes."""

    name: str
    amount: str
    seconds: float


def estimate(parameters: Parameters, images: dict[str, Images], timings: Timings, *, workers: int = 1) -> list[Part]:
    """The work of a whole run from nothing, in the order of the pipeline.

    images: by role. workers: processes that draw faces and masks side by side.
    """
    p, parts = parameters, []

    def add(name: str, amount: str, seconds: float) -> None:
        if seconds > 0:
            parts.append(Part(name, amount, seconds))

    for source, each in (("drawn", timings.face), ("photos", timings.photo)):
        count = sum(n.train + n.test for role, n in images.items() if getattr(p.data, role).source == source)
        add(f"{source} faces" if source == "drawn" else "photos", f"{count:,} images", count * each / workers)
    masks = p.masks.train + BUCKETS * p.masks.test_per_bucket
    add("masks", f"{masks:,} masks", masks * timings.mask / workers)

    for name, schedule, step, role in (
        ("parser", p.parser.schedule if p.parser.source == "train" else None, timings.parser_step, "parsing"),
        ("reconstruction", p.reconstruction.schedule, timings.reconstruction_step, "celebahq"),
        (
            "attributes",
            p.attributes.schedule if p.evaluation.extractor == "attributes" else None,
            timings.attributes_step,
            "attributes",
        ),
    ):
        if schedule is not None and step is not None:
            steps = schedule.steps(images[role].train)
            add(f"network {name}", f"{steps:,} steps", steps * step)

    sets = ("celebahq", "ffhq")
    trainings = sum(p.coarse_seeds(dataset) for dataset in sets)
    steps = sum(p.coarse_seeds(dataset) * p.coarse.schedule.steps(images[dataset].train) for dataset in sets)
    add(f"{trainings} coarse networks", f"{steps:,} steps", steps * timings.coarse_step)
    pairs = len(sets) * p.mdrnet.bank_pairs
    add("banks", f"{pairs:,} pairs", pairs * timings.priors_image)

    trainings, steps, seconds = 0, 0, 0.0
    for name, experiment in p.experiments.items():
        schedule, seeds = p.mdrnet_of(name).schedule, p.seeds_of(name)
        own = seeds * schedule.steps(images[experiment.dataset].train)
        trainings, steps = trainings + seeds, steps + own
        seconds += own * timings.mdrnet_step * schedule.batch_size / p.mdrnet.schedule.batch_size
    add(f"{trainings} MDRNets", f"{steps:,} steps", seconds)

    measured = sum(p.seeds_of(name) * pairs_of(p, images, e.dataset) for name, e in experiments_and_baselines(p))
    seconds = measured * (timings.completed_image + SCORES_S) if timings.completed_image else 0.0
    add("evaluation", f"{measured:,} completed images", seconds)
    stages = stage_count(p)
    add("notebooks and reports", f"{stages} stages", stages * timings.stage)
    return parts


def experiments_and_baselines(parameters: Parameters) -> list:
    return [*parameters.experiments.items(), *parameters.baselines.items()]


def pairs_of(parameters: Parameters, images: dict[str, Images], dataset: str) -> int:
    """Test pairs of one training on a data set, over all buckets."""
    most, wanted = images[dataset].test, parameters.evaluation.pairs_per_bucket
    return BUCKETS * (most if wanted is None else min(most, wanted))


def stage_count(parameters: Parameters) -> int:
    """Stages of dvc.yaml: four sets, masks, three networks, two coarse, two banks, and what is trained and measured."""
    trained = len(parameters.experiments)
    return 4 + 1 + 3 + 2 + 2 + trained + trained + len(parameters.baselines) + len(REPORT_STAGES)


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
