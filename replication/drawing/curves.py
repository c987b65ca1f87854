"""Loss curves of every training: small multiples, one panel per logged scalar, one line per run."""

from __future__ import annotations

import re
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
    curves: Iterable[Curves], *, titles: Mapping[str, str] | None = None
) -> dict[tuple[str, str], Figure]:
    """(method, part) -> figure: panels are scalars, lines are the runs of that method.

    titles: method -> how a page calls it; its folder's name where that is not given.
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
        figures[method, part] = loss_curves(members, title=words)
    return figures


@style.styled
def loss_curves(runs: Sequence[Curves], *, title: str) -> Figure:
    """Small multiples of the runs' scalars over images seen: smoothed lines over faint raw values."""
    scalars = list(dict.fromkeys(scalar for run in runs for scalar in run.scalars))
    if not scalars:
        raise InputError(f"{title}: no run has a logged scalar.")
    columns = min(MAX_COLUMNS, len(scalars))
    rows = -(-len(scalars) // columns)
    width = max(2.6 * columns + 0.4, 4.2)
    # The legend's columns follow the longest name, so that it never runs out of the figure.
    per_row = max(1, min(len(runs), int(width / (0.55 + 0.075 * max(len(run.name) for run in runs)))))
    legend_rows = -(-len(runs) // per_row)
    foot = 0.12 + 0.19 * legend_rows if len(runs) > 1 else 0.0  # a single run is named in the title
    height = 1.85 * rows + 0.45 + foot
    figure = style.new_figure(width, height, layout="constrained")
    figure.get_layout_engine().set(rect=(0, foot / height, 1, 1 - foot / height), wspace=0.04, hspace=0.06)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    looks = {run.name: _look(i) for i, run in enumerate(runs)}
    handles = {}
    for k, scalar in enumerate(scalars):
        axes = figure.add_subplot(rows, columns, k + 1)
        axes.set_title(scalar)
        axes.grid(axis="y")
        drawn = []
        for run in runs:
            if scalar not in run.scalars:
                continue
            x, y = _progress(run), run.history[scalar].to_numpy(float)
            known = np.isfinite(y)
            x, y = x[known], y[known]
            colour, line = looks[run.name]
            smoothed = smooth(y)
            axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.35 if len(runs) <= 3 else 0.13)
            handles[run.name] = axes.plot(x, smoothed, color=colour, linestyle=line, linewidth=1.4)[0]
            drawn.append((y, smoothed))
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
            handlelength=2.4,
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=0.2,
        )
    return figure


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts slots_32 before slots_256."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _look(index: int) -> tuple[str, str]:
    """Colour and line style: colours first, then the styles, so that 24 runs stay apart."""
    return style.COLOURS[index % len(style.COLOURS)], style.LINE_STYLES[index // len(style.COLOURS) % 3]


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
