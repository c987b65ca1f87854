"""Every claim of every paper, judged on its paper's numbers and on what was measured here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from replication import paths
from replication.errors import InputError
from replication.evaluation.uncertainty import replicates
from replication.reporting.claims.judging import (
    DRAWS,
    claim_buckets,
    claim_metrics,
    judge_claims,
    read_claims_csv,
    write_claims_csv,
)
from replication.reporting.claims.page import claims_notebook_html
from replication.reporting.tables.results import buckets_of
from replication.stages.measured import column_of, keep_reported, measured, reportable
from replication.stages.samples import Samples

if TYPE_CHECKING:
    from replication.config import Parameters


def claim_draws(metrics: Mapping[str, Mapping[str, Any]], opened: Samples) -> dict[tuple[str, str, str], np.ndarray]:
    """Joint draws of every number that a claim reads: (run, bucket, metric) -> (DRAWS,).

    A run whose results are not there has none. Raises InputError where results and metrics file disagree.
    """
    draws: dict[tuple[str, str, str], np.ndarray] = {}
    names = sorted(metrics)
    there = dict.fromkeys(bucket for name in names for bucket in buckets_of(metrics[name]))
    for bucket in [bucket for bucket in there if bucket in claim_buckets()]:
        samples = {n: opened.open(n, bucket) for n in names if bucket in metrics[n] and opened.has(n)}
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
    """reports/claims.csv: every claim of every paper with its evidence, probability and verdict.

    Raises:
        InputError: what the claims are judged on is missing or cannot be used; the earlier file stays.
    """
    metrics = reportable(parameters)
    reported = {run for cell in column_of([paths.CLAIMS], "runs", where="runs") for run in cell.split("; ")}
    keep_reported(parameters, paths.CLAIMS, reported, metrics)
    opened = Samples()
    return write_claims_csv(judge_claims(metrics, claim_draws(metrics, opened), opened.change_between), paths.CLAIMS)


def claims_fragment(parameters: Parameters, *, root: str = "../") -> str:
    """The claims page as an HTML fragment with its style; `root` leads from the page to reports/."""
    return claims_notebook_html(read_claims_csv(paths.CLAIMS), measured(parameters), root=root)
