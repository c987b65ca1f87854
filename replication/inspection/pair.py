"""Looking inside any trained run: one test pair, every named tensor of its pass, and the system's own panels."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from replication import paths
from replication.config import Parameters
from replication.data.evaluation_batches import evaluation_batches
from replication.data.masks import MaskStore
from replication.data.pairs import EvaluationPairs
from replication.drawing.style import save_figure
from replication.drawing.traces import NamedTensor, trace_pages
from replication.errors import InputError
from replication.methods import Inside, Method, Panel, Trace
from replication.methods.opening import open_faces, open_inpainter
from replication.methods.registry import function, method
from replication.settings import hint

SUMMARY = ("name", "method", "dataset_title", "training_images", "steps", "images_seen", "seed", "parameters")
"""Keys of a card that are told of what was opened."""


def inspect_pair(
    parameters: Parameters, run: str, *, bucket: str | None = None, pair: int = 0, **options: Any
) -> Inside:
    """Open a trained run and take one frozen test pair of its protocol through it.

    Args:
        bucket: of the protocol; None for the last one, with the largest holes.
        pair: number of the pair within the bucket.
        options: for the panels of the run's system, such as `patch`.

    Raises:
        InputError: no such run, it completes no faces, no protocol measures it, or it was not trained; no such bucket,
            pair or option, or one of another type than its default has.
    """
    one, own = parameters.method_of(run), parameters.run(run)
    if not one.inpaints:
        raise InputError(f"run {run!r}: {one.title} completes no faces")
    protocol = parameters.protocol_of(run)
    check_whole_number("pair", pair)
    _check_options(one, options)
    inpainter, card = open_inpainter(parameters, run)
    pairs = EvaluationPairs.open(paths.pairs(own.protocol, own.dataset))
    bucket = list(pairs.buckets)[-1] if bucket is None else bucket
    if bucket not in pairs.buckets:
        raise InputError(f"bucket: must be one of {', '.join(pairs.buckets)}, got {bucket!r}")
    count = len(pairs.bucket(bucket))
    if not 0 <= pair < count:
        raise InputError(f"pair: must be from 0 to {count - 1} in bucket {bucket}, got {pair}")
    masks = MaskStore.open(paths.masks(own.dataset)) if protocol.holes == "irregular" else None
    faces = open_faces(parameters, own.dataset)
    batches = evaluation_batches(faces, masks, pairs, bucket, 1, fields=inpainter.needs)
    batch = next(itertools.islice(batches, pair, None))
    title = f"{run}, image {batch['ids'][0]}, {bucket}"
    return Inside(title, run, card, inpainter, batch, inpainter.features(batch, batch["seeds"]), options)


def summary(inside: Inside) -> pd.DataFrame:
    """What was opened: its card, how many named tensors there are, and each that this variant of the system lacks."""
    values = {key: inside.card.get(key) for key in SUMMARY} | {"named tensors": len(inside.trace.named())}
    values |= dict.fromkeys(inside.trace.absent(), "absent")
    return pd.Series(values, name=inside.title).to_frame()


def named_tensors(trace: Trace) -> list[NamedTensor]:
    """The tensors of the first image of a trace as arrays, with what their declarations say of them."""
    tensors = []
    for name, (tensor, declared) in trace.named().items():
        one = tensor[0].detach().cpu()
        array = (one.float() if one.is_floating_point() else one).numpy()
        if array.dtype == np.bool_:
            array = array.astype(np.uint8)
        tensors.append(
            NamedTensor(name, declared["kind"], declared["meaning"], array, tuple(declared.get("names", ())))
        )
    return tensors


def tensor_pages(inside: Inside) -> dict[str, Figure]:
    """Every named tensor of the pass, drawn by its kind: see `drawing.traces.trace_pages`."""
    return trace_pages(named_tensors(inside.trace), title=inside.title)


def method_panels(inside: Inside) -> dict[Panel, Figure]:
    """The panels that the run's system declares, in their order; what this run has nothing for is left out."""
    drawn = {}
    for panel in method(inside.card["method"]).panels:
        draw = function(panel.draw)
        figure = draw(inside, **{name: inside.options[name] for name in _options(draw) if name in inside.options})
        if figure is not None:
            drawn[panel] = figure
    return drawn


def write_inspection(inside: Inside, folder: str | Path) -> list[Path]:
    """What the notebook shows as PNG files: every panel as <folder>/<panel>.png, every page of tensors as
    <folder>/tensors_<page>.png. All is drawn before anything is written.
    """
    drawn = {panel.name: (panel.title, figure) for panel, figure in method_panels(inside).items()}
    drawn |= {f"tensors_{page}": ("Tensors of one pass", figure) for page, figure in tensor_pages(inside).items()}
    return [
        save_figure(
            figure,
            Path(folder) / f"{name}.png",
            title=f"{words}: {inside.title}",
            caption=f"Real tensors of the trained network: {inside.title}.",
            alt=words,
        )
        for name, (words, figure) in drawn.items()
    ]


def check_whole_number(name: str, value: object) -> None:
    """Refuse, by InputError, a notebook's parameter that is no int, such as `-p pair three`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{name}: must be a whole number, got {value!r}")


def _options(draw: Any) -> dict[str, Any]:
    """The keyword-only arguments of a panel's function: name -> default."""
    arguments = inspect.signature(draw).parameters.values()
    return {each.name: each.default for each in arguments if each.kind is each.KEYWORD_ONLY}


def _check_options(one: Method, given: Mapping[str, Any]) -> None:
    """Refuse options that no panel of the system has, and values of another type than their defaults."""
    allowed: dict[str, Any] = {}
    for panel in one.panels:
        allowed |= _options(function(panel.draw))
    for name, value in given.items():
        if name not in allowed:
            what = hint(name, allowed) if allowed else f"; {one.title} has no options"
            raise InputError(f"option {name!r} does not exist{what}")
        default = allowed[name]
        if isinstance(default, int) and not isinstance(default, bool):
            check_whole_number(name, value)
        elif default is not None and not isinstance(value, type(default)):
            raise InputError(f"{name}: must be like {default!r}, got {value!r}")
