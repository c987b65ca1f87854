"""Where the stages keep their files, relative to the root of the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from replication.errors import InputError

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
MASKS = Path("data/masks")
PAIRS = Path("data/pairs")
MODELS = Path("data/models")
SHARED = Path("data/shared")
RESULTS = Path("data/results")
COSTS = Path("data/costs")
RECORDS = Path("data/records")
STATE = Path(".state")
PACKING = STATE / "packing"
SOURCES = STATE / "sources"
REPORTS = Path("reports")
METRICS = REPORTS / "metrics"
TABLES = REPORTS / "tables"
PLOTS = REPORTS / "plots"
COST_TABLES = REPORTS / "costs"
FIGURES = REPORTS / "figures"
CLAIMS = REPORTS / "claims.csv"


def store(dataset: str) -> Path:
    """Faces of a data set."""
    return PREPARED / dataset


def masks(dataset: str) -> Path:
    """Irregular masks at a data set's size."""
    return MASKS / dataset


def pairs(protocol: str, dataset: str) -> Path:
    """The frozen pairs of a protocol on a data set."""
    return PAIRS / protocol / f"{dataset}.csv"


def training(run: str, part: str, k: int = 0) -> str:
    """The k-th training of a run's part, below data/models, data/costs and .state; `seed` + k is its seed."""
    return f"{run}/{part}/seed_{k}"


def model(name: str) -> Path:
    """Weights, card and history of a training that `training` names."""
    return MODELS / name


def shared(method: str, part: str, dataset: str) -> Path:
    """What a system computes once for a data set."""
    return SHARED / method / part / dataset


def results(run: str, k: int = 0) -> Path:
    """What was measured of a run's k-th training."""
    return RESULTS / run / f"seed_{k}"


def go_to_root() -> Path:
    """Make the checkout's root (the folder with dvc.yaml) the working directory; notebooks start anywhere.

    Raises:
        InputError: no folder above the current one is a checkout.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "replication").is_dir():
            os.chdir(folder)
            return folder
    raise InputError(f"{here} is not inside a checkout of this suite (no folder above it has dvc.yaml)")
