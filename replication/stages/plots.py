"""What `dvc plots` shows, and the loss curves of every run as pictures: of no paper, so of no paper's stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replication import paths
from replication.atomic import atomic_folder
from replication.drawing.curves import curve_figures, load_curves
from replication.drawing.style import save_figure
from replication.errors import InputError
from replication.methods import ONLY_PART
from replication.methods.registry import methods
from replication.reporting.plot_data import write_plot_data
from replication.stages.measured import column_of, keep_reported, measured

if TYPE_CHECKING:
    from replication.config import Parameters

CURVES = paths.FIGURES / "curves"


def write_plots(parameters: Parameters) -> list[Path]:
    """reports/plots/*.csv, and reports/figures/curves/<method>.png and .svg (<method>_<part> of a part with a name).

    Raises:
        InputError: nothing was trained here, or what is there would lose runs that were not; the earlier files stay.
    """
    order = {name: i for i, name in enumerate(parameters.run_names())}
    curves = sorted(load_curves(paths.MODELS, order), key=lambda one: (order[one.run], one.k))
    if order and not curves:
        raise InputError(f"none of the runs of params.yaml was trained here ({paths.MODELS}): run `dvc repro` first")
    metrics = measured(parameters)
    # Of a curve the axis is images seen, of a metric the size of the hole; a run may lack the one and have the other.
    for axis, now in (("images_seen", {one.run for one in curves}), ("hole_percent", metrics.keys())):
        reported = {run.partition(", seed ")[0] for run in column_of(paths.PLOTS.glob("*.csv"), "run", where=axis)}
        keep_reported(parameters, paths.PLOTS, reported, now)
    titles = {name: one.title for name, one in methods().items()}
    drawn = curve_figures(curves, titles=titles, profile=parameters.profile)
    figures = {
        method if part == ONLY_PART else f"{method}_{part}": (method, part, figure)
        for (method, part), figure in sorted(drawn.items(), key=lambda item: item[0])
    }
    for file in sorted(CURVES.glob("*.png")):
        own = next((n for n in titles if file.stem == n or file.stem.startswith(f"{n}_")), None)
        if file.stem not in figures and own is not None and parameters.run_names(own):
            raise InputError(f"{file} would be lost, as no run of it was trained here: run `dvc repro`, or remove it")
    metrics = {name: metrics[name] for name in sorted(metrics, key=order.__getitem__)}
    with atomic_folder(paths.PLOTS) as folder:
        written = [paths.PLOTS / path.name for path in write_plot_data(curves, metrics, folder)]
    with atomic_folder(CURVES) as folder:
        for name, (method, part, figure) in figures.items():
            shown = titles.get(method, method)
            save_figure(
                figure,
                folder / f"{name}.png",
                title=f"Training curves: {shown}" if part == ONLY_PART else f"Training curves: {shown}, {part}",
                caption="Smoothed lines of every run of the system, over faint raw values where there are up to three.",
                alt=f"Curves of every logged number of all runs of {shown} over images seen.",
                svg=True,
            )
            written.append(CURVES / f"{name}.png")
    return written
