"""`python -m replication VERB ...`: everything that the notebooks do, for clusters, scripts and torchrun."""

from __future__ import annotations

import argparse
import difflib
import errno
import logging
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from replication.errors import InputError, RunError


def _parameters():
    from replication.config import load_parameters

    return load_parameters()


def _recorded(stage: str):
    from replication.graph.stages import load_stages
    from replication.history.records import recorded

    return recorded(load_stages().get(stage) if Path("dvc.yaml").is_file() else None)


def _profile(arguments: argparse.Namespace) -> None:
    from replication.config import activate_profile, load_parameters

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


def _execute(arguments: argparse.Namespace) -> None:
    import yaml

    from replication.graph.stages import stage_of_output
    from replication.history.records import recorded
    from replication.notebooks import execute

    values = {}
    for name, text in arguments.parameter:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"-p {name}: {text!r} is not a YAML value; quote it") from error
        # YAML 1.1 takes no, off and the like for booleans; an experiment may be called that.
        values[name] = text if isinstance(value, bool) and text.lower() not in ("true", "false") else value
    stage = stage_of_output(arguments.output)
    given = "".join(f" -p {name} {text}" for name, text in arguments.parameter)
    if (
        stage is not None
        and stage.cmd != f"python -m replication execute {arguments.notebook} {arguments.output}{given}"
    ):
        stage = None  # another notebook or experiment written to the same place is not the stage
    with recorded(stage):
        execute(arguments.notebook, arguments.output, values)
    print(f"wrote {arguments.output} and {Path(arguments.output).with_suffix('.html')}")


def _data(arguments: argparse.Namespace) -> None:
    from replication.stages.data import prepare_faces

    print(prepare_faces(_parameters(), arguments.role))


def _sources_changed(arguments: argparse.Namespace) -> None:
    from replication.stages.source_changes import changed_sources

    for stage, sentence in changed_sources(_parameters()).items():
        print(sentence, file=sys.stderr)
        print(stage)


def _masks(arguments: argparse.Namespace) -> None:
    from replication.stages.data import prepare_masks, prepare_pairs

    parameters = _parameters()
    print(prepare_masks(parameters))
    for dataset in ("celebahq", "ffhq"):
        prepare_pairs(parameters, dataset)


def _prior(arguments: argparse.Namespace) -> None:
    from replication.stages import training as train

    stages = {
        "parser": train.train_parser,
        "reconstruction": train.train_reconstruction,
        "attributes": train.train_attributes,
    }
    stages[arguments.network](_parameters())


def _coarse(arguments: argparse.Namespace) -> None:
    from replication.stages.training import train_coarse

    train_coarse(_parameters(), arguments.dataset)


def _bank(arguments: argparse.Namespace) -> None:
    from replication.stages.training import make_bank

    parameters = _parameters()
    with _recorded(f"bank@{arguments.dataset}"):
        card = make_bank(parameters, arguments.dataset)
    print(f"bank of {card['pairs']} training pairs for {arguments.dataset}")


def _train(arguments: argparse.Namespace) -> None:
    from replication.stages.training import train_experiment

    train_experiment(_parameters(), arguments.experiment, arguments.repeat)


def _evaluate(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from replication.stages.evaluation import evaluate_experiment

    metrics = evaluate_experiment(_parameters(), arguments.experiment)
    rows = {bucket: values for bucket, values in metrics.items() if bucket != "made_by"}
    print(pd.DataFrame(rows).T.to_string(float_format="{:.3f}".format))


def _tables(arguments: argparse.Namespace) -> None:
    from replication.stages.reports import write_tables

    for path in write_tables(_parameters()):
        print(path)


def _costs(arguments: argparse.Namespace) -> None:
    from replication.stages.reports import write_cost_tables

    parameters = _parameters()
    with _recorded("costs"):
        for path in write_cost_tables(parameters):
            print(path)


def _plots(arguments: argparse.Namespace) -> None:
    from replication.stages.reports import write_plots

    parameters = _parameters()
    with _recorded("plots"):
        for path in write_plots(parameters):
            print(path)


def _figures(arguments: argparse.Namespace) -> None:
    from replication.stages.reports import write_figures

    for path in write_figures(_parameters(), experiment=arguments.experiment):
        print(path)


def _inspect(arguments: argparse.Namespace) -> None:
    from replication.inspection.pair import inspect_pair, write_inspection

    inspected = inspect_pair(
        _parameters(), arguments.experiment, bucket=arguments.bucket, pair=arguments.pair, patch=arguments.patch
    )
    print(inspected.summary().to_string())
    for path in write_inspection(inspected, Path(arguments.out or f"inspected/{arguments.experiment}")):
        print(path)


def _claims(arguments: argparse.Namespace) -> None:
    from replication.stages.reports import write_claims

    print(write_claims(_parameters()))


def _site(arguments: argparse.Namespace) -> None:
    from replication.stages.reports import write_site

    parameters = _parameters()
    with _recorded("site"):
        print(write_site(parameters))


def _diff(arguments: argparse.Namespace) -> int:
    from replication.history.comparison import report_diff

    diff, text = report_diff(
        arguments.old,
        arguments.new,
        every=arguments.all,
        colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        markdown=arguments.markdown,
        html=arguments.html,
    )
    print(text, end="")
    for sentence in diff.errors:
        print(f"error: {sentence}", file=sys.stderr)
    return diff.exit_code()


def _provenance(arguments: argparse.Namespace) -> None:
    from replication.history.lineage import lineage

    print(lineage(arguments.file))


def _sources(arguments: argparse.Namespace) -> None:
    from replication.downloads.fetch import describe_source, list_sources

    print(describe_source(arguments.name) if arguments.name else list_sources())


def _download(arguments: argparse.Namespace) -> None:
    from replication.downloads.fetch import fetch

    parameters = _parameters() if Path("params.yaml").is_file() else None
    fetch(parameters, arguments.name, profile=arguments.profile)


def _doctor(arguments: argparse.Namespace) -> int:
    from replication.doctor.doctor import doctor

    text, code = doctor(arguments.profile, quick=arguments.quick)
    print(text, end="")
    return code


class _Parser(argparse.ArgumentParser):
    """Names the nearest allowed word when one is misspelt, as all other errors here do."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), n=1)
            message += f"; did you mean {near[0]!r}?" if near else ""
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m replication", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, function, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    profile = verb("profile", _profile, "make a packaged profile the active params.yaml")
    profile.add_argument("name", help="smoke, demo, photos or paper")
    profile.add_argument(
        "--keep", action="store_true", help="leave params.yaml alone, edits included, if it is of this profile"
    )
    sources = verb("sources", _sources, "data sets and weights that can be fetched: what, terms, places, state here")
    sources.add_argument("name", nargs="?", help="all that is known of one of them")
    fetched = verb("download", _download, "fetch data sets and weights into data/raw, checked and resumed")
    fetched.add_argument("name", nargs="*", help="a name that `sources` lists")
    fetched.add_argument("--profile", action="store_true", help="all that the active params.yaml needs")
    doctor = verb("doctor", _doctor, "what a profile needs, what of it is missing here, and how long it will take")
    doctor.add_argument("--profile", metavar="NAME", help="a packaged profile (default: the active params.yaml)")
    doctor.add_argument("--quick", action="store_true", help="do not measure the speed of this machine (20 s)")
    data = verb("data", _data, "draw or pack one set of faces")
    data.add_argument("role", choices=["celebahq", "ffhq", "parsing", "attributes"])
    verb(
        "sources-changed",
        _sources_changed,
        "list the stages whose folders of photos are not as they were packed; DVC does not watch those",
    )
    verb("masks", _masks, "make the masks and the frozen evaluation pairs")
    prior = verb("prior", _prior, "train one network that others look through")
    prior.add_argument("network", choices=["parser", "reconstruction", "attributes"])
    for name, function, text in (
        ("coarse", _coarse, "train the partial-convolution network on a data set"),
        ("bank", _bank, "compute the frozen first stage for the training pairs of a data set"),
    ):
        verb(name, function, text).add_argument("dataset", choices=["celebahq", "ffhq"])
    train = verb("train", _train, "train one experiment (also under torchrun)")
    train.add_argument("experiment", help="a key of `experiments` in params.yaml")
    train.add_argument("--repeat", type=int, metavar="K", help="only its K-th training, from 0 (default: every seed)")
    evaluate = verb("evaluate", _evaluate, "measure one experiment or baseline on the frozen pairs")
    evaluate.add_argument("experiment", help="a key of `experiments` or `baselines` in params.yaml")
    verb("tables", _tables, "write ShowFace's tables")
    verb("costs", _costs, "write the table of what every training cost")
    verb("plots", _plots, "write the tables behind `dvc plots`")
    figures = verb("figures", _figures, "draw ShowFace's figures and the loss curves")
    figures.add_argument("--experiment", default="full", help="whose tensors Figures 2 to 4 show (full)")
    inspect = verb("inspect", _inspect, "look inside a trained experiment on one test pair: PNG files of every panel")
    inspect.add_argument("experiment", help="a key of `experiments` in params.yaml")
    inspect.add_argument("--bucket", default="40-60%", help="1-20%%, 20-40%% or 40-60%% (40-60%%)")
    inspect.add_argument("--pair", type=int, default=0, help="number of the test pair within the bucket (0)")
    inspect.add_argument("--patch", type=int, default=-1, help="correlation patch, row by row; -1: the hole's middle")
    inspect.add_argument("--out", metavar="FOLDER", help="where the pictures go (inspected/EXPERIMENT)")
    verb("claims", _claims, "judge every claim on its paper's numbers and on the measured ones")
    verb("site", _site, "join everything in reports/index.html")
    diff = verb(
        "diff",
        _diff,
        "which results changed between two git revisions by more than chance; exit code 1 if any got worse",
    )
    diff.add_argument("old", nargs="?", default="HEAD", metavar="A", help="a git revision (HEAD)")
    diff.add_argument("new", nargs="?", default="workspace", metavar="B", help="a git revision (the workspace)")
    diff.add_argument("--all", action="store_true", help="list every number, not only those that changed")
    diff.add_argument("--markdown", metavar="FILE", help="write the same as Markdown")
    diff.add_argument("--html", metavar="FILE", help="write it as one self-contained page")
    origin = verb("provenance", _provenance, "where a table, figure, metrics file or any other output came from")
    origin.add_argument("file", help="an output of the pipeline")
    run = verb("execute", _execute, "run a notebook as a pipeline stage does (papermill, checked and normalised)")
    run.add_argument("notebook")
    run.add_argument("output")
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb; its exit code.

    0 on success, 1 when it failed, `diff` found a result that got worse or `doctor` something missing, 2 with one
    sentence for an input that cannot be used, 130 when interrupted.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("papermill").setLevel(logging.WARNING)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        code = arguments.function(arguments)
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            f"error: no space left on the disk ({error.filename or 'while writing'}); nothing is lost", file=sys.stderr
        )
        return 1
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "replication").startswith("replication"):
            raise
        print(
            f"error: the package {error.name} is not in this environment; use the project's: `make install`, then "
            "`. .venv/bin/activate`",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt as error:
        print(f"interrupted: {error}" if str(error) else "interrupted", file=sys.stderr)
        return 130
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
