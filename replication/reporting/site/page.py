"""The page that joins everything: reports/index.html, one file that can be mailed.

Pictures are embedded, styles are inline, nothing is fetched (a content security policy forbids it). Links to
notebooks and CSV files are relative to `reports/`, so they work where the folder is whole.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from replication.atomic import write_text
from replication.drawing.style import read_description
from replication.errors import InputError
from replication.papers import PAPERS, load_figures
from replication.reporting.site.choices import Choice, choices_html
from replication.reporting.site.runs import ShownRun, runs_html
from replication.reporting.site.style import CLAIMS_STYLE, STYLE
from replication.reporting.tables.conditions import conditions_of, made_by
from replication.reporting.tables.formats import conditions_html, table_anchor, to_html
from replication.reporting.tables.results import ResultTable

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_CURVES = "curves"  # folder of the training curves beside those of the papers


@dataclass(frozen=True)
class Section:
    """A further part of the page. anchor: letters, digits, - and _; body: HTML, escaped by the caller."""

    anchor: str
    title: str
    body: str


def build_site(
    *,
    reports: str | Path,
    tables: Sequence[ResultTable],
    runs: Sequence[ShownRun] = (),
    choices: Mapping[str, Sequence[Choice]] | None = None,
    sections: Sequence[Section] = (),
    notebooks: Sequence[str] | None = None,
    title: str = "Face inpainting, measured again",
) -> Path:
    """Write `reports/index.html` and return its path.

    tables: of all papers, in their order. runs: every run that a protocol measures. choices: paper -> what stands
    folded beside its tables and figures. sections: more parts (claims, other papers), placed after the tables.
    notebooks: executed ones that the pipeline makes, as paths below `reports`; by default those that are there. From
    `reports/` itself come the figures (figures/<paper>/*.png written by `style.save_figure`, with their words inside;
    figures/curves/*.png form the training part) and the files to download (tables/*/*, metrics/*.json). What trainings
    cost is on a page of its own, which this one links to: no time and no commit is here, so that equal inputs give
    equal bytes. Raises InputError for an anchor that is not an identifier
    or is used twice.
    """
    reports, choices = Path(reports), choices or {}
    results = _ordered(reports / "figures")
    curves = sorted((reports / "figures" / _CURVES).glob("*.png"))
    made = sorted((reports / "notebooks").rglob("*.html")) if notebooks is None else [reports / n for n in notebooks]
    parts = [
        Section("tables", "Tables", _tables(tables, choices)),
        *sections,
        Section("figures", "Figures", _figures(results, reports, choices)),
        Section("runs", "All runs", runs_html(runs)),
        Section("training", "Training curves", _figures(curves, reports, {})),
        Section("costs", "Cost of training", _COSTS),
        Section("notebooks", "Notebooks", _links(made, reports)),
        Section("downloads", "Files", _downloads(reports)),
        Section("reading", "How to read this", _READING),
        Section("records", "How each result was made", _record_table(runs)),
    ]
    parts = [part for part in parts if part.body]
    anchors = [part.anchor for part in parts]
    for anchor in anchors:
        if not re.fullmatch(r"[A-Za-z][\w-]*", anchor) or anchors.count(anchor) > 1:
            raise InputError(f"section anchor {anchor!r} must be an identifier that is used once.")
    path = reports / "index.html"
    write_text(path, _page(title, _overview(runs), parts, _contents(parts, tables, results)))
    return path


def _page(title: str, overview: str, parts: Sequence[Section], contents: str) -> str:
    body = "\n".join(
        f'<section id="{part.anchor}" aria-labelledby="{part.anchor}-title">\n'
        f'<h2 id="{part.anchor}-title">{html.escape(part.title)}</h2>\n{part.body}\n</section>'
        for part in parts
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{html.escape(title)}</title>
<style>
{STYLE}{CLAIMS_STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<nav aria-label="Contents">{contents}</nav>
<main id="main">
<header>
<h1>{html.escape(title)}</h1>
{overview}
</header>
{body}
</main>
</body>
</html>
"""


def _overview(runs: Sequence[ShownRun]) -> str:
    """What was run, at the top: merged over all runs."""
    records = _records(runs)
    merged = conditions_of(records)
    words = [
        "<p>Tables and figures of published face-inpainting papers, measured by one pipeline and laid beside "
        "what the papers print.</p>"
    ]
    if merged.notice:
        words.append(f'<p class="notice" role="note">{html.escape(merged.notice)}</p>')
    lines = [f"{label}: {value}" for label, value in merged.items]
    lines.append(f"Runs: {len(records)} of {len(runs)} measured")
    words.append(conditions_html(lines))
    return "\n".join(words)


def _records(runs: Iterable[ShownRun]) -> dict[str, Mapping[str, Any]]:
    return {one.name: made_by(one.metrics) for one in sorted(runs, key=lambda one: one.name) if one.metrics is not None}


def _tables(tables: Sequence[ResultTable], choices: Mapping[str, Sequence[Choice]]) -> str:
    """The tables, below the name of their paper where there are several."""
    papers, blocks = list(dict.fromkeys(table.paper for table in tables)), []
    for paper in papers:
        if len(papers) > 1:
            blocks.append(f'<p class="of">{html.escape(PAPERS.get(paper, paper))}</p>')
        for table in (table for table in tables if table.paper == paper):
            folded = choices_html(choices.get(paper, ()), f"table{table.layout.number}", "this table")
            blocks.append(to_html(table) + folded)
    return "\n".join(blocks)


def _contents(parts: Sequence[Section], tables: Sequence[ResultTable], pictures: Sequence[Path]) -> str:
    inner = {
        "tables": [(table_anchor(t), f"Table {t.layout.number}. {t.layout.title}") for t in tables],
        "figures": [(_anchor(path), read_description(path)["title"] or path.stem) for path in pictures],
    }
    items = []
    for part in parts:
        links = inner.get(part.anchor, [])
        under = "".join(f'<li><a href="#{a}">{html.escape(text)}</a></li>' for a, text in links)
        nested = f"<ul>{under}</ul>" if under else ""
        items.append(f'<li><a href="#{part.anchor}">{html.escape(part.title)}</a>{nested}</li>')
    return f"<ul>{''.join(items)}</ul>"


def _ordered(figures: Path) -> list[Path]:
    """The pictures of all papers, in the order of the papers and of their figures; unknown ones follow by name."""
    found = []
    for paper in PAPERS:
        order = [one.name for one in load_figures(paper)]
        pictures = (figures / paper).glob("*.png")
        found += sorted(pictures, key=lambda p: (order.index(p.stem) if p.stem in order else len(order), p.stem))
    return found


def _anchor(path: Path) -> str:
    return "figure-" + re.sub(r"[^\w-]+", "-", f"{path.parent.name}-{path.stem}")


def _figures(paths: Sequence[Path], reports: Path, choices: Mapping[str, Sequence[Choice]]) -> str:
    blocks = []
    for path in paths:
        words = {key: html.escape(text) for key, text in read_description(path).items()}
        title = words["title"] or html.escape(path.stem)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        files = [path, *(p for p in [path.with_suffix(".svg")] if p.is_file())]
        links = " · ".join(f'<a href="{_url(p, reports)}">{p.suffix[1:].upper()}</a>' for p in files)
        blocks.append(
            f'<figure id="{_anchor(path)}">\n<div class="picture">'
            f'<img alt="{words["alt"] or title}" src="data:image/png;base64,{data}"></div>\n'
            f"<figcaption><b>{title}.</b> {words['caption']} <small>{links}</small></figcaption>\n</figure>"
            + choices_html(choices.get(path.parent.name, ()), path.stem, "this figure")
        )
    return "\n".join(blocks)


def _url(path: Path, reports: Path) -> str:
    """Relative and percent-encoded, since a file name may hold characters that HTML or a URL interpret."""
    return html.escape(quote(path.relative_to(reports).as_posix()))


def _links(paths: Iterable[Path], reports: Path) -> str:
    items = [
        f'<li><a href="{_url(path, reports)}">{html.escape(path.relative_to(reports).as_posix())}</a></li>'
        for path in paths
    ]
    return f'<ul class="files">{"".join(items)}</ul>' if items else ""


def _downloads(reports: Path) -> str:
    paths = [p for p in sorted((reports / "tables").glob("*/*")) if p.suffix in {".csv", ".md", ".tex"}]
    paths += [p for p in [reports / "claims.csv"] if p.is_file()]
    return _links([*paths, *sorted((reports / "metrics").glob("*.json"))], reports)


def _record_table(runs: Sequence[ShownRun]) -> str:
    """Every run with the record of how it was made: all fields that fit into a cell."""
    records = _records(runs)
    if not records:
        return "<p>No run has been measured.</p>"
    hidden = {"protocol", "intervals", "per_seed", "note", "frechet"}  # too long for a cell, or said elsewhere
    fields = [key for key in dict.fromkeys(key for r in records.values() for key in r) if key not in hidden]
    head = "".join(f'<th scope="col">{html.escape(key.replace("_", " "))}</th>' for key in ("run", *fields))
    rows = []
    for name, record in records.items():
        cells = "".join(f'<td class="text">{html.escape(_short(record.get(key)))}</td>' for key in fields)
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    caption = (
        "The record that each result keeps of how it was made. Code: digest of all modules that decide it. When and at "
        "which commit a file was made, `python -m replication provenance FILE` tells."
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Records, scrolls sideways">\n'
        f'<table class="grid"><caption><span>{html.escape(caption)}</span></caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_short(one)}" for key, one in value.items())
    text = "" if value is None else str(value)
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{41,}", text) else text


_COSTS = (
    '<p>Time, speed and memory of every training are on <a href="costs/costs.html">a page of their own</a>, which '
    "<code>python -m replication costs</code> writes: they differ from machine to machine, and no result depends on "
    "them.</p>"
)

_READING = """
<dl>
<dt>Mask ratio</dt><dd>Share of the picture that is hole: more than 1 up to 20%, 20 up to 40%, 40 up to 60%.
Every method completes the same stored pairs of picture and mask; known pixels are kept, only the hole is
filled.</dd>
<dt>L1 (%) ↓</dt><dd>Mean absolute difference to the true picture over all pixels, in percent of the value
range.</dd>
<dt>PSNR ↑, SSIM ↑</dt><dd>Peak signal-to-noise ratio in dB and structural similarity, per picture, then
averaged. They reward blurred averages: read them together with the pictures.</dd>
<dt>FID ↓ or FD ↓</dt><dd>Fréchet distance between completed and true pictures in a network's features. It
is called FID only with the published Inception weights; with any other network it is FD, on another scale.
It depends on the number of pictures.</dd>
<dt>Measured and paper</dt><dd>Each cell shows the measured value and below it the paper's. Bold: a
measured value whose lead over every other row is beyond chance. Underlined: best value that the paper prints.
Equal printed values share the mark.</dd>
<dt>Not run</dt><dd>The paper has the row; this run of the pipeline has not measured it.</dd>
<dt>Not in the paper</dt><dd>The row of a system or a run that the paper does not have, measured like the others.</dd>
<dt>Change against Full</dt><dd>What a part of the method is worth: the variant without it minus the full
method. The sign is what a small experiment can hope to reproduce. One training run per variant cannot tell
a small difference from the luck of the seed.</dd>
</dl>
"""
