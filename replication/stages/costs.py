"""What every training cost, apart from all that is tracked: times differ from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replication import paths
from replication.atomic import atomic_folder
from replication.reporting.costs import cost_table, load_costs, write_costs

if TYPE_CHECKING:
    from replication.config import Parameters


def write_cost_tables(parameters: Parameters) -> list[Path]:
    """reports/costs/costs.csv, .md and .html, a row for every training of every run of the parameters."""
    costs = cost_table(load_costs(paths.COSTS, parameters.run_names()))
    with atomic_folder(paths.COST_TABLES) as folder:
        names = [path.name for path in write_costs(costs, folder)]
    return [paths.COST_TABLES / name for name in names]
