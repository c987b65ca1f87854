"""dvc.yaml, written from the systems' declarations: `python -m replication pipeline`.

It depends on the declarations alone, never on params.yaml: runs and data sets stay `foreach`, so that a key added there
needs no rewriting. Which sources decide a stage is data as well, see `graph.code`. The file is committed; when it is
not what the declarations say, `check` refuses it with the difference.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from replication.atomic import write_text
from replication.errors import InputError
from replication.graph.code import path_of, stage_group
from replication.graph.plots import plot_definitions
from replication.methods import ONLY_PART, Method, Need, Part
from replication.methods.registry import methods
from replication.papers import papers_with_tables

FILE = Path("dvc.yaml")
HEAD = """\
# Written by `python -m replication pipeline` from the declarations in replication/methods/*/method.py; do not edit.
# One stage per kind of work and run. data/code/STAGE.json lists the sources that decide its result, the notebook too.
# Executed notebooks are leaves. Times and records are no outs: nothing here changes between two equal runs.
"""
_EXECUTE = "python -m replication execute"
_NOTEBOOKS = "reports/notebooks"


def dvc_yaml() -> str:
    """The text of dvc.yaml."""
    stages: dict[str, Any] = {"code": _code(), "data": _data(), "masks": _masks()}
    for one in methods().values():
        for part in one.parts:
            stages[stage_group(one, part)] = _part(one, part)
        if one.inpaints:
            stages[f"evaluate_{one.name}"] = _evaluate(one)
    stages |= _reports()
    content = {"stages": stages, "metrics": ["reports/metrics"], "plots": plot_definitions()}
    return HEAD + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def write(path: Path = FILE) -> bool:
    """Write it; true if the file changed."""
    text = dvc_yaml()
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def check(path: Path = FILE) -> None:
    """Refuse a dvc.yaml that is not what the declarations say.

    Raises:
        InputError: it is missing or stale; the sentence is followed by the difference.
    """
    text, found = dvc_yaml(), path.read_text(encoding="utf-8") if path.is_file() else ""
    if found == text:
        return
    lines = difflib.unified_diff(found.splitlines(), text.splitlines(), f"{path} as it is", f"{path} as declared", n=1)
    raise InputError(
        f"{path} is not what the systems' declarations say; `python -m replication pipeline` writes it:\n"
        + "\n".join(lines)
    )


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, as the rest of the world writes them; no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _stage(
    desc: str,
    cmd: str,
    deps: Iterable[str],
    params: Iterable[str] = (),
    outs: Iterable[str] = (),
    tracked: Iterable[str] = (),
) -> dict[str, Any]:
    """tracked: outs that stand in git and not in DVC's cache."""
    made: list[Any] = [*outs, *({out: {"cache": False}} for out in tracked)]
    stage: dict[str, Any] = {"desc": desc, "cmd": cmd, "deps": sorted(set(deps))}
    if params:
        stage["params"] = list(dict.fromkeys(params))
    if made:
        stage["outs"] = made
    return stage


def _notebook(source: str, output: str, **values: str) -> tuple[str, list[str]]:
    """Command and outs of a stage that executes a notebook. It is no dependency: what it executes is in data/code."""
    given = "".join(f" -p {name} {value}" for name, value in values.items())
    path = f"{_NOTEBOOKS}/{output}"
    return f"{_EXECUTE} notebooks/{source}.ipynb {path}.ipynb{given}", [f"{path}.ipynb", f"{path}.html"]


def _code() -> dict[str, Any]:
    text = "which source files decide the result of each kind of stage"
    return _stage(text, "python -m replication code", ["notebooks", "replication"], (), ["data/code"])


def _data() -> dict[str, Any]:
    cmd, outs = _notebook("01_data", "data/${key}", dataset="${key}")
    deps = [path_of("data")]
    stage = _stage(
        "draw or pack one set of faces", cmd, deps, ["image_size", "data.${key}"], ["data/prepared/${key}", *outs]
    )
    return {"foreach": "${data}", "do": stage}


def _masks() -> dict[str, Any]:
    cmd, outs = _notebook("02_masks", "masks/masks")
    params = ["masks", "protocols", "evaluation.seed", "evaluation.pairs_per_bucket"]
    # Which sets are paired stands in `protocols`; here is no place to name them, so it waits for all.
    deps = ["data/prepared", path_of("masks")]
    made = ["data/masks", "data/pairs", *outs]
    return _stage("hole masks, and the frozen pairs of test images and holes", cmd, deps, params, made)


def _part(one: Method, part: Part) -> dict[str, Any]:
    per_dataset = part.per == "dataset"
    dataset = "${item}" if per_dataset else "${item.dataset}"
    deps = [path_of(stage_group(one, part)), *_needed(one, part, dataset)]
    if part.data:
        deps.append(f"data/prepared/{dataset}")
    if part.data and part.holes:
        deps.append(f"data/masks/{dataset}")
    section = f"methods.{one.name}"
    params = ["seed", *([f"{section}.{key}" for key in part.settings] or [section])]
    if per_dataset:
        name = f"{one.name}.{part.name}"
        out = f"data/shared/{one.name}/{part.name}/{dataset}"
        stage = _stage(
            f"{one.title}: {part.name}, once for a data set",
            f"python -m replication part {name} {dataset}",
            deps,
            [*params, "compute.deterministic"],
            [out],
        )
        return {"foreach": f"${{{part.over}}}", "do": stage}
    label = "${key}" if part.name == ONLY_PART else f"${{key}}_{part.name}"
    values = {"run": "${key}"} if part.name == ONLY_PART else {"run": "${key}", "part": part.name}
    cmd, outs = _notebook("03_train", f"train/{label}", **values)
    params += ["seeds", "compute.precision", "compute.deterministic", f"runs.{one.name}.${{key}}"]
    stage = _stage(f"{one.title}: train {part.name}", cmd, deps, params, [f"data/models/${{key}}/{part.name}", *outs])
    return {"foreach": f"${{runs.{one.name}}}", "do": stage}


def _needed(one: Method, part: Part, dataset: str) -> list[str]:
    """Trained things that a part reads: own parts, and the first training of other systems' runs."""
    own = {p.name: p for p in one.parts}
    found = []
    for need in part.needs:
        if need not in own:
            found += _run_models(need, one)
        elif own[need].per == "dataset":
            found.append(f"data/shared/{one.name}/{need}/{dataset}")
        else:
            found.append(f"data/models/${{key}}/{need}")
    return found


def _run_models(need: str, one: Method) -> list[str]:
    parsed = Need.parse(need)
    run = parsed.method if parsed.key is None else f"${{methods.{one.name}.{parsed.key}}}"
    return [f"data/models/{run}/{part.name}/seed_0" for part in methods()[parsed.method].run_parts]


def _evaluate(one: Method) -> dict[str, Any]:
    cmd, outs = _notebook("04_evaluate", "evaluate/${key}", run="${key}")
    needed = [path for need in one.opens for path in _run_models(need, one)]
    pairs = "data/pairs/${item.protocol}/${item.dataset}"
    deps = [
        path_of(f"evaluate_{one.name}"),
        *(f"data/models/${{key}}/{part.name}" for part in one.run_parts),
        *needed,
        f"data/models/${{evaluation.features}}/{ONLY_PART}/seed_0",
        "data/prepared/${item.dataset}",
        "data/masks/${item.dataset}",
        f"{pairs}.csv",
        f"{pairs}.json",
    ]
    params = ["profile", "comparable", "note", "evaluation", "seeds", "compute.deterministic"]
    params += ["data.${item.dataset}.title", f"runs.{one.name}.${{key}}"]
    stage = _stage(
        f"{one.title}: measure one run by its protocol",
        cmd,
        deps,
        params,
        ["data/results/${key}", *outs],
        ["reports/metrics/${key}.json"],
    )
    return {"foreach": f"${{runs.{one.name}}}", "do": stage}


def _reports() -> dict[str, Any]:
    """Stages that make tables, figures and pages of whatever was measured."""
    papers = papers_with_tables()
    measured = ["data/results", "reports/metrics"]
    stages: dict[str, Any] = {}
    cmd, outs = _notebook("06_tables", "tables/${item}", paper="${item}")
    deps = [*measured, path_of("tables")]
    stages["tables"] = {
        "foreach": papers,
        "do": _stage("result tables of one paper", cmd, deps, ["profile", "runs"], outs, ["reports/tables/${item}"]),
    }
    cmd, outs = _notebook("07_figures", "figures/${item}", paper="${item}")
    opened = ["data/masks", "data/models", "data/pairs", "data/prepared"]
    deps = [*measured, *opened, path_of("figures")]
    stages["figures"] = {
        "foreach": papers,
        "do": _stage("figures of one paper", cmd, deps, ["profile", "runs", "data"], outs, ["reports/figures/${item}"]),
    }
    cmd, outs = _notebook("08_claims", "claims")
    deps = [*measured, path_of("claims")]
    stages["claims"] = _stage(
        "every claim of the papers, judged on printed and measured numbers",
        cmd,
        deps,
        ["profile", "runs"],
        outs,
        ["reports/claims.csv"],
    )
    cmd, outs = _notebook("05_inspect", "inspect/${item}", run="${item}")
    deps = ["data/masks", "data/models", "data/pairs", "data/prepared", path_of("inspect")]
    stages["inspect"] = {
        "foreach": "${inspected}",
        "do": _stage("inside a trained run", cmd, deps, ["runs"], outs),
    }
    stages["plots"] = _stage(
        "curves and metrics for `dvc plots`, and as pictures",
        "python -m replication plots",
        ["data/models", "reports/metrics", path_of("plots")],
        ["profile", "runs"],
        tracked=["reports/plots", "reports/figures/curves"],
    )
    stages["costs"] = _stage(
        "what every training cost (times differ from run to run, so the files are no outs)",
        "python -m replication costs",
        ["data/models", path_of("costs")],
        ["profile", "runs"],
    )
    pages = ["reports/claims.csv", "reports/figures", "reports/tables", "reports/plots"]
    stages["site"] = _stage(
        "one page that joins everything",
        "python -m replication site",
        [*measured, *pages, path_of("site")],
        ["profile", "runs"],
        ["reports/index.html"],
    )
    return stages
