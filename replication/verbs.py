"""What each verb of the command line does; whatever is heavy is imported where it is used."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from replication.errors import InputError


def _parameters():
    from replication.config import load_parameters

    return load_parameters()


def _recorded(stage: str):
    from replication.graph.stages import load_stages
    from replication.history.records import recorded

    return recorded(load_stages().get(stage) if Path("dvc.yaml").is_file() else None)


def profile(arguments: argparse.Namespace) -> None:
    """Make a packaged profile the active params.yaml."""
    from replication.config import load_parameters
    from replication.profile_files import activate_profile

    if arguments.keep:
        # A file that does not load is refused here: to put the stock profile in its place would lose what was meant.
        active = load_parameters().profile if Path("params.yaml").is_file() else None
        if active == arguments.name:
            print(f"profile {active} is active already; params.yaml stays as it is")
            return
    before = set(Path().glob("params.edited*.yaml"))
    changed = activate_profile(arguments.name)
    print(f"params.yaml {'is now' if changed else 'was already'} the profile {arguments.name}")
    for kept in set(Path().glob("params.edited*.yaml")) - before:
        print(f"the edited params.yaml is kept as {kept}")


def pipeline(arguments: argparse.Namespace) -> None:
    """Write what follows from the declarations: dvc.yaml, the schema of params.yaml, the page of this command line."""
    from replication.command_line import PAGE, write_page
    from replication.graph import dvc_yaml
    from replication.profile_files import SCHEMA, write_schema

    if arguments.check:
        dvc_yaml.check()
        return
    for path, written in ((dvc_yaml.FILE, dvc_yaml.write()), (SCHEMA, write_schema()), (PAGE, write_page())):
        print(f"{path} {'written' if written else 'is as declared'}")


def code(arguments: argparse.Namespace) -> None:
    """List the source files that decide the result of each kind of stage."""
    from replication.graph.code import path_of, write_code

    with _recorded("code"):
        for group, count in write_code().items():
            print(f"{path_of(group)}: {count} files")


def _value(option: str, name: str, text: str) -> Any:
    """A value of the command line, read as params.yaml would be."""
    from replication.yaml_files import scalar
    from replication.yaml_readers import read_differently

    try:
        value = scalar(text)
        for key, sentence in read_differently(text):
            raise InputError(f"the value {text!r}: {key}{': ' if key else ''}{sentence}")
    except InputError as error:
        raise InputError(f"{option} {name}: {error}") from error
    return value


def execute(arguments: argparse.Namespace) -> None:
    """Run a notebook as a stage does."""
    from replication.graph.stages import stage_of_output
    from replication.history.records import recorded
    from replication.notebooks import execute as run_notebook

    values = {name: _value("-p", name, text) for name, text in arguments.parameter}
    stage = stage_of_output(arguments.output)
    given = "".join(f" -p {name} {text}" for name, text in arguments.parameter)
    command = f"python -m replication execute {arguments.notebook} {arguments.output}{given}"
    if stage is not None and stage.cmd != command:
        stage = None  # another notebook or run written to the same place is not the stage
    with recorded(stage):
        run_notebook(arguments.notebook, arguments.output, values)
    print(f"wrote {arguments.output} and {Path(arguments.output).with_suffix('.html')}")


def data(arguments: argparse.Namespace) -> None:
    """Draw or pack one set of faces."""
    from replication.stages.faces import prepare_faces

    print(prepare_faces(_parameters(), arguments.dataset))


def sources_changed(arguments: argparse.Namespace) -> None:
    """Stages whose folders of photos are not as they were packed."""
    from replication.stages.source_changes import changed_sources

    for stage, sentence in changed_sources(_parameters()).items():
        print(sentence, file=sys.stderr)
        print(stage)


def masks(arguments: argparse.Namespace) -> None:
    """Masks, and the frozen pairs of every protocol."""
    from replication.stages.holes import prepare_masks, prepare_pairs

    parameters = _parameters()
    for dataset, store in prepare_masks(parameters).items():
        print(f"{dataset}: {store}")
    for name, protocol in parameters.protocols.items():
        for dataset in protocol.datasets:
            prepare_pairs(parameters, name, dataset)


def train(arguments: argparse.Namespace) -> None:
    """Train the parts of a run."""
    from replication.stages.training import train_run

    train_run(_parameters(), arguments.run, part=arguments.part, only=arguments.repeat)


def part(arguments: argparse.Namespace) -> None:
    """Compute what a system needs once for a data set."""
    from replication.config import hint, method
    from replication.graph.code import stage_group
    from replication.stages.training import compute_part

    name, _, part_name = arguments.part.partition(".")
    one = method(name)
    shared = [p.name for p in one.parts if p.per == "dataset"]
    if part_name not in shared:
        allowed = [f"{name}.{each}" for each in shared]
        raise InputError(
            f"{arguments.part!r} is no part that is computed for a data set{hint(arguments.part, allowed)}"
        )
    parameters = _parameters()
    with _recorded(f"{stage_group(one, one.part(part_name))}@{arguments.dataset}"):
        card = compute_part(parameters, one, one.part(part_name), arguments.dataset)
    told = ", ".join(f"{key} {value}" for key, value in card.items() if isinstance(value, int | bool))
    print(f"{arguments.part} for {arguments.dataset}: {told}")


def evaluate(arguments: argparse.Namespace) -> None:
    """Measure one run."""
    import pandas as pd

    from replication.stages.evaluation import evaluate_run

    metrics = evaluate_run(_parameters(), arguments.run)
    rows = {bucket: values for bucket, values in metrics.items() if bucket != "made_by"}
    print(pd.DataFrame(rows).T.to_string(float_format="{:.3f}".format))


def _papers(arguments: argparse.Namespace) -> list[str]:
    from replication.papers import papers_with_tables

    return [arguments.paper] if arguments.paper else papers_with_tables()


def tables(arguments: argparse.Namespace) -> None:
    """Result tables of a paper."""
    from replication.stages.tables import write_tables

    parameters = _parameters()
    for paper in _papers(arguments):
        print(*write_tables(parameters, paper), sep="\n")


def figures(arguments: argparse.Namespace) -> None:
    """Figures of a paper."""
    from replication.stages.figures import write_figures

    parameters = _parameters()
    for paper in _papers(arguments):
        print(*write_figures(parameters, paper), sep="\n")


def costs(arguments: argparse.Namespace) -> None:
    """What every training cost."""
    from replication.stages.costs import write_cost_tables

    parameters = _parameters()
    with _recorded("costs"):
        print(*write_cost_tables(parameters), sep="\n")


def plots(arguments: argparse.Namespace) -> None:
    """Tables behind `dvc plots`, and curves as pictures."""
    from replication.stages.plots import write_plots

    parameters = _parameters()
    with _recorded("plots"):
        print(*write_plots(parameters), sep="\n")


def claims(arguments: argparse.Namespace) -> None:
    """Judge every claim."""
    from replication.stages.claims import write_claims

    print(write_claims(_parameters()))


def site(arguments: argparse.Namespace) -> None:
    """One page that joins everything."""
    from replication.stages.site import write_site

    parameters = _parameters()
    with _recorded("site"):
        print(write_site(parameters))


def inspect(arguments: argparse.Namespace) -> None:
    """Look inside a trained run on one test pair."""
    from replication.inspection.pair import inspect_pair, summary, write_inspection

    options = {name: _value("-o", name, text) for name, text in arguments.option}
    inside = inspect_pair(_parameters(), arguments.run, bucket=arguments.bucket, pair=arguments.pair, **options)
    print(summary(inside).to_string())
    print(*write_inspection(inside, Path(arguments.out or f"inspected/{arguments.run}")), sep="\n")


def metrics(arguments: argparse.Namespace) -> None:
    """The numbers of all runs, or of some."""
    from replication.stages.measured import numbers

    print(numbers(arguments.run), end="")


def diff(arguments: argparse.Namespace) -> int:
    """What changed between two revisions by more than chance."""
    from replication.history.comparison import report_diff

    found, text = report_diff(
        arguments.old,
        arguments.new,
        every=arguments.all,
        colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        markdown=arguments.markdown,
        html=arguments.html,
    )
    print(text, end="")
    for sentence in found.errors:
        print(f"error: {sentence}", file=sys.stderr)
    return found.exit_code()


def compare_losses(arguments: argparse.Namespace) -> int:
    """Whether the first losses of every training are those of another revision."""
    from replication.history.losses import report_losses

    text, code = report_losses(arguments.old, arguments.new, tolerance=arguments.tolerance)
    print(text, end="")
    return code


def provenance(arguments: argparse.Namespace) -> None:
    """Where an output came from."""
    from replication.history.lineage import lineage

    print(lineage(arguments.file))


def sources(arguments: argparse.Namespace) -> None:
    """Data sets and weights that can be fetched."""
    from replication.downloads.fetch import describe_source, list_sources

    print(describe_source(arguments.name) if arguments.name else list_sources())


def download(arguments: argparse.Namespace) -> None:
    """Fetch data sets and weights."""
    from replication.downloads.fetch import fetch

    parameters = _parameters() if Path("params.yaml").is_file() else None
    fetch(parameters, arguments.name, profile=arguments.profile)


def doctor(arguments: argparse.Namespace) -> int:
    """What a profile needs and what of it is missing."""
    from replication.doctor.doctor import doctor as examine

    text, code = examine(arguments.profile, quick=arguments.quick)
    print(text, end="")
    return code
