"""Plain text made safe for HTML, Markdown and LaTeX."""

from __future__ import annotations

import html
import re


def html_text(text: str) -> str:
    """Text for HTML, also inside attributes; a loss name L_sem gets its subscript."""
    return re.sub(r"\bL_(\w+)", r"<i>L</i><sub>\1</sub>", html.escape(text))


def markdown_row(cells: list[str]) -> str:
    """A table row of cells that are Markdown already."""
    return "| " + " | ".join(cells) + " |"


def markdown_text(text: str) -> str:
    """Text for Markdown, also inside a table."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text)


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "×": r"$\times$", "−": r"$-$", "–": "--", "✓": r"$\surd$", "✗": r"$\times$",
}  # fmt: skip


def latex_text(text: str) -> str:
    """Text for LaTeX; a loss name L_sem becomes mathematics."""
    pieces = re.split(r"\bL_([A-Za-z]+)", text)
    escaped = ["".join(_TEX.get(letter, letter) for letter in piece) for piece in pieces]
    return "".join(rf"$\mathcal{{L}}_{{\mathrm{{{p}}}}}$" if i % 2 else p for i, p in enumerate(escaped))
