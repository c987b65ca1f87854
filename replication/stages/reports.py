"""Report stages: tables, figures, claims and the site, from result files alone (Figures 2 to 4 open the network)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from replication import paths
from replication.atomic import atomic_folder
from replication.config import Parameters
from replication.data.masks import BUCKETS
from replication.drawing.curves import curve_figures, load_runs
from replication.drawing.style import save_figure
from replication.errors import InputError
from replication.evaluation.protocol import VERSION
from replication.evaluation.uncertainty import replicates
from replication.reporting.claims.judging import DRAWS, claim_metrics, judge_claims, read_claims_csv, write_claims_csv
from replication.reporting.claims.page import claims_html, claims_notebook_html
from replication.reporting.costs import cost_table, load_costs, write_costs
from replication.reporting.figures.comparison import showface_figures
from replication.reporting.plot_data import write_plot_data
from replication.reporting.site.page import Section, build_site
from replication.reporting.tables.conditions import made_by, provenance
from replication.reporting.tables.formats import to_html, write_table
from replication.reporting.tables.results import ResultTable, load_metrics, showface_tables
from replication.stages.samples import Samples


def _names(parameters: Parameters) -> set[str]:
    """Experiments and baselines of the parameters; what earlier ones left on disk is not reported."""
    return {*parameters.experiments, *parameters.baselines}


def _metrics(parameters: Parameters) -> dict[str, dict[str, Any]]:
    """Metrics files of the parameters' experiments and baselines, all measured as this code measures.

    Raises InputError naming the first that was measured under another version of the protocol.
    """
    found = load_metrics(paths.METRICS, _names(parameters))
    for name, content in found.items():
        version = made_by(content).get("protocol", {}).get("version")
        if version != VERSION:
            stage = "evaluate_baseline" if name in parameters.baselines else "evaluate"
            measured = "names no version" if version is None else f"was measured under version {version}"
            raise InputError(
                f"{paths.METRICS / name}.json {measured} of the protocol, this is version {VERSION}; "
                f"run `dvc repro {stage}@{name}`"
            )
    return found


def _models(parameters: Parameters) -> set[str]:
    return {*parameters.experiments, "parser", "reconstruction", "attributes", "coarse_celebahq", "coarse_ffhq"}


def _costs(parameters: Parameters):
    """Only what was trained: a profile that needs no attribute network leaves a record without a method."""
    costs = load_costs(paths.COSTS, _models(parameters))
    return cost_table({name: cost for name, cost in costs.items() if cost.get("method")})


def _tables(parameters: Parameters) -> list[ResultTable]:
    return showface_tables(_metrics(parameters), Samples().difference)


def write_tables(parameters: Parameters) -> list[Path]:
    """ShowFace's Tables 1 to 4 into reports/tables."""
    with atomic_folder(paths.TABLES) as folder:
        tables = _tables(parameters)
        names = [path.name for table in tables for path in write_table(table, folder)]
    return [paths.TABLES / name for name in names]


def write_cost_tables(parameters: Parameters) -> list[Path]:
    """What every training cost into reports/costs: apart from the tables, which do not change from run to run."""
    with atomic_folder(paths.COST_TABLES) as folder:
        names = [path.name for path in write_costs(_costs(parameters), folder)]
    return [paths.COST_TABLES / name for name in names]


def table_fragments(parameters: Parameters) -> list[str]:
    """Tables 1 to 4 as HTML fragments."""
    return [to_html(table) for table in _tables(parameters)]


def write_plots(parameters: Parameters) -> list[Path]:
    """Tables for `dvc plots` into reports/plots."""
    runs = load_runs(paths.MODELS, set(parameters.experiments))
    with atomic_folder(paths.PLOTS) as folder:
        names = [path.name for path in write_plot_data(runs, _metrics(parameters), folder)]
    return [paths.PLOTS / name for name in names]


def subtitle(parameters: Parameters) -> str:
    """One line that says what was run, for every figure."""
    return provenance(_metrics(parameters)).line()


def write_figures(parameters: Parameters, *, experiment: str = "full", show: bool = False) -> list[Path]:
    """ShowFace's figures and all loss curves into reports/figures; with `show` also as outputs of a notebook cell."""
    from replication.drawing.notebook import show as display
    from replication.inspection.pair import coordination_tensors, mdrnet_tensors, open_pair
    from replication.methods.mdrnet.dataflow_figure import figure2, figure3, figure4

    line = subtitle(parameters)
    drawn: dict[str, tuple[Figure, str, str, str]] = {
        c.name: (c.figure, c.title, c.caption, c.alt)
        for c in showface_figures(
            results=paths.RESULTS,
            prepared=paths.PREPARED,
            profile=parameters.profile,
            sources={name: getattr(parameters.data, name).source for name in ("celebahq", "ffhq")},
            subtitle=line,
        )
    }
    inpainter, _, image, mask, name = open_pair(parameters, experiment, "40-60%", 0)
    tensors = mdrnet_tensors(inpainter, image, mask)
    words = f"Real tensors of the trained network {experiment} on test image {name}."
    drawn["figure2"] = (
        figure2(tensors, subtitle=line),
        "Figure 2. Dataflow of MDRNets",
        f"{words} Feature maps are shown by their first three principal components.",
        "Diagram of MDRNets from masked input to completed face with thumbnails of the real intermediate tensors.",
    )
    drawn["figure3"] = (
        figure3(tensors, subtitle=line),
        "Figure 3. Masked correlation mining",
        f"{words} One patch of the hole and what it receives.",
        "Diagram of masked correlation mining with its real query, key and value maps and correlations.",
    )
    drawn["figure4"] = (
        figure4(coordination_tensors(inpainter, image, mask), subtitle=line),
        "Figure 4. The InCo2 loss",
        f"{words} Similarity matrices of the real and the inpainted face, and their difference.",
        "Diagram of the InCo2 computation with the real similarity matrices of one face.",
    )
    runs = load_runs(paths.MODELS, _models(parameters))
    for method, figure in curve_figures(runs).items():
        drawn[f"curves_{method}"] = (
            figure,
            f"Training curves: {method}",
            "Smoothed lines over faint raw values; every run of the method.",
            f"Loss curves of all {method} runs over images seen.",
        )
    with atomic_folder(paths.FIGURES) as folder:
        for key, (figure, title, caption, alt) in sorted(drawn.items()):
            save_figure(figure, folder / f"{key}.png", title=title, caption=caption, alt=alt)
    if show:
        display(figure for _, (figure, *_) in sorted(drawn.items()))
    return [paths.FIGURES / f"{key}.png" for key in sorted(drawn)]


def _claim_draws(metrics: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str, str], np.ndarray]:
    """Joint draws of every number that a claim reads: (experiment, bucket, metric) -> (DRAWS,).

    An experiment whose results are not there has none. Raises InputError where results and metrics file disagree.
    """
    draws: dict[tuple[str, str, str], np.ndarray] = {}
    opened = Samples()
    for bucket in BUCKETS:
        samples = {n: opened.open(n, bucket) for n in sorted(metrics) if bucket in metrics[n] and opened.has(n)}
        for metric in sorted(claim_metrics()):
            own = {
                name: sample
                for name, sample in samples.items()
                if metric in sample.metrics and metrics[name][bucket].get(metric) is not None
            }
            for name, sample in own.items():
                stored, written = sample.value(metric), float(metrics[name][bucket][metric])
                if not math.isclose(stored, written, rel_tol=1e-3, abs_tol=1e-4):
                    raise InputError(
                        f"{paths.METRICS / name}.json has {metric} {written} at {bucket}, but its results give "
                        f"{stored:.6g}; evaluate {name} again"
                    )
            # One seed: what shares its images shares its draws, across metrics and buckets as well.
            for name, values in replicates(own, metric, DRAWS, seed=0).items():
                draws[name, bucket, metric] = values
    return draws


def write_claims(parameters: Parameters) -> Path:
    """reports/claims.csv: every claim of every paper with its evidence, probability and verdict."""
    metrics = _metrics(parameters)
    return write_claims_csv(judge_claims(metrics, _claim_draws(metrics)), paths.CLAIMS)


def claims_fragment(parameters: Parameters, *, root: str = "../") -> str:
    """The claims page as an HTML fragment with its style; `root` leads from the page to reports/."""
    metrics = _metrics(parameters)
    return claims_notebook_html(read_claims_csv(paths.CLAIMS), metrics, root=root)


def _claims_sections(parameters: Parameters) -> list[Section]:
    """The claims as a part of the site, once they were written."""
    if not paths.CLAIMS.is_file():
        return []
    metrics = _metrics(parameters)
    return [Section("claims", "Claims", claims_html(read_claims_csv(paths.CLAIMS), metrics))]


def write_site(parameters: Parameters) -> Path:
    """reports/index.html: everything joined, in one file."""
    return build_site(
        reports=paths.REPORTS,
        tables=_tables(parameters),
        costs=_costs(parameters),
        sections=_claims_sections(parameters),
    )
