"""A result table as Markdown, HTML fragment and LaTeX (booktabs).

All three print one grid, built once in the paper's layout: methods are rows in some tables, columns in others. A cell
holds the measured value and, after it, the paper's.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from replication.atomic import write_text
from replication.drawing.escaping import html_text, latex_text, markdown_row, markdown_text
from replication.evaluation.verdicts import Standing
from replication.reporting.tables.captions import LEGEND, change_sentence, header_lines
from replication.reporting.tables.notes import notes_html, notes_latex, notes_markdown
from replication.reporting.tables.results import DIGITS, METRICS, NOT_PRINTED, Metric, ResultTable


@dataclass(frozen=True)
class Head:
    """A header cell; `span` columns wide (in the head) or rows high (in the body)."""

    text: str
    span: int = 1


@dataclass(frozen=True)
class Value:
    """A body cell. mark: "", "agrees" or "differs" (sign of a change against the paper's). spread: "±0.123" or
    "[−0.123, +0.456]", or "" where it is not known."""

    measured: str
    paper: str
    spread: str = ""
    best: bool = False
    paper_best: bool = False
    mark: str = ""


@dataclass
class Grid:
    """stub: titles of the row-header columns; head: rows of column headers above the values;
    body: per row, its row headers (None where a spanning one above covers it) and its values."""

    stub: list[str]
    head: list[list[Head]]
    body: list[tuple[list[Head | None], list[Value]]] = field(default_factory=list)


def table_grid(table: ResultTable) -> Grid:
    """The table in the paper's layout."""
    cells = table.cells
    by_key = {(c.dataset, c.method, c.mask_ratio, c.metric): c for c in cells.itertuples()}
    methods, ratios = list(dict.fromkeys(cells.method)), list(dict.fromkeys(cells.mask_ratio))
    metrics = [m for m in METRICS if m.key in set(cells.metric)]

    def value(dataset: str, method: str, ratio: str, metric: str) -> Value:
        cell = by_key.get((dataset, method, ratio, metric))
        if cell is None:
            return Value("–", "–")
        return Value(
            _measured(cell.status, cell.measured),
            number_text(cell.paper),
            _spread(cell),
            best=cell.best_measured,
            paper_best=cell.best_paper,
        )

    if table.layout.methods_in_rows:
        head = [
            [Head(_metric_label(table, m), len(ratios)) for m in metrics],
            [Head(r) for r in ratios] * len(metrics),
        ]
        grid = Grid(["Data set", "Method"], head)
        instead = table.conditions.stand_in
        for dataset in dict.fromkeys(cells.dataset):
            shown = f"{dataset} (measured: {instead})" if instead else dataset
            own = list(dict.fromkeys(cells[cells.dataset == dataset].method))
            for i, method in enumerate(own):
                stub = [Head(shown, len(own)) if i == 0 else None, Head(_shown(table, method, dataset))]
                grid.body.append((stub, [value(dataset, method, r, m.key) for m in metrics for r in ratios]))
        return grid
    (dataset,) = dict.fromkeys(cells.dataset)
    grid = Grid(["Mask ratio", "Metric"], _method_head(table, methods))
    for ratio in ratios:
        for i, metric in enumerate(metrics):
            stub = [Head(ratio, len(metrics)) if i == 0 else None, Head(_metric_label(table, metric))]
            grid.body.append((stub, [value(dataset, method, ratio, metric.key) for method in methods]))
    return grid


def change_grid(table: ResultTable) -> Grid | None:
    """The second block of an ablation table: each variant minus `layout.against`."""
    if table.changes is None:
        return None
    changes = table.changes
    methods, ratios = list(dict.fromkeys(changes.method)), list(dict.fromkeys(changes.mask_ratio))
    metrics = [m for m in METRICS if m.key in set(changes.metric)]
    by_key = {(c.method, c.mask_ratio, c.metric): c for c in changes.itertuples()}
    grid = Grid(["Mask ratio", "Metric"], _method_head(table, methods))
    for ratio in ratios:
        for i, metric in enumerate(metrics):
            values = []
            for method in methods:
                cell = by_key[method, ratio, metric.key]
                measured = _measured(cell.status, cell.measured, signed=True)
                paper = number_text(cell.paper, signed=True)
                beyond = cell.standing == Standing.BEYOND_CHANCE
                values.append(Value(measured, paper, _interval(cell), best=beyond, mark=cell.agreement))
            stub = [Head(ratio, len(metrics)) if i == 0 else None, Head(_metric_label(table, metric))]
            grid.body.append((stub, values))
    return grid


# ------------------------------------------------------------------------------------------------ Markdown


def to_markdown(table: ResultTable) -> str:
    """The table as a Markdown section: heading, notice, header, grid, block of changes."""
    parts = [f"## Table {table.layout.number}. {markdown_text(table.layout.title)}"]
    if table.conditions.notice:
        parts.append(f"> **{markdown_text(table.conditions.notice)}**")
    parts.append("\n".join(f"- {markdown_text(line)}" for line in header_lines(table)))
    parts.append(f"{LEGEND}, in parentheses and in italics where it is the best printed one.")
    parts.append(_grid_markdown(table_grid(table)))
    changes = change_grid(table)
    if changes is not None:
        parts.append(f"### Change against {markdown_text(table.layout.against or '')}")
        parts += [markdown_text(change_sentence(table)), _grid_markdown(changes)]
    parts += notes_markdown(table)
    return "\n\n".join(parts) + "\n"


def _grid_markdown(grid: Grid) -> str:
    # Markdown has one header row and no spans: column titles are joined, row titles repeated.
    titles = [" ".join(filter(None, path)) for path in _column_paths(grid)]
    lines = [
        markdown_row([markdown_text(text) for text in (*grid.stub, *titles)]),
        markdown_row(["---"] * len(grid.stub) + ["---:"] * len(titles)),
    ]
    above: list[str] = [""] * len(grid.stub)
    for stub, values in grid.body:
        above = [markdown_text(head.text) if head else above[i] for i, head in enumerate(stub)]
        lines.append(markdown_row([*above, *map(_value_markdown, values)]))
    return "\n".join(lines)


def _value_markdown(value: Value) -> str:
    measured = f"**{value.measured}**" if value.best else value.measured
    measured += f" {value.spread}" if value.spread else ""
    paper = f"_{value.paper}_" if value.paper_best else value.paper
    return f"{measured} ({paper}){_MARKS[value.mark]}"


# ------------------------------------------------------------------------------------------------ HTML


def to_html(table: ResultTable) -> str:
    """The table as an HTML fragment (a <section> with id `PAPER-tableN`), escaped, readable without CSS."""
    number, anchor = table.layout.number, table_anchor(table)
    parts = [f'<section class="result" id="{anchor}" aria-labelledby="{anchor}-title">']
    parts.append(f'<h3 id="{anchor}-title">Table {number}. {html_text(table.layout.title)}</h3>')
    if table.conditions.notice:
        parts.append(f'<p class="notice">{html_text(table.conditions.notice)}</p>')
    parts.append(conditions_html(header_lines(table)))
    parts += ['<div class="pair">', _grid_html(table_grid(table), f"{LEGEND}, best underlined.")]
    changes = change_grid(table)
    if changes is not None:
        parts.append(_grid_html(changes, change_sentence(table)))
    parts += ["</div>", *notes_html(table), "</section>"]
    return "\n".join(parts) + "\n"


def table_anchor(table: ResultTable) -> str:
    """The id of a table's section on a page that may hold tables of several papers."""
    return f"{table.paper}-table{table.layout.number}"


def conditions_html(lines: list[str]) -> str:
    """Header lines as a compact list; "label: value" lines get their label set apart."""
    items = []
    for line in lines:
        label, colon, value = line.partition(": ")
        if colon and len(label) < 30:
            items.append(f"<li><b>{html_text(label)}</b> {html_text(value)}</li>")
        else:
            items.append(f"<li>{html_text(line)}</li>")
    return '<ul class="conditions">' + "".join(items) + "</ul>"


def _grid_html(grid: Grid, caption: str) -> str:
    rows = [
        '<div class="scroll" tabindex="0" role="region" aria-label="Table, scrolls sideways">',
        '<table class="grid">',
    ]
    rows.append(f"<caption><span>{html_text(caption)}</span></caption>")
    rows.append("<thead>")
    for i, heads in enumerate(grid.head):
        stub = ""
        if i == 0:
            stub = "".join(f'<th scope="col" rowspan="{len(grid.head)}">{html_text(text)}</th>' for text in grid.stub)
        cells = "".join(
            f'<th scope="{"colgroup" if head.span > 1 else "col"}" colspan="{head.span}">{html_text(head.text)}</th>'
            for head in heads
        )
        rows.append(f"<tr>{stub}{cells}</tr>")
    rows.append("</thead>")
    for i, (stub, values) in enumerate(grid.body):
        if stub[0] is not None:
            rows.append(("</tbody>" if i else "") + "<tbody>")
        heads = "".join(
            f'<th scope="{"rowgroup" if head.span > 1 else "row"}" rowspan="{head.span}">{html_text(head.text)}</th>'
            for head in stub
            if head is not None
        )
        rows.append(f"<tr>{heads}{''.join(map(_value_html, values))}</tr>")
    rows += ["</tbody>", "</table>", "</div>"]
    return "\n".join(rows)


def _value_html(value: Value) -> str:
    kind = "not-run" if value.measured == "not run" else "measured"
    measured = html_text(value.measured)
    measured = f"<strong>{measured}</strong>" if value.best else measured
    measured += f' <small class="spread">{html_text(value.spread)}</small>' if value.spread else ""
    paper = f"<u>{html_text(value.paper)}</u>" if value.paper_best else html_text(value.paper)
    mark = ""
    if value.mark:
        words = {"agrees": "same sign as the paper", "differs": "opposite sign to the paper"}[value.mark]
        mark = f' <span class="{value.mark}" role="img" aria-label="{words}">{_MARKS[value.mark].strip()}</span>'
    return (
        f'<td><span class="{kind}">{measured}</span>{mark}<br>'
        f'<span class="paper"><span class="unseen">paper: </span>{paper}</span></td>'
    )


# ------------------------------------------------------------------------------------------------ LaTeX


def to_latex(table: ResultTable) -> str:
    r"""The table as LaTeX; needs only \usepackage{booktabs} (measured above, the paper's small below)."""
    number, changes = table.layout.number, change_grid(table)
    notes = [line if line.endswith(".") else f"{line}." for line in header_lines(table)]
    parts = [r"\begin{table*}[t]", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"]
    notice = rf" \textbf{{{latex_text(table.conditions.notice)}}}" if table.conditions.notice else ""
    legend = latex_text(f"{LEGEND}, best underlined. {' '.join(notes)}")
    parts.append(rf"\caption{{{latex_text(table.layout.title)} (Table {number} of the paper).{notice} {legend}}}")
    parts.append(rf"\label{{tab:{table.paper}{number}}}")
    parts.append(_grid_latex(table_grid(table)))
    if changes is not None:
        sentence = rf"\parbox{{\linewidth}}{{\footnotesize {latex_text(change_sentence(table))}}}"
        parts += [r"\par\medskip", sentence, r"\par\smallskip", _grid_latex(changes)]
    parts += [*notes_latex(table), r"\end{table*}"]
    return "\n".join(parts) + "\n"


def _grid_latex(grid: Grid) -> str:
    width, stub = len(grid.body[0][1]), len(grid.stub)
    lines = [rf"\begin{{tabular}}{{{'l' * stub}{'c' * width}}}", r"\toprule"]
    for i, heads in enumerate(grid.head):
        last = i == len(grid.head) - 1
        cells = [latex_text(text) if last else "" for text in grid.stub]
        rules, column = [], stub + 1
        for head in heads:
            text = latex_text(head.text)
            cells.append(rf"\multicolumn{{{head.span}}}{{c}}{{{text}}}" if head.span > 1 else text)
            if head.span > 1:
                rules.append(rf"\cmidrule(lr){{{column}-{column + head.span - 1}}}")
            column += head.span
        lines.append(" & ".join(cells) + r" \\" + " ".join(["", *rules]).rstrip())
    lines.append(r"\midrule")
    for i, (heads, values) in enumerate(grid.body):
        if i and heads[0] is not None:
            lines.append(r"\midrule")
        cells = [latex_text(head.text) if head else "" for head in heads] + [_value_latex(value) for value in values]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _value_latex(value: Value) -> str:
    measured = rf"\textbf{{{latex_text(value.measured)}}}" if value.best else latex_text(value.measured)
    measured += rf" {{\tiny {latex_text(value.spread)}}}" if value.spread else ""
    paper = rf"\underline{{{latex_text(value.paper)}}}" if value.paper_best else latex_text(value.paper)
    return rf"\shortstack{{{measured}{latex_text(_MARKS[value.mark])}\\{{\scriptsize {paper}}}}}"


# ------------------------------------------------------------------------------------------------ shared


def write_table(table: ResultTable, folder: str | Path) -> list[Path]:
    """Write table<N>.csv, .md, .html and .tex into `folder`, the paper's own; return their paths."""
    contents = {
        "csv": table.to_csv(),
        "md": to_markdown(table),
        "html": to_html(table),
        "tex": to_latex(table),
    }
    paths = []
    for suffix, content in contents.items():
        path = Path(folder) / f"table{table.layout.number}.{suffix}"
        write_text(path, content)
        paths.append(path)
    return paths


_MARKS = {"": "", "agrees": " ✓", "differs": " ✗"}


def _metric_label(table: ResultTable, metric: Metric) -> str:
    words = metric.label
    if metric.key == "FID" and table.frechet != "FID":
        words = f"{table.frechet} (paper: FID)"
    return f"{words} {metric.arrow}"


def _method_head(table: ResultTable, methods: list[str]) -> list[list[Head]]:
    """Column heads; in two rows where the paper groups its methods, equal neighbours under one head."""
    heads = table.layout.heads
    if not heads:
        return [[Head(_shown(table, method)) for method in methods]]
    paths = [heads.get(method, (NOT_PRINTED, method)) for method in methods]
    groups = [Head(name, len(list(run))) for name, run in itertools.groupby(group for group, _ in paths)]
    return [groups, [Head(head) for _, head in paths]]


def _shown(table: ResultTable, method: str, dataset: str | None = None) -> str:
    """A method's name, marked where the paper has no such row (on this data set)."""
    cells = table.cells[table.cells.method == method]
    printed = (cells if dataset is None else cells[cells.dataset == dataset]).in_paper
    return method if printed.any() else f"{method} ({NOT_PRINTED})"


def _column_paths(grid: Grid) -> list[list[str]]:
    """Per value column, the texts of its heads from top to bottom."""
    expanded = [[head.text for head in heads for _ in range(head.span)] for heads in grid.head]
    return [list(path) for path in zip(*expanded, strict=True)]


def _measured(status: str, value: float, *, signed: bool = False) -> str:
    return "not run" if status == "not run" else number_text(value, signed=signed)


def _spread(cell: Any) -> str:
    """The longer arm of a cell's interval."""
    arm = max(cell.high - cell.measured, cell.measured - cell.low)
    return f"±{arm:.{DIGITS}f}" if math.isfinite(arm) else ""


def _interval(cell: Any) -> str:
    """A cell's interval; of a change both ends are shown, since on which side of zero they lie is the news."""
    if not (math.isfinite(cell.low) and math.isfinite(cell.high)):
        return ""
    return f"[{number_text(cell.low, signed=True)}, {number_text(cell.high, signed=True)}]"


def number_text(value: float, *, signed: bool = False) -> str:
    """A number with the digits of the papers, a true minus sign, and a dash where there is none."""
    if value is None or pd.isna(value):
        return "–"
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:+.{DIGITS}f}" if signed else f"{value:.{DIGITS}f}"
    return text.replace("-", "−")
