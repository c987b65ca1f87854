"""All runs that are measured, in one table a protocol: also those that no paper has a row for."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replication.drawing.escaping import html_text
from replication.reporting.tables.conditions import made_by
from replication.reporting.tables.formats import number_text
from replication.reporting.tables.results import DIGITS, buckets_of


@dataclass(frozen=True)
class ShownRun:
    """A run of params.yaml that a protocol measures. system: its title. dataset: title of the data set. metrics: its
    metrics file, None where it was not measured yet. links: (words, address relative to the page)."""

    name: str
    system: str
    dataset: str
    protocol: str
    metrics: Mapping[str, Any] | None
    links: tuple[tuple[str, str], ...] = ()


def runs_html(runs: Sequence[ShownRun]) -> str:
    """The runs as HTML tables, one a protocol: a row for each run and bucket, a column for each metric."""
    blocks = []
    for protocol in dict.fromkeys(one.protocol for one in runs):
        blocks.append(_protocol(protocol, [one for one in runs if one.protocol == protocol]))
    return "\n".join(blocks)


def _protocol(protocol: str, runs: Sequence[ShownRun]) -> str:
    words: dict[str, Mapping[str, Any]] = {}
    for one in runs:
        if one.metrics is not None:
            stated = made_by(one.metrics).get("protocol", {}).get("metrics", {})
            keys = (key for bucket in buckets_of(one.metrics) for key in one.metrics[bucket])
            words |= {key: stated.get(key, {}) for key in keys if key not in words}
    heads = "".join(f'<th scope="col">{html_text(_head(key, stated))}</th>' for key, stated in words.items())
    body = "\n".join(_run(one, list(words)) for one in runs)
    caption = (
        f"Protocol {protocol}. Each cell: measured value with ± the longer arm of its 95 % interval (over test images "
        "and, where there are several, seeds), where it has one."
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Runs of protocol {html.escape(protocol)}, '
        'scrolls sideways">\n'
        f'<table class="grid runs"><caption><span>{html_text(caption)}</span></caption>\n'
        f'<thead><tr><th scope="col">Run</th><th scope="col">Holes</th>{heads}</tr></thead>\n{body}\n</table></div>'
    )


def _head(key: str, stated: Mapping[str, Any]) -> str:
    arrow = {"higher": " ↑", "lower": " ↓"}.get(str(stated.get("better")), "")
    unit = f" ({stated['unit']})" if stated.get("unit") == "dB" else ""
    return f"{stated.get('label', key)}{unit}{arrow}"


def _run(one: ShownRun, keys: Sequence[str]) -> str:
    links = " · ".join(f'<a href="{html.escape(url)}">{html_text(text)}</a>' for text, url in one.links)
    words = f"{html_text(one.system)}, {html_text(one.dataset)}"
    buckets = buckets_of(one.metrics) if one.metrics is not None else []
    span = max(1, len(buckets))
    name = (
        f'<th scope="{"rowgroup" if span > 1 else "row"}" rowspan="{span}" id="run-{html.escape(one.name)}">'
        f"{html_text(one.name)}<br><small>{words}</small>{f'<br><small>{links}</small>' if links else ''}</th>"
    )
    if one.metrics is None:
        empty = f'<td class="text" colspan="{len(keys) + 1}"><span class="not-run">not measured yet</span></td>'
        return f"<tbody>\n<tr>{name}{empty}</tr>\n</tbody>"
    intervals, rows = made_by(one.metrics).get("intervals", {}), []
    for i, bucket in enumerate(buckets):
        values = "".join(_value(one.metrics[bucket].get(key), intervals.get(bucket, {}).get(key)) for key in keys)
        rows.append(f'<tr>{name if i == 0 else ""}<th scope="row">{html_text(bucket)}</th>{values}</tr>')
    return "<tbody>\n" + "\n".join(rows) + "\n</tbody>"


def _value(value: float | None, interval: Sequence[float] | None) -> str:
    text = number_text(math.nan if value is None else value)
    if value is not None and interval is not None:
        arm = max(interval[1] - value, value - interval[0])
        text += f' <small class="spread">±{arm:.{DIGITS}f}</small>' if math.isfinite(arm) else ""
    return f"<td>{text}</td>"
