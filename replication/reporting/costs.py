"""What every training cost: parameters, time, speed, memory, from the records of the trainings.

No tracked file has these numbers, since they differ from machine to machine and from run to run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from replication.atomic import write_text
from replication.drawing.escaping import html_text, markdown_row, markdown_text
from replication.json_files import read_object
from replication.reporting.site.style import STYLE

# column -> (words with unit, format)
COLUMNS: dict[str, tuple[str, str]] = {
    "run": ("Run", "{}"),
    "part": ("Part", "{}"),
    "method": ("Method", "{}"),
    "dataset": ("Data set", "{}"),
    "parameters": ("Parameters", "{:,.0f}"),
    "steps": ("Steps", "{:,.0f}"),
    "images_seen": ("Images seen", "{:,.0f}"),
    "seconds": ("Time (s)", "{:,.1f}"),
    "images_per_s": ("Images/s", "{:,.1f}"),
    "peak_memory_mb": ("Peak memory (MB)", "{:,.0f}"),
    "device": ("Device", "{}"),
    "world_size": ("Processes", "{}"),
    "seed": ("Seed", "{}"),
    "commit": ("Commit", "{}"),
}
_TEXT = {"run", "part", "method", "dataset", "device", "world_size", "seed", "commit"}


def load_costs(folder: str | Path, runs: Collection[str]) -> list[dict[str, Any]]:
    """The records data/costs/<run>/<part>/seed_<k>.json of the named runs, in the order of `runs`, then of parts and
    seeds; what needed no training, such as published weights, cost none and is left out.

    Raises InputError when a record is not a JSON object.
    """
    folder, records = Path(folder), []
    for run in runs:
        places = [(path.parent.name, int(path.stem.removeprefix("seed_")), path) for path in _records(folder / run)]
        for part, _, path in sorted(places):
            record = read_object(path)
            if record.get("seconds") is not None:
                records.append(record | {"run": run, "part": part})
    return records


def _records(folder: Path) -> Iterable[Path]:
    return folder.glob("*/seed_*.json")


def cost_table(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per training, columns `COLUMNS`; parameters given per network are summed; unknown is missing."""
    rows = []
    for record in records:
        row = {column: record.get(column) for column in COLUMNS}
        if isinstance(row["parameters"], Mapping):
            row["parameters"] = sum(row["parameters"].values())
        row["commit"] = str(row["commit"]).partition(":")[0][:12] if row["commit"] else None
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def costs_csv(costs: pd.DataFrame) -> str:
    return costs.to_csv(index=False, lineterminator="\n")


def costs_markdown(costs: pd.DataFrame) -> str:
    """A Markdown table with a row of totals for time."""
    lines = [
        markdown_row([words for words, _ in COLUMNS.values()]),
        markdown_row(["---" if column in _TEXT else "---:" for column in COLUMNS]),
    ]
    lines += [markdown_row([markdown_text(text) for text in row]) for row in _formatted(costs)]
    return "\n".join(lines) + f"\n\n{total_sentence(costs)}\n"


def costs_page(costs: pd.DataFrame) -> str:
    """The cost table as a whole page, beside the site, which has no times on it."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Cost of training</title>
<style>
{STYLE}body {{ display: block; }}
</style>
</head>
<body>
<main>
<h1>Cost of training</h1>
<p>What each training took on the machine named beside it; another machine has other times. Back to
<a href="../index.html">all results</a>.</p>
{costs_html(costs)}</main>
</body>
</html>
"""


def costs_html(costs: pd.DataFrame) -> str:
    """The cost table as an HTML fragment; all text escaped."""
    head = "".join(f'<th scope="col">{html_text(words)}</th>' for words, _ in COLUMNS.values())
    body = []
    for row in _formatted(costs):
        first, *rest = row
        cells = "".join(
            f'<td class="{"text" if column in _TEXT else "number"}">{html_text(text)}</td>'
            for column, text in zip(list(COLUMNS)[1:], rest, strict=True)
        )
        body.append(f'<tr><th scope="row">{html_text(first)}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Cost table, scrolls sideways">\n'
        f'<table class="grid costs"><caption>{html_text(total_sentence(costs))}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>\n"
    )


def total_sentence(costs: pd.DataFrame) -> str:
    """Number of trainings and their time together."""
    seconds = float(pd.to_numeric(costs.seconds, errors="coerce").sum())
    hours, minutes = int(seconds // 3600), (seconds % 3600) / 60
    spent = f"{hours} h {minutes:.0f} min" if hours else f"{minutes:.1f} min"
    return f"{len(costs)} trainings, {spent} altogether."


def write_costs(costs: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write costs.csv, costs.md and costs.html into `folder`."""
    contents = {"csv": costs_csv(costs), "md": costs_markdown(costs), "html": costs_page(costs)}
    paths = [Path(folder) / f"costs.{suffix}" for suffix in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_text(path, content)
    return paths


def _formatted(costs: pd.DataFrame) -> list[list[str]]:
    return [
        ["–" if pd.isna(value) else COLUMNS[column][1].format(value) for column, value in row.items()]
        for row in costs.to_dict("records")
    ]
