"""How much disk a run of a profile will take, from image counts, sizes and the networks' numbers of parameters."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from replication import paths
from replication.config import Parameters, load_parameters
from replication.doctor.amounts import (
    Images,
    buckets_of,
    is_computed,
    items_of,
    masked_datasets,
    masks_of,
    pairs_of,
    typical_run,
)
from replication.doctor.findings import MISSING, NOTE, OK, Finding
from replication.errors import InputError
from replication.graph.stages import load_stages, parameter
from replication.history.records import record_path
from replication.methods.registry import methods
from replication.yaml_files import read_yaml

KEPT_CHECKPOINTS = 2
REPORTS = 60_000_000
"""Bytes of executed notebooks, their pages, figures and the site; 25 MB were measured half-way through `demo`."""
REPLACED = (paths.PREPARED, paths.SHARED, paths.MODELS, paths.RESULTS, paths.STATE)
"""What a run writes anew in the place of an earlier one's. DVC's cache is not among them: it only grows."""


@dataclass(frozen=True)
class Numbers:
    """How many numbers a part stores when it is done, and how many its networks have while it is trained."""

    stored: int
    trained: int


@dataclass(frozen=True)
class Sizes:
    """What a profile stores, counted.

    networks: (system, part) -> of one training. items: (system, part) -> bytes of one item, at `item_size` pixels, of
    what is computed once for a data set. features: width of those of the Fréchet distance.
    """

    networks: Mapping[tuple[str, str], Numbers]
    features: int
    items: Mapping[tuple[str, str], float] = field(default_factory=dict)
    item_size: int = 1


@functools.lru_cache(maxsize=1)
def sizes_of(parameters: Parameters) -> Sizes:
    """Build every network once, with random weights, and count; needs torch.

    On the device "meta" nothing would be filled, but what torch imports for that takes longer than the largest profile.
    """
    import torch

    from replication.doctor.stand_ins import StandIns
    from replication.methods import Finished

    p, networks, items = parameters, {}, {}
    size = min(p.image_size_of(name) for name in p.data)
    with torch.random.fork_rng(), StandIns(p, "cpu") as stand_ins:
        for one in methods().values():
            runs = p.run_names(one.name)
            for part in one.run_parts if runs else ():
                made = stand_ins.made(typical_run(p, runs), part)
                if isinstance(made, Finished):
                    networks[one.name, part.name] = Numbers(_count(made.weights), 0)
                else:
                    stored, trained = made.trainable.inference_weights(), made.trainable.state_dict()
                    networks[one.name, part.name] = Numbers(_count(stored), _count(trained))
            for part in one.parts:
                if is_computed(p, one, part):
                    dataset = p.datasets_of(part)[0]
                    folder, count = stand_ins.computed(one, part, dataset)
                    area = (p.image_size_of(dataset) / size) ** 2
                    items[one.name, part.name] = _content(folder) / count / area
        features = stand_ins.opened(p.evaluation.features)
        width = features.features(torch.zeros((1, 3, size, size), dtype=torch.uint8)).shape[1]
    return Sizes(networks, width, items, size)


def _count(tensors: Mapping) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _content(folder: Path) -> int:
    """Bytes of the files in a folder; of arrays without their heads, which do not grow with them."""
    import numpy as np

    total = 0
    for file in folder.iterdir():
        array = file.suffix == ".npy"
        total += np.load(file, mmap_mode="r", allow_pickle=False).nbytes if array else file.stat().st_size
    return total


def bytes_needed(parameters: Parameters, images: Mapping[str, Images], sizes: Sizes) -> dict[str, int]:
    """Bytes by kind of file of a whole run; `DVC's cache` is its copy of all that is in data/."""
    p = parameters
    pixels = {name: p.image_size_of(name) ** 2 for name in p.data}
    prepared = masks_of(p) * sum(pixels[name] for name in masked_datasets(p))
    for name, count in images.items():
        data = p.data[name]
        channels = 3 + (data.source == "drawn" or data.parsing_folder is not None)
        prepared += (count.train + count.test) * pixels[name] * channels
    for protocol in p.protocols.values():
        if protocol.holes != "irregular":  # those are the masks above; others are kept with their pairs
            prepared += buckets_of(protocol) * sum(images[name].test * pixels[name] for name in protocol.datasets)
    computed = 0
    for (method, part), each in sizes.items.items():
        own = methods()[method].part(part)
        _, count = items_of(getattr(p.methods, method), own)
        area = sum(pixels[name] for name in p.datasets_of(own)) / sizes.item_size**2
        computed += round(count * each * area)
    models = state = 0
    for (method, _), numbers in sizes.networks.items():
        trainings = sum(p.seeds_of(name) for name in p.run_names(method))
        models += 4 * trainings * numbers.stored
        # Adam keeps two numbers for each parameter.
        state += KEPT_CHECKPOINTS * 3 * 4 * trainings * numbers.trained
    results = 0
    for name in p.measured_runs():
        dataset, pairs = p.run(name).dataset, pairs_of(p, images, name)
        buckets = buckets_of(p.protocol_of(name))
        kept = min(buckets * p.evaluation.samples, pairs) * pixels[dataset] * 3
        results += p.seeds_of(name) * ((pairs + images[dataset].test) * sizes.features * 4 + kept + 300 * pairs)
    needed = {
        "prepared data": prepared,
        "computed once": computed,
        "networks": models,
        "checkpoints": state,
        "results": results,
        "DVC's cache": prepared + computed + models + results,
        "reports": REPORTS,
    }
    return {kind: size for kind, size in needed.items() if size}


def bytes_there(root: Path) -> int:
    """What an earlier run left in the folders whose content a run replaces."""
    total = 0
    for part in REPLACED:
        for folder, _, files in os.walk(root / part):
            for name in files:
                try:
                    total += (Path(folder) / name).lstat().st_size
                except OSError:  # removed by a run that is going on
                    continue
    return total


def run_is_here(parameters: Parameters, root: Path) -> bool:
    """Whether the checkout `root` has every output of a run with these parameters, by names and records alone.

    A record holds the values of the parameters that its stage has read; code and photos are not compared.
    """
    try:
        if load_parameters(root / "params.yaml") != parameters:
            return False
        raw, stages = read_yaml(root / "params.yaml"), load_stages(root)
        for stage in stages.values():
            then = json.loads((root / record_path(stage.name)).read_bytes())["parameters"]
            now = json.loads(json.dumps({key: parameter(key, raw) for key in stage.params}))
            if then != now or not all((root / out).exists() for out in stage.outs):
                return False
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return False
    return bool(stages)


def disk(parameters: Parameters, images: Mapping[str, Images]) -> Iterable[Finding]:
    """What a run takes and what is still to be fetched, against the room that there is."""
    from replication.downloads.fetch import left_to_fetch

    free = shutil.disk_usage(".").free
    try:
        needed = bytes_needed(parameters, images, sizes_of(parameters))
    except (ImportError, OSError) as error:  # a torch that is missing, or whose libraries are
        yield Finding("disk", NOTE, f"{gigabytes(free)} free; what is needed cannot be told without torch ({error})")
        return
    total = sum(needed.values())
    there = min(bytes_there(Path(".")), total)
    largest = sorted(needed, key=needed.get, reverse=True)[:3]
    text = f"about {gigabytes(total)} for the whole run (" + ", ".join(f"{k} {gigabytes(needed[k])}" for k in largest)
    text += f" ...){f', in the place of {gigabytes(there)} of an earlier one' if there else ''}"
    to_fetch, unknown = left_to_fetch(parameters)
    if to_fetch or unknown:
        text += f", and {gigabytes(to_fetch)} to fetch and unpack"
        text += f" (not counted, as their size is unknown: {', '.join(unknown)})" if unknown else ""
    text += f"; {gigabytes(free)} free"
    if to_fetch and _other_disk(paths.RAW):
        there_free = shutil.disk_usage(paths.RAW).free
        text += f" here, {gigabytes(there_free)} on the disk of {paths.RAW}"
        if to_fetch > there_free:
            mend = f"make room for {_least(unknown)}{gigabytes(to_fetch - there_free)} more there"
            yield Finding("disk", MISSING, f"{paths.RAW} is on a disk with {gigabytes(there_free)} free", mend)
        to_fetch, unknown = 0, []
    lacking = total - there + to_fetch - free
    room = f"make room for {_least(unknown)}{gigabytes(lacking)} more"
    if lacking > 0 and run_is_here(parameters, Path(".")):
        text += "; the results of this profile are here, and only a run with changes takes more"
        yield Finding("disk", NOTE, text, f"{room} before you change much")
    elif lacking > 0:
        yield Finding("disk", MISSING, text, f"{room}, or move the checkout")
    else:
        yield Finding("disk", OK, text)
    if not os.access(".", os.W_OK):
        yield Finding("disk", MISSING, "this folder cannot be written to", "give yourself the right to, or copy it")


def _least(unknown: list[str]) -> str:
    return "at least " if unknown else ""


def _other_disk(folder: Path) -> bool:
    """Whether a folder, or what it is a link to, is on another disk than the checkout."""
    return folder.is_dir() and os.stat(folder).st_dev != os.stat(".").st_dev


def gigabytes(count: float) -> str:
    """Bytes as "0.4 GB", "12 GB"."""
    amount = count / 1e9
    return f"{amount:.1f} GB" if amount < 10 else f"{amount:,.0f} GB"
