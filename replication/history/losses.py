"""The first losses of every training, to the last digit: the finest thing by which two versions of the code differ.

Metrics are rounded and come at the end; a changed order of two sums shows in the second loss. A checked-in file holds
those of the profile `smoke`, and `python -m replication compare-losses` holds two states of the checkout against
each other.
"""

from __future__ import annotations

import csv
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from replication import paths
from replication.atomic import write_text
from replication.errors import InputError
from replication.history.revisions import WORKSPACE, MissingResults, Revision, open_revision

GOLDEN = Path("tests/golden/smoke_losses.json")
COUNT = 20
TOLERANCE = 0.75
"""Relative, where sums are rounded otherwise: another processor, number of threads, or build of torch.

Adam's first steps are as long for a gradient of 1e-12 as for one of 1, so the last digit of a gradient near zero
decides the direction of a whole step, and networks that look through others inherit it. With one thread in place of
two, scalars of `smoke` differed by up to 48 %. This finds another equation or weight, not another order of summing.
"""
_HISTORY = "history.csv"
_NO_LOSSES = ("images_seen",)

Trainings = Mapping[str, Mapping[str, Sequence[float | None]]]


@dataclass(frozen=True)
class Losses:
    """The first losses of all trainings of a profile.

    trainings: name as `paths.training` makes it -> column of its history -> values, one for each recorded step; the
    column `step` says which. None: not finite, or not recorded at that step.
    computed: what decides the rounding (see `rounding`). None where that is not known. origin: where they were found,
    in words.
    """

    profile: str
    trainings: Trainings
    computed: Mapping[str, Any] | None = None
    origin: str = ""


def rounding(*, channels_last: bool, threads: int | None = None) -> dict[str, Any]:
    """What decides, with equal code, how sums are rounded on this machine: torch, instructions, threads, layout.

    channels_last: as in `compute` of the parameters. threads: of torch; those of this process where none are given.
    """
    import torch

    return {
        "torch": str(torch.__version__),
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": threads or torch.get_num_threads(),
        "channels_last": channels_last,
    }


def first_losses(models: str | Path, count: int = COUNT) -> dict[str, dict[str, list[float | None]]]:
    """The first `count` recorded steps of every history below a folder of trained models, by name of the training.

    Raises:
        InputError: a history is not readable; the sentence names it.
    """
    models = Path(models)
    found = {}
    for path in sorted(models.glob(f"*/*/seed_*/{_HISTORY}")):
        found[path.parent.relative_to(models).as_posix()] = _columns(path, count)
    return found


def _columns(path: Path, count: int) -> dict[str, list[float | None]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]
        columns = {name: [_number(row[name]) for row in rows] for name in rows[0]}
        columns["step"] = [int(row["step"]) for row in rows]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is not the history of a training: it needs a column `step` and numbers") from error
    return {name: values for name, values in columns.items() if name not in _NO_LOSSES}


def _number(text: str) -> float | None:
    """Python writes a float so that reading gives the same float again; an empty cell is a gap."""
    return None if text == "" else float(text)


def write_golden(
    path: str | Path = GOLDEN,
    models: str | Path = paths.MODELS,
    *,
    profile: str = "smoke",
    channels_last: bool = True,
    threads: int | None = None,
) -> Path:
    """Keep the first losses below `models` as a file with a line for each column.

    channels_last, threads: with which they were trained, on this machine (see `rounding`).

    Raises:
        InputError: there is no history.
    """
    found = first_losses(models)
    if not found:
        raise InputError(f"{models} holds no history of a training: `make repro PROFILE={profile}` trains")
    computed = rounding(channels_last=channels_last, threads=threads)
    lines = [f'  "profile": {json.dumps(profile)},', f'  "computed": {json.dumps(computed)},']
    blocks = []
    for name, columns in found.items():
        inner = ",\n".join(f"      {json.dumps(column)}: {json.dumps(values)}" for column, values in columns.items())
        blocks.append(f"    {json.dumps(name)}: {{\n{inner}\n    }}")
    text = "{\n" + "\n".join(lines) + '\n  "trainings": {\n' + ",\n".join(blocks) + "\n  }\n}\n"
    write_text(path, text)
    return Path(path)


def read_golden(content: str | bytes, name: str = GOLDEN.as_posix()) -> Losses:
    """What `write_golden` wrote.

    Raises:
        InputError: it is something else; `name` is what the sentence calls it.
    """
    try:
        data = json.loads(content)
        trainings = {training: dict(columns) for training, columns in data["trainings"].items()}
        return Losses(str(data["profile"]), trainings, dict(data["computed"]), name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name} is no file of losses; `git checkout` restores it") from error


def compare(
    a: Trainings, b: Trainings, tolerance: float = 0, *, names: tuple[str, str] = ("the first", "the second")
) -> list[str]:
    """One sentence for each training that differs: where first, and both values.

    A column that only `b`, the newer, has is a scalar that was not recorded before, and no difference; one that it lost
    is. tolerance: relative, of the larger value; 0 asks for the same number to the last digit. names: of the two sides.
    """
    sentences = []
    for training in [*a, *(name for name in b if name not in a)]:
        if training not in a or training not in b:
            sentences.append(f"{training}: only in {names[training in b]}")
        elif difference := _first_difference(a[training], b[training], tolerance, names):
            sentences.append(f"{training}: {difference}")
    return sentences


def _first_difference(
    a: Mapping[str, Sequence[Any]], b: Mapping[str, Sequence[Any]], tolerance: float, names: tuple[str, str]
) -> str:
    """The first step and column in which two trainings differ, in words; empty if they do not."""
    if lost := [column for column in a if column not in b]:
        return f"column {lost[0]} only in {names[0]}"
    for row, (step, other) in enumerate(zip(a["step"], b["step"], strict=False)):
        if step != other:
            return f"recorded at step {step} in {names[0]}, at step {other} in {names[1]}"
        for column in a:
            old, new = a[column][row], b[column][row]
            if not _equal(old, new, tolerance):
                return f"step {step}, {column}: {_text(old)} in {names[0]}, {_text(new)} in {names[1]}"
    counts = len(a["step"]), len(b["step"])
    if counts[0] != counts[1]:
        return f"{counts[0]} recorded steps in {names[0]}, {counts[1]} in {names[1]}"
    return ""


def _equal(old: float | None, new: float | None, tolerance: float) -> bool:
    if old is None or new is None:
        return old is new
    return old == new or (tolerance > 0 and math.isclose(old, new, rel_tol=tolerance))


def _text(value: float | None) -> str:
    return "no number" if value is None else repr(value)


# ---------------------------------------------------------------------------------------------- two states


def report_losses(
    old: str = "HEAD", new: str = WORKSPACE, *, tolerance: float = 0, root: str | Path = "."
) -> tuple[str, int]:
    """What `python -m replication compare-losses OLD NEW` prints, and its exit code: 1 where a training differs.

    tolerance: relative; 0 asks for the same digits, or for `TOLERANCE` where the two are known to round differently.

    A revision has the file that was checked in with it, and the histories of its dvc.lock, where DVC's cache still
    has them; the workspace has what was trained in it. The file is of `smoke`: against a workspace of this profile
    it comes first. Between two revisions the histories come first, since they are of every training of any profile.

    Raises:
        InputError: a revision does not exist, the two have nothing of the same profile, or `tolerance` is negative or
            no number.
    """
    if not tolerance >= 0:
        raise InputError(f"tolerance {tolerance:g}: must be 0 or more")
    with open_revision(old, root) as before, open_revision(new, root) as after:
        a, b = _common(before, after)
    places = (before.place, after.place)
    lines = []
    for place, side in zip(places, (a, b), strict=True):
        lines.append(f"{place}: {side.origin}, {len(side.trainings)} trainings of {side.profile}")
    if differing := _differing(a, b):
        tolerance = tolerance or TOLERANCE
        lines.append(f"rounded differently ({', '.join(differing)})")
    if tolerance:
        lines.append(f"allowed is a relative difference of {tolerance:g}")
    different = compare(a.trainings, b.trainings, tolerance, names=places)
    lines += different
    if different:
        count = len({*a.trainings, *b.trainings})
        lines.append(f"{len(different)} of {count} trainings differ")
    else:
        lines.append("no loss differs" + (" by more than that" if tolerance else ""))
    return "\n".join(lines) + "\n", int(bool(different))


def _differing(a: Losses, b: Losses) -> list[str]:
    """What makes the two round differently, in words; empty if nothing does, or if it is not known."""
    if a.computed is None or b.computed is None:
        return []
    pairs = ((key, a.computed.get(key), b.computed.get(key)) for key in {**a.computed, **b.computed})
    return [f"{key} {one}, then {other}" for key, one, other in pairs if one != other]


def _common(old: Revision, new: Revision) -> tuple[Losses, Losses]:
    """The losses of both sides, of one profile.

    Raises:
        InputError: there are none; the sentence says what each side has.
    """
    kinds = {"histories": histories_of, "file": golden_of}
    order = [("histories", "histories"), ("file", "file")]
    if old.commit is None or new.commit is None:
        order.insert(0, tuple("histories" if side.commit is None else "file" for side in (old, new)))
    found: dict[tuple[int, str], Losses | None] = {}
    for kind in order:
        trained = [found.get((number, "histories")) for number, side in enumerate((old, new)) if side.commit is None]
        if kind == ("file", "file") and any(trained):
            break  # what was trained in the workspace is what is asked about, not the file beside it
        for number, side in enumerate((old, new)):
            if (number, kind[number]) not in found:
                found[number, kind[number]] = kinds[kind[number]](side)
        a, b = (found[number, kind[number]] for number in (0, 1))
        if a is not None and b is not None and a.profile == b.profile:
            return a, b
    has = []
    for number, side in enumerate((old, new)):
        own = [f"{one.origin} of {one.profile}" for (n, _), one in found.items() if n == number and one is not None]
        has.append(f"{side.place} has {' and '.join(own) or f'neither histories nor {GOLDEN.as_posix()}'}")
    raise InputError(
        f"there are no losses to compare: {', '.join(has)}; `make repro PROFILE=smoke` trains what the file has"
    )


def golden_of(revision: Revision) -> Losses | None:
    """The checked-in file of a revision; None if it has none. InputError if it is damaged."""
    content = revision.read(GOLDEN)
    if content is None:
        return None
    where = f"{GOLDEN.as_posix()} in {revision.place}"
    return replace(read_golden(content, where), origin=f"the file {GOLDEN.as_posix()}")


def histories_of(revision: Revision) -> Losses | None:
    """The histories of what was trained: in the workspace, or out of DVC's cache; None where they are not there."""
    try:
        folder = revision.models(_HISTORY)
    except MissingResults:
        return None
    trainings = first_losses(folder)
    if not trainings:
        return None
    profile = str(revision.written.get("profile"))
    if revision.commit is not None:
        return Losses(profile, trainings, None, "the histories in DVC's cache")
    computed = rounding(channels_last=bool(revision.written.get("compute.channels_last", True)))
    return Losses(profile, trainings, computed, f"the histories in {paths.MODELS.as_posix()}")
