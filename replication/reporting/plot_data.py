"""Tables for `dvc plots show` and `dvc plots diff`: loss curves and metrics by size of the hole, in long form.

They are in git, so that curves of two commits can be laid over each other without DVC's cache. A row is one point of
one run, so that a run that was added appears by itself: dvc.yaml names the files, which follow from the systems, and no
run. They are drawn by the template .dvc/plots/runs.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import write_text
from replication.drawing.curves import Curves
from replication.graph.plots import FRECHET, METRICS
from replication.methods.registry import methods

POINTS = 60  # of a curve: each is the mean over its part of the run


def write_plot_data(
    curves: Iterable[Curves], metrics: Mapping[str, Mapping[str, Any]], folder: str | Path
) -> list[Path]:
    """Write <method>_<scalar>.csv (run,images_seen,value) and <metric>.csv (run,hole_percent,value).

    The scalars are those that a system declares as its `curves`. frechet.csv has the Fréchet distance, FD or FID; where
    runs mix the two, FD.csv and FID.csv have it instead, since they share no axis. hole_percent: middle of the bucket,
    10, 30 or 50: dvc's line charts draw nothing over a text like "1-20%"; other buckets have no size and are left out.
    curves: as `curves.load_curves` gives them. metrics: run -> metrics file. A table without a row has its header
    alone: of an empty file `dvc plots` shows nothing, of a missing one it complains.
    """
    curves = list(curves)
    tables = {
        f"{name}_{scalar}": _curve_table([one for one in curves if one.method == name], scalar)
        for name, method in methods().items()
        for scalar in method.curves
    }
    tables |= {metric: _metric_table(metrics, metric) for metric in METRICS if metric != FRECHET}
    tables |= _frechet_tables(metrics)
    written = []
    for name, table in tables.items():
        path = Path(folder) / f"{name}.csv"
        write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        written.append(path)
    return written


def _curve_table(curves: Iterable[Curves], scalar: str) -> pd.DataFrame:
    """Each run's means over `POINTS` equal parts, one below the other."""
    found = [pd.DataFrame({"run": [], "images_seen": [], "value": []})]
    for one in curves:
        if scalar not in one.scalars or "images_seen" not in one.history:
            continue
        part = np.arange(len(one.history)) * POINTS // len(one.history)
        means = one.history.groupby(part).agg({"images_seen": "last", scalar: "mean"})
        found.append(means.rename(columns={scalar: "value"}).assign(run=one.name)[["run", "images_seen", "value"]])
    return pd.concat(found[1:] or found, ignore_index=True)


def _frechet_tables(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """One table under a name that dvc.yaml can know, unless two different distances would share its axis."""
    tables = {name: _metric_table(metrics, name) for name in ("FID", "FD")}
    found = {name: table for name, table in tables.items() if len(table)}
    empty = tables["FD"].head(0)
    return {FRECHET: empty} | found if len(found) > 1 else {FRECHET: next(iter(found.values()), empty)}


def _metric_table(metrics: Mapping[str, Mapping[str, Any]], metric: str) -> pd.DataFrame:
    rows = [
        (name, middle, values[metric])
        for name, file in metrics.items()
        for bucket, values in file.items()
        if (middle := _middle(bucket)) is not None and metric in values
    ]
    return pd.DataFrame(rows, columns=["run", "hole_percent", "value"])


def _middle(bucket: str) -> int | None:
    """Middle of a bucket such as "20-40%", in percent of the image, rounded to tens: the first one begins at 1 %."""
    found = re.fullmatch(r"(\d+)-(\d+)%", bucket)
    return round((int(found[1]) + int(found[2])) / 20) * 10 if found else None
