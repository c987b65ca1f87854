"""Sentences below a table that systems have to say about how their runs work (`methods.Diagnosis`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replication.drawing.escaping import html_text, latex_text, markdown_text
from replication.methods.registry import function, methods

if TYPE_CHECKING:
    from replication.reporting.tables.results import ResultTable


def notes(table: ResultTable) -> list[str]:
    """The sentences of every system with measured rows in a table that its declaration names, in the order of systems.

    Rows are called as the table calls them; where it has several data sets, with theirs.
    """
    found = []
    for name, one in methods().items():
        said = one.diagnosis
        if said is None or one.paper != table.paper or table.layout.number not in said.tables:
            continue
        runs, several = {}, table.cells.dataset.nunique() > 1
        for cell in table.cells.drop_duplicates(["dataset", "method"]).itertuples():
            record = table.records.get(cell.run, {})
            if record.get("method") == name and record.get("diagnostics"):
                runs[f"{cell.method} on {cell.dataset}" if several else cell.method] = record["diagnostics"]
        found += function(said.sentences)(runs)
    return found


def notes_markdown(table: ResultTable) -> list[str]:
    """The notes as one list in Markdown; empty without any."""
    lines = [f"- {markdown_text(sentence)}" for sentence in notes(table)]
    return ["\n".join(lines)] if lines else []


def notes_html(table: ResultTable) -> list[str]:
    """The notes as one list in HTML; empty without any."""
    items = "".join(f"<li>{html_text(sentence)}</li>" for sentence in notes(table))
    return [f'<ul class="notes">{items}</ul>'] if items else []


def notes_latex(table: ResultTable) -> list[str]:
    r"""The notes as one \parbox in LaTeX; empty without any."""
    text = latex_text(" ".join(notes(table)))
    return [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {text}}}"] if text else []
