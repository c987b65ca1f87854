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
    """reports/costs/costs.csv, .md and .html, a row for every training of every run of the parameters.

    Records are no outs of DVC, which would remove them: those of earlier, longer runs are left out here.
    """
    names = parameters.run_names()
    present = {
        paths.training(run, part.name, k)
        for run in names
        for part in parameters.method_of(run).run_parts
        for k in range(parameters.seeds_of(run))
    }
    costs = cost_table(record for record in load_costs(paths.COSTS, names) if record["name"] in present)
    with atomic_folder(paths.COST_TABLES) as folder:
        names = [path.name for path in write_costs(costs, folder)]
    return [paths.COST_TABLES / name for name in names]
