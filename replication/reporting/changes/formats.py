"""A comparison of two revisions as an aligned table for the terminal and as Markdown."""

from __future__ import annotations

import textwrap

from replication.drawing.escaping import markdown_row, markdown_text
from replication.reporting.changes.rows import (
    HEAD,
    IMPROVED,
    MOVED,
    ONCE_IMPROVED,
    ONCE_MOVED,
    ONCE_WORSE,
    UNKNOWN,
    WORSE,
    RevisionChanges,
    grouped,
    hash_text,
    value_text,
)

_COLOURS = {WORSE: "31;1", IMPROVED: "32", MOVED: "33", UNKNOWN: "33"} | dict.fromkeys(
    (ONCE_WORSE, ONCE_IMPROVED, ONCE_MOVED), "36"
)
_LISTED = 12  # parameters and hashes that the short form lists


# ------------------------------------------------------------------------------------------------ terminal


def to_text(diff: RevisionChanges, *, every: bool = False, colour: bool = False) -> str:
    """For the terminal. every: also the rows without a change. colour: with ANSI codes."""
    rows = [row for row in diff.rows if every or row.notable]
    notes = diff.numbered_notes(rows)

    def painted(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text

    lines = [painted(f"{diff.old} → {diff.new}", "1")]
    lines += [painted(_wrapped(f"  {text}", "    "), "33;1") for text in diff.unpaired]
    lines += [f"  {title:<10}  {text}" for title, text in diff.sources()]
    for title, changed, words in (("parameters", diff.parameters, value_text), ("data", diff.data, hash_text)):
        shown = changed if every else changed[:_LISTED]
        texts = [f"{key}  {words(old)} → {words(new)}" for key, old, new in shown]
        if len(shown) < len(changed):
            texts.append(f"and {len(changed) - len(shown)} more (--all lists them)")
        if title == "parameters" and diff.layouts:
            texts.append(diff.layouts)
        texts = texts or ["unchanged"]
        lines += [f"  {title if i == 0 else '':<10}  {text}" for i, text in enumerate(texts)]
    shown = diff.unrun if every else diff.unrun[:_LISTED]
    lines += [
        painted(_wrapped(f"  {'not run' if i == 0 else '':<10}  {t}", " " * 14), "33") for i, t in enumerate(shown)
    ]
    if len(shown) < len(diff.unrun):
        lines.append(f"  {'':<10}  and {len(diff.unrun) - len(shown)} more (--all lists them)")
    if rows:
        table = [HEAD, *(row.cells([notes[note] for note in row.notes]) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        numeric = range(3, 7)
        printed = [
            "  ".join(
                c.rjust(w) if i in numeric else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
            )
            for cells in table
        ]
        lines += ["", painted(printed[0].rstrip(), "2")]
        for row, text in zip(rows, printed[1:], strict=True):
            lines.append(painted(text.rstrip(), _COLOURS.get(row.verdict, "")))
    if notes:
        lines += ["", *(_wrapped(f"[{number}] {note}", "    ") for note, number in notes.items())]
    if diff.gaps:
        lines += ["", "Not compared", *(_wrapped(f"  {text}", "    ") for _, text in grouped(diff.gaps))]
    hidden = len(diff.rows) - len(rows)
    verdict = "31;1" if diff.count(WORSE) else ""
    lines += ["", painted(diff.headline(), verdict), diff.tally() + (" (--all lists them)" if hidden else "")]
    return "\n".join([*lines, *map(_wrapped, diff.method())]) + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


# ------------------------------------------------------------------------------------------------ Markdown


def to_markdown(diff: RevisionChanges, *, every: bool = False) -> str:
    """As a Markdown document, for a comment on a change. every: also the rows without a change."""
    rows = [row for row in diff.rows if every or row.notable]
    notes = diff.numbered_notes(rows)
    parts = [
        f"## {markdown_text(f'{diff.old} → {diff.new}')}",
        f"**{markdown_text(diff.headline())}** {markdown_text(diff.tally())}.",
        *map(markdown_text, diff.unpaired),
        "\n".join(f"- {title}: {markdown_text(text)}" for title, text in diff.sources()),
    ]
    if rows:
        table = [
            markdown_row([markdown_text(text) for text in HEAD]),
            markdown_row(["---"] * 3 + ["---:"] * 4 + ["---"] * 2),
        ]
        for row in rows:
            cells = [markdown_text(text) for text in row.cells([notes[note] for note in row.notes])]
            if row.verdict == WORSE:
                cells[7] = f"**{cells[7]}**"
            table.append(markdown_row(cells))
        parts.append("\n".join(table))
    if notes:
        parts.append("\n".join(f"{number}. {markdown_text(note)}" for note, number in notes.items()))
    for title, changed, words in (("parameters", diff.parameters, value_text), ("data", diff.data, hash_text)):
        if changed:
            table = [markdown_row([f"changed {title}", "old", "new"]), markdown_row(["---"] * 3)]
            for key, old, new in changed:
                table.append(markdown_row([markdown_text(text) for text in (key, words(old), words(new))]))
            parts.append("\n".join(table))
    if diff.layouts:
        parts.append(f"Parameters: {markdown_text(diff.layouts)}.")
    if unchanged := diff.unchanged():
        parts.append(f"Unchanged: {' and '.join(unchanged)}.")
    if diff.unrun:
        parts.append("Edited and not run there:\n\n" + "\n".join(f"- {markdown_text(text)}" for text in diff.unrun))
    if diff.gaps:
        parts.append("Not compared:\n\n" + "\n".join(f"- {markdown_text(text)}" for _, text in grouped(diff.gaps)))
    return "\n\n".join([*parts, *map(markdown_text, diff.method())]) + "\n"
