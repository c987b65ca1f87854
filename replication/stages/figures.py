"""The figures of a paper: from stored samples, and, where a system draws what goes on inside, from an opened run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replication import paths
from replication.atomic import atomic_folder
from replication.drawing.style import save_figure
from replication.errors import InputError
from replication.methods.registry import function
from replication.papers import PlannedFigure, load_figures, papers_with_figures
from replication.reporting.figures.comparison import Captioned, Samples, load_samples, picture_figure
from replication.reporting.placement import Column, columns_of
from replication.reporting.tables.conditions import dataset_label
from replication.settings import hint
from replication.stages.measured import keep_reported, reportable, subtitle

if TYPE_CHECKING:
    from replication.config import Parameters

PANEL_PAIR = 0
"""Number of the test pair within its bucket whose tensors panels show."""


def figures_of(parameters: Parameters, paper: str) -> list[Captioned]:
    """The figures of a paper, in its order; those of which no run was measured are left out.

    Raises:
        InputError: the paper has no figures that are drawn here, or two runs claim a figure that has room for one.
    """
    if paper not in papers_with_figures():
        raise InputError(f"paper {paper!r} has no figures to be drawn{hint(paper, papers_with_figures())}")
    reportable(parameters)
    cache, made = {}, []
    runs = parameters.measured_runs()

    def measured(run: str) -> bool:
        return run in runs and (paths.results(run) / "card.json").is_file()

    def samples(run: str) -> Samples | None:
        if measured(run) and run not in cache:
            one = parameters.run(run)
            cache[run] = load_samples(run, one.dataset, one.protocol)
        return cache.get(run)

    for planned in load_figures(paper):
        columns = columns_of(paper, planned.name)
        if planned.kind == "panel":
            if len(columns) > 1:
                raise InputError(f"{planned.title}: has room for one run, and {len(columns)} name it")
            for column in columns:
                if measured(column.run):
                    made.append(_panel(parameters, planned, column, subtitle(parameters, [column.run])))
            continue
        line = subtitle(parameters, [column.run for column in columns if samples(column.run) is not None])
        figure = picture_figure(planned, columns, samples, names=_names(parameters, columns), subtitle=line)
        made += [figure] if figure is not None else []
    return made


def write_figures(parameters: Parameters, paper: str, *, show: bool = False) -> list[Path]:
    """reports/figures/<paper>/<figure>.png and .svg; with `show` also as outputs of a notebook cell. What is not drawn
    is told.

    Raises:
        InputError: as `figures_of`; or a figure would be lost whose run is not measured here. The earlier ones stay.
    """
    figures = figures_of(parameters, paper)
    target, drawn = paths.FIGURES / paper, {one.name for one in figures}
    for planned in load_figures(paper):
        if planned.name not in drawn:
            runs = list(dict.fromkeys(column.run for column in columns_of(paper, planned.name)))
            if (target / f"{planned.name}.png").is_file():
                keep_reported(parameters, target / f"{planned.name}.png", runs, ())
            print(f"{planned.title}: not run ({', '.join(runs) or 'no run stands in it'})")
    with atomic_folder(target) as folder:
        for one in figures:
            words = {"title": one.title, "caption": one.caption, "alt": one.alt}
            save_figure(one.figure, folder / f"{one.name}.png", svg=True, **words)
    if show:
        from replication.drawing.notebook import show as display

        display(one.figure for one in figures)
    return [target / f"{one.name}.png" for one in figures]


def _panel(parameters: Parameters, planned: PlannedFigure, column: Column, line: str) -> Captioned:
    """A drawing of a system, with the real tensors of one test pair."""
    from replication.inspection.pair import inspect_pair

    inside = inspect_pair(parameters, column.run, bucket=planned.buckets[0], pair=PANEL_PAIR)
    figure = function(column.draw)(inside, subtitle=line)
    caption = f"Real tensors of the trained network: {inside.title}. {planned.caption}"
    return Captioned(planned.name, figure, planned.title, caption, planned.alt)


def _names(parameters: Parameters, columns: list[Column]) -> dict[str, str]:
    """Data set as the paper names it -> how a figure calls what plays its role here."""
    found = {}
    for column in columns:
        if column.run in parameters.run_names():
            source = parameters.data_set(parameters.run(column.run).dataset).source
            found[column.dataset] = dataset_label(column.dataset, parameters.profile, source)
    return found
