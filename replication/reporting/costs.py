"""What every trained network cost: parameters, time, speed, memory, from the records of the trainings."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from replication.atomic import write_text
from replication.drawing.escaping import html_text, markdown_row, markdown_text
from replication.errors import InputError

# column -> (words with unit, format)
COLUMNS: dict[str, tuple[str, str]] = {
    "name": ("Trained thing", "{}"),
    "method": ("Method", "{}"),
    "dataset": ("Data set", "{}"),
    "parameters": ("Parameters", "{:,.0f}"),
    "steps": ("Steps", "{:,.0f}"),
    "images_seen": ("Images seen", "{:,.0f}"),
    "seconds": ("Time (s)", "{:,.1f}"),
    "images_per_s": ("Images/s", "{:,.1f}"),
    "peak_memory_mb": ("Peak memory (MB)", "{:,.0f}"),
    "device": ("Device", "{}"),
    "seed": ("Seed", "{}"),
    "commit": ("Commit", "{}"),
}
_TEXT = {"name", "method", "dataset", "device", "seed", "commit"}


def load_card(path: Path) -> dict[str, Any]:
    """A JSON object from a file; anything else there raises InputError."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(card, dict):
        raise InputError(f"{path} must hold a JSON object, found {type(card).__name__}.")
    return card


def load_costs(folder: str | Path, names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The records data/costs/<name>.json and data/costs/<name>/seed_<k>.json of trainings, sorted by name.

    names: only these; None takes all. A further seed is called "<name>, seed <k>".

    Raises InputError when a record is not a JSON object.
    """
    folder, records = Path(folder), {}
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/seed_*.json")]):
        name, *repeat = path.relative_to(folder).with_suffix("").parts
        if names is not None and name not in names:
            continue
        if repeat and repeat[0] != "seed_0":
            name = f"{name}, {repeat[0].replace('_', ' ')}"
        records[name] = load_card(path)
    return records


def cost_table(cards: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row per trained thing, columns `COLUMNS`; parameters given per network are summed; unknown is
    missing.
    """
    rows = []
    for name, card in cards.items():
        row = {column: card.get(column) for column in COLUMNS} | {"name": name}
        if isinstance(row["parameters"], Mapping):
            row["parameters"] = sum(row["parameters"].values())
        row["commit"] = str(row["commit"])[:12] if row["commit"] else None
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
    """Number of trained things and their training time together."""
    seconds = float(pd.to_numeric(costs.seconds, errors="coerce").sum())
    hours, minutes = int(seconds // 3600), (seconds % 3600) / 60
    spent = f"{hours} h {minutes:.0f} min" if hours else f"{minutes:.1f} min"
    return f"{len(costs)} trained networks, {spent} of training altogether."


def write_costs(costs: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write costs.csv, costs.md and costs.html into `folder`."""
    contents = {"csv": costs_csv(costs), "md": costs_markdown(costs), "html": costs_html(costs)}
    paths = [Path(folder) / f"costs.{suffix}" for suffix in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_text(path, content)
    return paths


def _formatted(costs: pd.DataFrame) -> list[list[str]]:
    return [
        ["–" if pd.isna(value) else COLUMNS[column][1].format(value) for column, value in row.items()]
        for row in costs.to_dict("records")
    ]
