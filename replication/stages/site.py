"""reports/index.html: everything joined, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replication import paths
from replication.graph.stages import load_stages
from replication.papers import papers_with_figures, papers_with_tables
from replication.reporting.claims.judging import read_claims_csv
from replication.reporting.claims.page import claims_html
from replication.reporting.site.choices import load_choices
from replication.reporting.site.page import Section, build_site
from replication.reporting.site.runs import ShownRun
from replication.reporting.tables.results import paper_tables
from replication.stages.measured import measured
from replication.stages.samples import Samples

if TYPE_CHECKING:
    from replication.config import Parameters


def write_site(parameters: Parameters) -> Path:
    """Write the page from what is in reports/ and data/results; its path.

    Raises:
        InputError: a result or reports/claims.csv cannot be used; the sentence says what makes it anew.
    """
    metrics, differences = measured(parameters), Samples().change
    tables = [table for paper in papers_with_tables() for table in paper_tables(paper, metrics, differences)]
    claims = []
    if paths.CLAIMS.is_file():
        claims = [Section("claims", "Claims", claims_html(read_claims_csv(paths.CLAIMS), metrics))]
    return build_site(
        reports=paths.REPORTS,
        tables=tables,
        runs=[_shown(parameters, name, metrics.get(name)) for name in parameters.measured_runs()],
        choices={paper: load_choices(paper) for paper in {*papers_with_tables(), *papers_with_figures()}},
        sections=claims,
        notebooks=_notebooks(),
    )


def _notebooks() -> list[str] | None:
    """The pages of all executed notebooks that dvc.yaml makes, below reports/; None outside of a checkout.

    Those that it makes and not those that are there: the site may be written before the last of them.
    """
    if not Path("dvc.yaml").is_file():
        return None
    outs = {out for stage in load_stages().values() for out in stage.outs if out.endswith(".html")}
    return sorted(out.removeprefix("reports/") for out in outs if out.startswith("reports/notebooks/"))


def _shown(parameters: Parameters, name: str, metrics: dict | None) -> ShownRun:
    run = parameters.run(name)
    files = {"evaluation": f"notebooks/evaluate/{name}.html", "numbers": f"metrics/{name}.json"}
    if name in parameters.inspected:
        files["inside"] = f"notebooks/inspect/{name}.html"
    return ShownRun(
        name,
        parameters.method_of(name).title,
        parameters.data_set(run.dataset).title,
        run.protocol,
        metrics,
        tuple(files.items()) if metrics is not None else (),
    )
