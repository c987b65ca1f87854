"""Where the stages keep their files, relative to the root of the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from replication.errors import InputError

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
PAIRS = PREPARED / "pairs"
MASKS = PREPARED / "masks"
BANKS = Path("data/banks")
MODELS = Path("data/models")
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


def store(role: str) -> Path:
    return PREPARED / role


def pairs(dataset: str) -> Path:
    return PAIRS / f"{dataset}.csv"


def repeat(name: str, k: int = 0) -> str:
    """The k-th training of something that is trained with several seeds; `seed` + k is its seed."""
    return f"{name}/seed_{k}"


def model(name: str) -> Path:
    return MODELS / name


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
