"""The parser of `python -m replication`, and the page of the documentation that is written from it."""

from __future__ import annotations

import argparse
import difflib
import re
from pathlib import Path
from typing import NoReturn

from replication.atomic import write_text

PAGE = Path("docs/command_line.md")


class _Parser(argparse.ArgumentParser):
    """Names the nearest allowed word when one is misspelt, as all other errors here do."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), n=1)
            message += f"; did you mean {near[0]!r}?" if near else ""
        super().error(message)


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs; `verbs` has a function of each name."""
    whole = _Parser(prog="python -m replication", description="Everything that the notebooks do, without notebooks.")
    found = whole.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return found.add_parser(name, help=text, description=text)

    one = verb("profile", "make a packaged profile the active params.yaml")
    one.add_argument("name", help="smoke, demo, photos or paper")
    keep = "leave params.yaml alone, edits included, if it is of this profile"
    one.add_argument("--keep", action="store_true", help=keep)
    one = verb("pipeline", "write dvc.yaml, the schema of params.yaml and docs/command_line.md")
    one.add_argument("--check", action="store_true", help="only refuse a dvc.yaml that is stale, with the difference")
    verb("code", "list the source files that decide the result of each kind of stage, in data/code")
    text = "data sets and weights that can be fetched: what, terms, places, state here"
    verb("sources", text).add_argument("name", nargs="?", help="all that is known of one of them")
    one = verb("download", "fetch data sets and weights into data/raw, checked and resumed")
    one.add_argument("name", nargs="*", help="a name that `sources` lists")
    one.add_argument("--profile", action="store_true", help="all that the active params.yaml needs")
    one = verb("doctor", "what a profile needs, what of it is missing here, and how long it will take")
    one.add_argument("--profile", metavar="NAME", help="a packaged profile (default: the active params.yaml)")
    one.add_argument("--quick", action="store_true", help="do not measure the speed of this machine (20 s)")
    verb("data", "draw or pack one set of faces").add_argument("dataset", help="a key of `data`")
    text = "list the stages whose folders of photos are not as they were packed; DVC does not watch those"
    verb("sources-changed", text)
    verb("masks", "make the masks and the frozen evaluation pairs of every protocol")
    one = verb("train", "train the parts of one run (also under torchrun)")
    one.add_argument("run", help="a key below `runs` in params.yaml")
    one.add_argument("--part", metavar="NAME", help="only this part (default: all, in their order)")
    one.add_argument("--repeat", type=int, metavar="K", help="only its K-th training, from 0 (default: every seed)")
    one = verb("part", "compute what a system needs once for a data set")
    one.add_argument("part", metavar="SYSTEM.PART", help="a part that is computed once for a data set")
    one.add_argument("dataset", help="a key of `data`")
    text = "measure one run on the frozen pairs of its protocol"
    verb("evaluate", text).add_argument("run", help="a key below `runs` in params.yaml")
    for name, text in (("tables", "write the result tables"), ("figures", "draw the figures")):
        verb(name, text).add_argument("paper", nargs="?", help="of this paper only (a folder of papers/)")
    verb("costs", "write the table of what every training cost")
    verb("plots", "write the tables behind `dvc plots`, and the curves as pictures")
    verb("claims", "judge every claim on its paper's numbers and on the measured ones")
    verb("site", "join everything in reports/index.html")
    one = verb("inspect", "look inside a trained run on one test pair: PNG files of every panel")
    one.add_argument("run", help="a key below `runs` in params.yaml")
    one.add_argument("--bucket", help="a bucket of its protocol, such as 20-40%% (default: the last)")
    one.add_argument("--pair", type=int, default=0, help="number of the test pair within the bucket (0)")
    option = "of the system's panels, such as patch 12"
    one.add_argument("-o", "--option", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=option)
    one.add_argument("--out", metavar="FOLDER", help="where the pictures go (inspected/RUN)")
    text = "the numbers of all runs, a table for each size of hole (`dvc metrics show` is too wide to be read)"
    verb("metrics", text).add_argument("run", nargs="*", help="only of these runs")
    text = "which results changed between two git revisions by more than chance; exit code 1 if any got worse"
    one = verb("diff", text)
    one.add_argument("old", nargs="?", default="HEAD", metavar="A", help="a git revision (HEAD)")
    one.add_argument("new", nargs="?", default="workspace", metavar="B", help="a git revision (the workspace)")
    one.add_argument("--all", action="store_true", help="list every number, not only those that changed")
    one.add_argument("--markdown", metavar="FILE", help="write the same as Markdown")
    one.add_argument("--html", metavar="FILE", help="write it as one self-contained page")
    text = "whether the first losses of every training are those of another revision; exit code 1 if not"
    one = verb("compare-losses", text)
    one.add_argument("old", nargs="?", default="HEAD", metavar="A", help="a git revision (HEAD)")
    one.add_argument("new", nargs="?", default="workspace", metavar="B", help="a git revision (the workspace)")
    one.add_argument("--tolerance", type=float, default=0.0, help="relative difference that is allowed (0)")
    text = "where a table, figure, metrics file or any other output came from"
    verb("provenance", text).add_argument("file", help="an output of the pipeline")
    one = verb("execute", "run a notebook as a pipeline stage does (papermill, checked and normalised)")
    one.add_argument("notebook")
    one.add_argument("output")
    one.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    return whole


def page() -> str:
    """docs/command_line.md: every verb with its arguments, from the parser."""
    whole = parser()
    (choices,) = [action for action in whole._actions if isinstance(action, argparse._SubParsersAction)]
    lines = [
        "# Command line",
        "",
        "`python -m replication VERB`: all that a notebook can run, without the notebook, reading `params.yaml` in the",
        "current folder. Written by `python -m replication pipeline` from the parser; do not edit.",
        "",
        "Exit codes: 0 on success; 1 when it failed, when `diff` found a result that got worse, `compare-losses` a",
        "difference, or `doctor` something missing; 2 with one sentence for an input that cannot be used; 130 when",
        "interrupted.",
    ]
    for name, sub in choices.choices.items():
        words = [_usage(action) for action in sub._actions if not isinstance(action, argparse._HelpAction)]
        described = [
            f"* {_usage(action).strip('[]')}: {(action.help or '').replace('%%', '%')}"
            for action in sub._actions
            if action.help and not isinstance(action, argparse._HelpAction)
        ]
        lines += [
            "",
            f"## {name}",
            "",
            f"    python -m replication {' '.join([name, *words])}",
            "",
            f"{sub.description}.",
        ]
        lines += ["", *described] if described else []
    return "\n".join(lines).replace("%%", "%") + "\n"


def _usage(action: argparse.Action) -> str:
    """An argument as a line of usage has it: RUN, [NAME ...], [--repeat K]."""
    metavar = action.metavar or action.dest
    values = " ".join(metavar) if isinstance(metavar, tuple) else str(metavar).upper()
    if not action.option_strings:
        return {"?": f"[{values}]", "*": f"[{values} ...]"}.get(action.nargs, values)
    takes = "" if action.nargs == 0 else f" {values}"
    return f"[{action.option_strings[-1]}{takes}]"


def write_page(path: Path = PAGE) -> bool:
    """Write the page; true if it changed."""
    text = page()
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(exist_ok=True)
    write_text(path, text)
    return True
