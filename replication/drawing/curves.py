"""Curves of every training: small multiples, one panel per logged scalar, one line per run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from replication.drawing import style
from replication.errors import InputError
from replication.json_files import read_object

_CLOCK = ("step", "images_seen", "seconds")
_SMOOTHING = 0.07  # width of the smoothing window, as a share of the run
_LOG_FROM = 15.0  # a panel whose values span more than this factor gets a logarithmic axis
MAX_COLUMNS = 4
_RAW_UP_TO = 3  # runs; the raw values of more would hide the lines
_MARKS = 5  # markers along a line, at other places for each run
_UNITS = {
    "accuracy": "share, 0 to 1",
    "agreement": "share, 0 to 1",
    "drift": "mean change of a value",
    "entropy": "nats",
    "hit": "slots",
    "lr": "learning rate",
    "norm": "norm",
    "perplexity": "effective number",
}
"""Last word of a scalar's name -> words of its axis; all others are losses and the like, without a unit."""
_NOT_MEASURED = {"lr"}
"""Scalars, by the same word, that follow from the settings: drawn as they are, since smoothing would invent values."""


@dataclass(frozen=True)
class Curves:
    """One training of one part of a run.

    history: step, images_seen, seconds and one column per logged scalar; card: what was trained. k: number of the
    training, from 0; each has a seed of its own.
    """

    run: str
    part: str
    k: int
    history: pd.DataFrame
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run, and which of its trainings if not the first."""
        return self.run if self.k == 0 else f"{self.run}, seed {self.k}"

    @property
    def method(self) -> str:
        """The system, by its folder's name."""
        return str(self.card.get("method", self.run))

    @property
    def scalars(self) -> list[str]:
        """Logged columns with at least one finite value."""
        numbers = self.history.drop(columns=[c for c in _CLOCK if c in self.history]).select_dtypes("number")
        return [column for column in numbers if np.isfinite(numbers[column]).any()]


def load_curves(models: str | Path, runs: Collection[str]) -> list[Curves]:
    """The trainings data/models/<run>/<part>/seed_<k>/ of the named runs that have a history.csv, in natural order.

    Raises InputError when a history cannot be read or lacks the column step.
    """
    models, found = Path(models), []
    for path in sorted(models.glob("*/*/seed_*/history.csv"), key=lambda path: _natural(path.as_posix())):
        run, part, seed = path.parent.relative_to(models).parts
        if run not in runs:
            continue
        try:
            history = pd.read_csv(path)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"{path} is not a readable table ({error}).") from error
        if "step" not in history:
            raise InputError(f"{path} needs a column step; it has {', '.join(history.columns)}.")
        card = path.with_name("card.json")
        k = int(seed.removeprefix("seed_"))
        found.append(Curves(run, part, k, history, read_object(card) if card.is_file() else {}))
    return found


def smooth(values: np.ndarray, share: float = _SMOOTHING) -> np.ndarray:
    """Centred Gaussian average over about `share` of the run; gaps (NaN) are skipped, ends use what there is.

    The weights are renormalised at the ends, so a constant stays constant and no point is invented outside.
    """
    sigma = max(share * len(values) / 2, 0.5)
    reach = min(int(np.ceil(3 * sigma)), max(len(values) - 1, 0))
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    known = np.isfinite(values)
    total = np.convolve(np.where(known, values, 0.0), window)
    weight = np.convolve(known.astype(float), window)
    total, weight = total[reach : reach + len(values)], weight[reach : reach + len(values)]
    return np.where(weight > 1e-12, total / np.maximum(weight, 1e-12), np.nan)


def curve_figures(
    curves: Iterable[Curves], *, titles: Mapping[str, str] | None = None, profile: str = ""
) -> dict[tuple[str, str], Figure]:
    """(method, part) -> figure: panels are scalars, lines are the runs of that method.

    titles: method -> how a page calls it; its folder's name where that is not given. profile: named below the title.
    """
    groups: dict[tuple[str, str], list[Curves]] = {}
    for one in curves:
        if one.scalars:
            groups.setdefault((one.method, one.part), []).append(one)
    figures = {}
    for (method, part), members in groups.items():
        shown = (titles or {}).get(method, method)
        if sum(other == method for other, _ in groups) > 1:
            shown += f", {part}"
        words = f"Training of {shown}" if len(members) > 1 else f"Training of {shown}: {members[0].name}"
        made = made_of(members)
        figures[method, part] = loss_curves(
            members, title=words, subtitle="; ".join(filter(None, (profile and f"profile: {profile}", made)))
        )
    return figures


def made_of(runs: Sequence[Curves]) -> str:
    """What the drawn trainings were made of, in one line from their cards; "" where those say nothing."""
    words = []
    for key, label in (("dataset_title", "data set"), ("training_images", "training images"), ("steps", "steps")):
        found = {run.name: run.card[key] for run in runs if key in run.card}
        values = list(dict.fromkeys(found.values()))
        shown = [f"{value:,}" if isinstance(value, int) else str(value) for value in values]
        # The commonest value first and the others with their runs, as the headers of tables have it.
        if len(values) > 1:
            values.sort(key=lambda value: -list(found.values()).count(value))
            shown = [f"{values[0]:,}" if isinstance(values[0], int) else str(values[0])]
            for value in values[1:]:
                names = ", ".join(name for name, other in found.items() if other == value)
                shown.append(f"{value:,} for {names}" if isinstance(value, int) else f"{value} for {names}")
        if shown:
            words.append(f"{label}: {'; '.join(shown)}")
    seeds = sorted({run.card["seed"] for run in runs if "seed" in run.card})
    if seeds:
        words.append(f"seed{'s' if len(seeds) > 1 else ''}: {', '.join(map(str, seeds))}")
    return "; ".join(words)


@style.styled
def loss_curves(runs: Sequence[Curves], *, title: str, subtitle: str = "") -> Figure:
    """Small multiples of the runs' scalars over images seen: smoothed lines, and faint raw values of a few runs.

    A run has a colour, a line style and a marker of its own, so that runs can be told apart without colours too.

    Raises:
        InputError: no run has a logged scalar.
    """
    scalars = list(dict.fromkeys(scalar for run in runs for scalar in run.scalars))
    if not scalars:
        raise InputError(f"{title}: no run has a logged scalar.")
    columns = min(MAX_COLUMNS, len(scalars))
    rows = -(-len(scalars) // columns)
    width = max(2.75 * columns + 0.4, 4.2)
    # The legend's columns follow the longest name, so that it never runs out of the figure.
    per_row = max(1, min(len(runs), int(width / (0.55 + 0.075 * max(len(run.name) for run in runs)))))
    legend_rows = -(-len(runs) // per_row)
    foot = 0.12 + 0.19 * legend_rows if len(runs) > 1 else 0.0  # a single run is named in the title
    named, lines = textwrap.wrap(title, int(width * 9)), textwrap.wrap(subtitle, int(width * 15))
    head = 0.18 + 0.18 * len(named) + 0.14 * len(lines)
    height = 1.85 * rows + head + foot
    figure = style.new_figure(width, height, layout="constrained")
    figure.get_layout_engine().set(rect=(0, foot / height, 1, 1 - (head + foot) / height), wspace=0.04, hspace=0.06)
    figure.text(0.08 / width, 1 - 0.08 / height, "\n".join(named), va="top", fontsize=11, fontweight="bold")
    below = {"va": "top", "fontsize": 7, "color": style.MUTED, "linespacing": 1.25}
    figure.text(0.08 / width, 1 - (head - 0.05 - 0.14 * len(lines)) / height, "\n".join(lines), **below)
    handles = {}
    for k, scalar in enumerate(scalars):
        axes = figure.add_subplot(rows, columns, k + 1)
        axes.set_title(scalar.replace("_", " "))
        axes.set_ylabel(_axis_words(scalar), fontsize=7.5)
        axes.grid(axis="y")
        drawn = []
        for i, run in enumerate(runs):
            if scalar not in run.scalars:
                continue
            x, y = _progress(run), run.history[scalar].to_numpy(float)
            known = np.isfinite(y)
            x, y = x[known], y[known]
            look = _look(i) if len(runs) > 1 else {"color": style.COLOURS[0]}
            smoothed = y if _last_word(scalar) in _NOT_MEASURED else smooth(y)
            if len(runs) <= _RAW_UP_TO and smoothed is not y:
                axes.plot(x, y, color=look["color"], linewidth=0.6, alpha=0.35)
            if len(runs) > 1:
                look |= {"markevery": _marked(len(x), i, len(runs))}
            handles[run.name] = axes.plot(x, smoothed, linewidth=1.4, markersize=3.2, **look)[0]
            drawn.append((y if len(runs) <= _RAW_UP_TO else smoothed, smoothed))
        _scale(axes, drawn)
        if k >= len(scalars) - columns:
            axes.set_xlabel(_unit(runs))
        axes.xaxis.set_major_formatter(_thousands)
        axes.locator_params(axis="x", nbins=5)
    if len(runs) > 1:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="lower center",
            ncols=per_row,
            handlelength=2.8,
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=0.2,
        )
    return figure


def _last_word(scalar: str) -> str:
    return "lr" if scalar.endswith("learning_rate") else scalar.split("_")[-1]


def _axis_words(scalar: str) -> str:
    return _UNITS.get(_last_word(scalar), "no unit")


def _marked(points: int, index: int, runs: int) -> tuple[int, int]:
    """First marker and distance between markers, in points: the runs' markers stand beside each other."""
    every = max(1, points // _MARKS)
    return min(every * index // runs, max(points - 1, 0)), every


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts slots_32 before slots_256."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _look(index: int) -> dict[str, Any]:
    """Colour, line style and marker of a run. 3 styles and 8 markers go on together, so that 24 runs differ in these
    two already, without colours.
    """
    return {
        "color": style.COLOURS[index % len(style.COLOURS)],
        "linestyle": style.LINE_STYLES[index % len(style.LINE_STYLES)],
        "marker": style.MARKERS[index % len(style.MARKERS)],
    }


def _progress(run: Curves) -> np.ndarray:
    column = "images_seen" if "images_seen" in run.history else "step"
    return run.history[column].to_numpy(float)


def _unit(runs: Sequence[Curves]) -> str:
    with_images = ["images_seen" in run.history for run in runs]
    return "images seen" if all(with_images) else "steps" if not any(with_images) else "images seen (or steps)"


def _scale(axes: Any, drawn: list[tuple[np.ndarray, np.ndarray]]) -> None:
    raw = np.concatenate([y for y, _ in drawn])
    lines = np.concatenate([smoothed for _, smoothed in drawn])
    if raw.min() > 0 and lines.max() / lines.min() > _LOG_FROM:
        axes.set_yscale("log")
        few = np.log10(lines.max() / lines.min()) < 2.5
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        axes.yaxis.set_major_formatter(lambda value, _position: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        return
    # Single raw spikes must not press the lines flat: the raw dots may leave the panel, the lines may not.
    low, high = min(np.percentile(raw, 1), lines.min()), max(np.percentile(raw, 99), lines.max())
    if high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _thousands(value: float, _position: int | None = None) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e3 else f"{value:g}"
