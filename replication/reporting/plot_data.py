"""Small tables for `dvc plots show` and `dvc plots diff`: loss curves and metrics by mask ratio, a column per run.

They are in git, so that curves of two commits can be laid over each other without DVC's cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import write_text
from replication.drawing.curves import Run

POINTS = 60  # of a curve: each is the mean over its part of the run
SCALARS = ("reconstruction", "generator", "discriminator")  # of MDRNets' histories
METRICS = ("L1_percent", "PSNR", "SSIM")


def write_plot_data(
    runs: Mapping[str, Run], metrics: Mapping[str, Mapping[str, Any]], folder: str | Path
) -> list[Path]:
    """Write <scalar>.csv (images_seen, a column per MDRNet run) and <metric>.csv (hole_percent, one per experiment).

    frechet.csv has the Fréchet distance, FD or FID; where experiments mix the two, FD.csv and FID.csv stand instead.
    hole_percent: middle of the bucket, 10, 30 or 50: dvc's line charts draw nothing over a text like "1-20%".
    runs: as `curves.load_runs` gives them; those of other methods are left out. metrics: experiment -> metrics file.
    """
    tables = {scalar: _curve_table(runs, scalar) for scalar in SCALARS}
    tables |= {metric: _metric_table(metrics, metric) for metric in METRICS}
    tables |= _frechet_tables(metrics)
    written = []
    for name, table in tables.items():
        if table.shape[1] > 1:
            path = Path(folder) / f"{name}.csv"
            write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
            written.append(path)
    return written


def _curve_table(runs: Mapping[str, Run], scalar: str) -> pd.DataFrame:
    """Outer join over images_seen of the runs' means over `POINTS` equal parts."""
    table = pd.DataFrame({"images_seen": pd.Series(dtype=np.int64)})
    for name, run in runs.items():
        if run.method != "mdrnet" or scalar not in run.history:
            continue
        part = np.arange(len(run.history)) * POINTS // len(run.history)
        means = run.history.groupby(part).agg({"images_seen": "last", scalar: "mean"}).rename(columns={scalar: name})
        table = table.merge(means, on="images_seen", how="outer")
    return table.sort_values("images_seen")


def _frechet_tables(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """One table under a name that dvc.yaml can know, unless two different distances would share its axis."""
    tables = {name: _metric_table(metrics, name) for name in ("FID", "FD")}
    found = {name: table for name, table in tables.items() if table.shape[1] > 1}
    return {"frechet": next(iter(found.values()))} if len(found) == 1 else found


def _metric_table(metrics: Mapping[str, Mapping[str, Any]], metric: str) -> pd.DataFrame:
    columns = {
        name: {_middle(b): values[metric] for b, values in file.items() if b != "made_by" and metric in values}
        for name, file in metrics.items()
    }
    table = pd.DataFrame({name: values for name, values in columns.items() if values})
    return table.rename_axis("hole_percent").reset_index()


def _middle(bucket: str) -> int:
    """Middle of a bucket such as "20-40%", in percent of the image, rounded to tens: the first one begins at 1 %."""
    low, high = bucket.removesuffix("%").split("-")
    return round((int(low) + int(high)) / 20) * 10
