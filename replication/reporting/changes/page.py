"""A comparison of two revisions as one HTML page: self-contained, nothing is fetched, equal diffs give equal bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from replication.drawing.escaping import html_text
from replication.reporting.changes.rows import (
    HEAD,
    IMPROVED,
    VERDICTS,
    WORSE,
    RevisionChanges,
    Row,
    grouped,
    hash_text,
    value_text,
)
from replication.reporting.site.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_REACH = 40.0  # half of the axis of an effect, in half-widths of the row's own interval
_WIDTH, _HEIGHT = 130, 18  # of the drawing of an effect, pixels

_STYLE = """\
body { display: block; }
h1 { margin-bottom: .2rem; }
.revisions { font-size: 1.1rem; color: var(--muted); margin: 0 0 1.2rem; }
.revisions b { color: var(--ink); font-weight: 600; }
.banner { border-left: 5px solid var(--muted); background: var(--soft); border-radius: 4px; padding: .8rem 1.1rem;
  margin: 0 0 1.2rem; }
.banner p { margin: 0; max-width: none; }
.banner strong { font-size: 1.15rem; }
.banner.worse { border-color: var(--bad); }
.banner.improved { border-color: var(--good); }
.worse { color: var(--bad); }
.improved { color: var(--good); }
.moved, .unknown { color: color-mix(in srgb, var(--warn-line) 72%, var(--ink)); }
.once-worse, .once-improved, .once-moved { color: var(--accent); }
.chance, .few, .unjudged, .unchanged { color: var(--muted); }
.banner.worse, .banner.improved, .banner.plain { color: inherit; }
table.grid td.text, table.grid thead th.text { text-align: left; }
table.grid td.verdict { text-align: left; font-weight: 600; }
table.grid th[scope="rowgroup"] { max-width: none; }
table.matrix td { text-align: center; padding: .28rem .3rem; min-width: 2.1rem; }
table.matrix thead th { font-weight: 500; font-size: .78rem; padding: .3rem .35rem; }
table.matrix thead tr:first-child th { font-weight: 600; font-size: .84rem; }
table.matrix .first { border-left: 2px solid var(--line); }
table.matrix td.worse { background: color-mix(in srgb, var(--bad) 20%, transparent); font-weight: 700; }
table.matrix td.improved { background: color-mix(in srgb, var(--good) 18%, transparent); font-weight: 700; }
table.matrix td.moved, table.matrix td.unknown { background: var(--warn); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; font-size: .84rem; color: var(--muted); margin: 0;
  max-width: none; }
svg.effect { display: block; }
svg .axis { stroke: var(--muted); stroke-width: 1; }
svg .whisker { stroke: currentColor; stroke-width: 1.6; }
svg .point { fill: currentColor; }
table.changed td { text-align: left; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .8rem;
  white-space: normal; overflow-wrap: anywhere; }
table.changed th { text-align: left; }
ol.notes { font-size: .86rem; color: var(--muted); padding-left: 1.4rem; }
ul.plain { padding-left: 1.2rem; }
ul.plain li { margin: .25rem 0; }
summary { cursor: pointer; color: var(--accent); margin: 1rem 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); font-size: .86rem; color: var(--muted); }
"""


def to_page(diff: RevisionChanges) -> str:
    """The whole page; every number is on it, those without a change folded away."""
    notable = [row for row in diff.rows if row.notable]
    notes = diff.numbered_notes(diff.rows)
    parts = [_header(diff)]
    if diff.rows:
        parts += ["<h2>Overview</h2>", _matrix(diff.rows)]
    if notable:
        parts += [
            "<h2>Changes</h2>",
            _table(notable, notes),
        ]
    parts += ["<h2>Code, parameters, data</h2>", _sources(diff)]
    if diff.gaps:
        items = "".join(
            f'<li class="{"worse" if gap.broken else ""}">{html_text(text)}</li>' for gap, text in grouped(diff.gaps)
        )
        parts += ["<h2>Not compared</h2>", f'<ul class="plain">{items}</ul>']
    if len(notable) < len(diff.rows):
        parts.append(f"<details><summary>All {len(diff.rows)} numbers</summary>{_table(diff.rows, notes)}</details>")
    if notes:
        items = "".join(f"<li>{html_text(note)}</li>" for note in notes)
        parts += ["<h2>Notes</h2>", f'<ol class="notes">{items}</ol>']
    parts.append("<footer>" + "".join(f"<p>{html_text(text)}</p>" for text in diff.method()) + "</footer>")
    body = "\n".join(parts)
    title = html_text(f"{diff.old} → {diff.new}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{title}</title>
<style>
{STYLE}{_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _header(diff: RevisionChanges) -> str:
    missing = "".join(f"<p>{html_text(text)}</p>" for text in diff.unpaired)
    tone = "worse" if diff.count(WORSE) else ("improved" if diff.count(IMPROVED) else "plain")
    return (
        "<header><h1>What changed</h1>"
        f'<p class="revisions"><b>{html_text(diff.old)}</b> → <b>{html_text(diff.new)}</b></p>'
        f'<div class="banner {tone}" role="status"><p><strong>{html_text(diff.headline())}</strong></p>'
        f"<p>{html_text(diff.tally())}</p>{missing}</div></header>"
    )


def _matrix(rows: Sequence[Row]) -> str:
    """Runs down, buckets and metrics across, one sign a number."""
    names = {row.metric: row.name for row in rows}
    columns = [(b, m, name) for b in dict.fromkeys(row.bucket for row in rows) for m, name in names.items()]
    present = {(row.bucket, row.metric) for row in rows}
    columns = [column for column in columns if column[:2] in present]
    heads: dict[str, int] = {}
    for bucket, *_ in columns:
        heads[bucket] = heads.get(bucket, 0) + 1
    cells = {(row.run, row.bucket, row.metric): row for row in rows}
    lines = [
        '<div class="scroll" tabindex="0" role="region" aria-label="Overview, scrolls sideways">',
        '<table class="grid matrix"><thead><tr><th scope="col" rowspan="2">run</th>',
        *(
            f'<th class="first" scope="colgroup" colspan="{width}">{html_text(bucket)} holes</th>'
            for bucket, width in heads.items()
        ),
        "</tr><tr>",
    ]
    first = {next(i for i, column in enumerate(columns) if column[0] == bucket) for bucket in heads}
    edge = ['class="first"' if i in first else "" for i in range(len(columns))]
    lines += [f'<th {edge[i]} scope="col">{html_text(name)}</th>' for i, (_, _, name) in enumerate(columns)]
    lines.append("</tr></thead><tbody>")
    for run in dict.fromkeys(row.run for row in rows):
        lines.append(f'<tr><th scope="row">{html_text(run)}</th>')
        for i, (bucket, metric, _) in enumerate(columns):
            row = cells.get((run, bucket, metric))
            side = " first" if i in first else ""
            if row is None:
                lines.append(f'<td class="chance{side}" title="not compared">–</td>')
                continue
            sign, words = row.verdict_text.split(" ", 1)
            values = row.cells()
            title = f"{values[2]}: {values[3]} → {values[4]} ({values[5]}) {values[6]}"
            lines.append(
                f'<td class="{row.verdict}{side}" title="{html_text(title.strip())}">{sign}'
                f'<span class="unseen"> {words}</span></td>'
            )
        lines.append("</tr>")
    used = {row.verdict for row in rows}
    legend = "".join(f'<span class="{v}">{VERDICTS[v]}</span>' for v in VERDICTS if v in used)
    missing = "" if len(cells) == len(columns) * len({row.run for row in rows}) else "<span>– not compared</span>"
    lines.append(f'</tbody></table></div><p class="legend">{legend}{missing}</p>')
    return "\n".join(lines)


def _table(rows: Sequence[Row], notes: dict[str, int]) -> str:
    heads = [*HEAD[:7], "effect", *HEAD[7:]]
    text_columns = {0, 1, 2, 7, 8, 9}
    lines = [
        '<div class="scroll" tabindex="0" role="region" aria-label="Table, scrolls sideways"><table class="grid">',
        "<caption>Effect: the change and its interval, to the right of the line if better; far values are drawn "
        "closer.</caption>",
        "<thead><tr>",
        *(f'<th scope="col"{_text(i in text_columns)}>{html_text(head)}</th>' for i, head in enumerate(heads)),
        "</tr></thead>",
    ]
    for run in dict.fromkeys(row.run for row in rows):
        own = [row for row in rows if row.run == run]
        head = f'<th scope="rowgroup" rowspan="{len(own)}">{html_text(run)}</th>'
        lines.append("<tbody>")
        for i, row in enumerate(own):
            _, *cells = row.cells([notes[note] for note in row.notes])
            lines.append(f"<tr>{'' if i else head}")
            lines += [f"<td{_text(j < 2)}>{html_text(cell)}</td>" for j, cell in enumerate(cells[:6])]
            lines.append(f'<td class="{row.verdict}">{_effect(row)}</td>')
            lines.append(f'<td class="verdict {row.verdict}">{html_text(cells[6])}</td>')
            lines.append(f'<td class="text">{html_text(cells[7])}</td></tr>')
        lines.append("</tbody>")
    lines.append("</table></div>")
    return "\n".join(lines)


def _text(yes: bool) -> str:
    return ' class="text"' if yes else ""


def _effect(row: Row) -> str:
    """The change and its interval on an axis whose unit is half of that interval; to the right is better.

    asinh keeps both a change of one unit and one of thirty readable; what lies further out becomes an arrow.
    """
    if row.interval is None:
        return ""
    low, high = row.interval
    unit = max(row.change - low, high - row.change) or abs(row.change) / (2 * _REACH) or 1.0
    sign = row.better or 1

    def x(value: float) -> float:
        place = math.asinh(sign * value / unit) / math.asinh(_REACH)
        return (_WIDTH / 2) * (1 + max(-1.0, min(1.0, place)))

    ends = sorted((x(low), x(high)))
    y, tip = _HEIGHT / 2, 6 if sign * row.change > 0 else -6
    edge = _WIDTH - 2 if tip > 0 else 2
    if abs(row.change) > _REACH * unit:
        point = f'<path class="point" d="M{edge - tip} {y - 5:g}L{edge} {y:g}L{edge - tip} {y + 5:g}Z"/>'
    else:
        point = f'<circle class="point" cx="{x(row.change):.1f}" cy="{y:g}" r="3.6"/>'
    return (
        f'<svg class="effect" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">'
        f'<line class="axis" x1="{_WIDTH / 2:g}" x2="{_WIDTH / 2:g}" y1="0" y2="{_HEIGHT}"/>'
        f'<line class="whisker" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:g}" y2="{y:g}"/>{point}</svg>'
    )


def _sources(diff: RevisionChanges) -> str:
    lines = [f"<li>{html_text(f'{title}: {text}')}</li>" for title, text in diff.sources()]
    if diff.layouts:
        lines.append(f"<li>parameters: {html_text(diff.layouts)}</li>")
    if unchanged := diff.unchanged():
        lines.append(f"<li>{' and '.join(unchanged)}: unchanged</li>")
    parts = [f'<ul class="plain">{"".join(lines)}</ul>']
    if diff.parameters:
        parts.append(_changed("parameter", diff.parameters, value_text))
    if diff.data:
        parts.append(_changed("data", diff.data, hash_text))
    if diff.unrun:
        items = "".join(f"<li>{html_text(text)}</li>" for text in diff.unrun)
        parts.append(f'<p>Edited and not run there:</p><ul class="plain">{items}</ul>')
    return "\n".join(parts)


def _changed(title: str, changed: Sequence[tuple[str, Any, Any]], words: Callable[[Any], str]) -> str:
    rows = "".join(
        f"<tr><td>{html_text(key)}</td><td>{html_text(words(old))}</td><td>{html_text(words(new))}</td></tr>"
        for key, old, new in changed
    )
    return (
        '<div class="scroll"><table class="grid changed"><thead><tr>'
        f"<th>{title}</th><th>old</th><th>new</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
