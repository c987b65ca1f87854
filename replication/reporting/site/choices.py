"""What was decided where a paper is silent: each choice beside the tables and figures that it affects.

The lists are the files CHOICES.csv of the systems and of the papers (choices of measurement), with the columns COLUMNS.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from replication.drawing.escaping import html_text
from replication.errors import InputError
from replication.graph.roots import others_of
from replication.methods.registry import file_of, methods
from replication.papers import PAPERS, choices_file

COLUMNS = ("point", "paper", "chosen", "source", "key", "file", "tables")


@dataclass(frozen=True)
class Choice:
    """owner: the system's title, or "data and measurement". says: the paper's words on the point. source: where the
    choice comes from. key: of params.yaml where it can be changed, or empty. file: below replication/. places: "table1"
    or "figure2"; empty where it affects nothing that is shown."""

    owner: str
    point: str
    says: str
    chosen: str
    source: str
    key: str
    file: str
    places: frozenset[str]


def load_choices(paper: str) -> list[Choice]:
    """The choices behind a paper's tables and figures: of its measurement, then of each system that has to do with it.

    Raises:
        InputError: a file has other columns than COLUMNS.
    """
    found = _read(choices_file(paper), "data and measurement", "")
    for name, one in methods().items():
        if paper in papers_behind(name):
            found += _read(file_of(name, "CHOICES.csv"), one.title, f"methods.{name}.")
    return found


def papers_behind(system: str) -> frozenset[str]:
    """The papers that a system's choices have to do with: its own; of a system in no paper's tables those of the ones
    that look through it; where none does (features of the Fréchet distance), all.
    """
    one = methods()[system]
    if one.paper in PAPERS:
        return frozenset({one.paper})
    users = [name for name, other in methods().items() if system in others_of(other)]
    return frozenset().union(*map(papers_behind, users)) if users else frozenset(PAPERS)


def choices_html(choices: Iterable[Choice], place: str, what: str) -> str:
    """The choices that affect a place ("table1", "figure2") as a folded list; nothing where there are none.

    what: the place in words, "this table".
    """
    own = [choice for choice in choices if place in choice.places]
    if not own:
        return ""
    owners = dict.fromkeys(choice.owner for choice in own)
    blocks = [_owner(owner, [choice for choice in own if choice.owner == owner]) for owner in owners]
    return (
        f'<details class="choices"><summary>Choices behind {html_text(what)}: {len(own)}</summary>\n'
        + "\n".join(blocks)
        + "\n</details>\n"
    )


def _owner(owner: str, choices: list[Choice]) -> str:
    """The choices of one system, folded once more."""
    rows = []
    for choice in choices:
        where = "<br>".join(f"<code>{html_text(text)}</code>" for text in (choice.key, choice.file) if text)
        texts = "".join(f"<td>{html_text(text)}</td>" for text in (choice.says, choice.chosen, choice.source))
        rows.append(f'<tr><th scope="row">{html_text(choice.point)}</th>{texts}<td>{where}</td></tr>')
    heads = ("Point", "The paper", "Here", "Why", "Where")
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        f"<details><summary>{html_text(owner)}: {len(choices)}</summary>\n"
        f'<table class="choicelist"><thead><tr>{head}</tr></thead>\n<tbody>\n' + "\n".join(rows) + "\n</tbody></table>"
        "</details>"
    )


def _read(path: Path, owner: str, section: str) -> list[Choice]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(f"{path}: must have the columns {','.join(COLUMNS)}")
        return [
            Choice(
                owner,
                row["point"],
                row["paper"],
                row["chosen"],
                row["source"],
                section + row["key"] if row["key"] else "",
                row["file"],
                frozenset(_place(text.strip()) for text in row["tables"].split(";") if text.strip()),
            )
            for row in reader
        ]


def _place(text: str) -> str:
    return text.replace(" ", "") if text.startswith("figure") else f"table{text}"
