"""The claims as a page: counts first, then claim by claim the paper's own numbers beside what was measured here."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pandas as pd

from replication.drawing.escaping import html_text
from replication.evaluation.verdicts import FEWEST_IMAGES, FEWEST_TRAININGS
from replication.papers import PAPERS, load_claims, load_suspicious, load_unknown
from replication.papers.checks import label
from replication.reporting.claims.judging import CONTRADICTED, DRAWS, SUPPORTED, VERDICTS
from replication.reporting.site.style import CLAIMS_STYLE
from replication.reporting.tables.conditions import conditions_of

# Words carry the verdict; sign and colour only repeat it.
_SIGNS = {
    "supported": "✓",
    "contradicted": "✗",
    "same direction": "↑",
    "opposite here": "↓",
    "not resolved": "≈",
    "one training": "1",
    "two trainings": "2",
    "too few images": "∅",
    "not run": "○",
    "not comparable": "≠",
}
_INLINE_RUNS = 2


def claims_html(claims: pd.DataFrame, metrics: Mapping[str, Mapping[str, Any]], *, root: str = "") -> str:
    """The page's body. claims: as `judge_claims` returns them; metrics: the files that they were judged with; root:
    relative path to `reports/` ("" for the site) that links to runs start with.
    """
    header = conditions_of(metrics)
    parts = ['<div class="claims">']
    if header.notice:
        parts.append(f'<p class="notice" role="note">{html.escape(header.notice)}</p>')
    parts += [_summary(claims), _tally(claims), _reading()]
    for paper, title in PAPERS.items():
        own = claims[claims.paper == paper]
        parts.append(f'<h3 id="claims-{paper}">{html.escape(title)}</h3>')
        if len(own):
            parts.append(_claim_table(own, root))
        else:
            parts.append("<p>No claim that numbers could check: no result of this paper was found in numbers.</p>")
        parts += [_suspicious(paper), _unknown(paper)]
    return "\n".join([*filter(None, parts), "</div>"])


def claims_notebook_html(claims: pd.DataFrame, metrics: Mapping[str, Mapping[str, Any]], *, root: str) -> str:
    """The same with its style sheet, for where the site's is not at hand."""
    return f"<style>\n{CLAIMS_STYLE}</style>\n{claims_html(claims, metrics, root=root)}"


def _summary(claims: pd.DataFrame) -> str:
    good, bad = claims[claims.paper_supports], claims[~claims.paper_supports]
    counts = claims.verdict.value_counts()
    measured = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    names = ", ".join(f'<a href="#{_anchor(c)}">{html.escape(c.id)}</a>' for c in bad.itertuples())
    return (
        f'<p class="lead">The papers\' own printed numbers bear out <b>{len(good)} of {len(claims)}</b> claims and do '
        f"not bear out <b>{len(bad)}</b>: {names}. Measured here: <b>{html.escape(measured)}</b>.</p>"
    )


def _tally(claims: pd.DataFrame) -> str:
    """Counts of the two judgements against each other."""
    given = [verdict for verdict in VERDICTS if (claims.verdict == verdict).any()]
    head = "".join(f'<th scope="col">{_badge(verdict)}</th>' for verdict in given)
    rows = []
    for supports in (True, False):
        own = claims[claims.paper_supports == supports]
        counts = "".join(f"<td>{(own.verdict == verdict).sum() or '–'}</td>" for verdict in given)
        rows.append(f'<tr><th scope="row">{_paper_badge(supports)}</th>{counts}<td><b>{len(own)}</b></td></tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Counts, scrolls sideways">'
        '<table class="grid tally"><caption>Claims by what their paper\'s own numbers say (rows) and what was '
        f'measured here (columns).</caption>\n<thead><tr><th scope="col">Paper\'s numbers</th>{head}'
        f'<th scope="col">all</th></tr></thead>\n<tbody>\n{"".join(rows)}\n</tbody></table></div>'
    )


def _reading() -> str:
    return (
        f"<p>One executable check per claim runs on the printed tables and on the measured ones. A check made of "
        f"comparisons is judged comparison by comparison, by the rule that tables and diffs follow: all comparisons "
        f"of the claim are one family (Holm's procedure), and a comparison counts with {FEWEST_IMAGES} images and "
        f"{FEWEST_TRAININGS} trainings on both sides. <b>Supported</b>: each holds beyond chance. <b>Contradicted</b>: "
        f"one fails beyond chance. Where the numbers may not stand beside the paper's, the same findings are called "
        f"<b>same direction</b> and <b>opposite here</b>. <b>Not resolved</b>: neither. <b>One training</b> (or two): "
        f"what was measured belongs to these networks, and another training may say the opposite; the values' "
        f"direction stands beside it. A rule over a whole table is judged on {DRAWS:,} joint draws over images and "
        f"trainings: it holds from P = {SUPPORTED}, and fails where a part of it does (p at most {CONTRADICTED} after "
        f"Bonferroni's correction). P is the share of those draws in which the whole check holds, all its comparisons "
        f"at once. <b>Not run</b>: a run or a number that the check needs is missing (unless what is there refutes "
        f"the claim, or the claim is about each method by itself), or the claim is about the paper's print or a count. "
        f"<b>Not comparable</b>: the claim is an amount that belongs to the paper's data.</p>"
    )


def _claim_table(claims: pd.DataFrame, root: str) -> str:
    words = load_claims(claims.paper.iloc[0]).set_index("id")
    rows = []
    for claim in claims.itertuples():
        said = words.loc[claim.id]
        quoted = f"<q>{html_text(said.quote)}</q>" if said.quote else ""
        rows.append(
            f'<tr id="{_anchor(claim)}">\n'
            f'<th scope="row"><span class="id">{html.escape(claim.id)}</span> {html_text(claim.sentence)}{quoted}'
            f"<small>{html_text(claim.where)}</small></th>\n"
            f'<td data-head="The paper\'s own numbers">{_paper_badge(claim.paper_supports)}'
            f"{_evidence(claim.paper_evidence)}</td>\n"
            f'<td data-head="Measured here">{_badge(claim.verdict)}{_direction(claim)}{_probability(claim)}'
            f"{_evidence(claim.measured_evidence)}{_runs(claim.runs, root)}</td>\n</tr>"
        )
    profile = claims.profile.iloc[0]
    here = f"Measured here (profile {html.escape(profile)})" if profile else "Measured here"
    if profile and not claims.comparable.all():
        here += ": not comparable in amounts"
    return (
        f'<table class="claimlist"><thead><tr><th scope="col">Claim</th><th scope="col">The paper\'s own numbers</th>'
        f'<th scope="col">{here}</th></tr></thead>\n<tbody>\n' + "\n".join(rows) + "\n</tbody></table>"
    )


def _evidence(text: str) -> str:
    """The sentences in one paragraph; what does not hold (or only just does) as a list below its count."""
    blocks, plain = [], []

    def end_paragraph() -> None:
        if plain:
            blocks.append(f"<p>{html_text(' '.join(plain))}</p>")
            plain.clear()

    for sentence in re.split(r"(?<=\.) (?=[A-Z\d])", text):
        if found := re.fullmatch(r"(.*?); ((?:not|narrowest)[^:]*): (.*)", sentence):
            end_paragraph()
            items = "".join(f"<li>{html_text(item)}</li>" for item in found[3].rstrip(".").split("; "))
            blocks.append(f"<p><b>{html_text(found[1])}</b>; {html_text(found[2])}:</p><ul>{items}</ul>")
        else:
            plain.append(sentence)
    end_paragraph()
    return "".join(blocks)


def _badge(verdict: str) -> str:
    return (
        f'<span class="badge {verdict.replace(" ", "-")}"><span aria-hidden="true">{_SIGNS[verdict]}</span> '
        f"{html.escape(verdict)}</span>"
    )


def _paper_badge(supports: bool) -> str:
    kind, sign, words = ("supported", "✓", "bear it out") if supports else ("contradicted", "✗", "do not bear it out")
    return f'<span class="badge {kind}"><span aria-hidden="true">{sign}</span> {words}</span>'


def _direction(claim: Any) -> str:
    """The direction of the measured values, where the verdict does not say it."""
    if not claim.direction or claim.verdict in ("supported", "contradicted", "same direction", "opposite here"):
        return ""
    words = {"same": "values go the same way", "opposite": "values go the other way", "mixed": "values go both ways"}
    return f' <span class="p">{words[claim.direction]}</span>'


def _probability(claim: Any) -> str:
    if pd.isna(claim.probability):
        return ""
    p = float(claim.probability)
    words = f"P = {p:.2f}" if 0.005 <= p < 0.995 else ("P &lt; 0.01" if p < 0.5 else "P &gt; 0.99")
    scale = f'<span class="scale" aria-hidden="true"><span style="left:{100 * p:.1f}%"></span></span>'
    return f' <span class="p">{words}</span>{scale}'


def _runs(runs: str, root: str) -> str:
    """Links to the evaluation and the metrics file of each run."""
    names = [name for name in runs.split("; ") if name]
    links = [
        f'<a href="{_url(root, f"notebooks/evaluate/{name}.html")}">{html.escape(name)}</a> '
        f'(<a href="{_url(root, f"metrics/{name}.json")}" aria-label="numbers of {html.escape(name)}">numbers</a>)'
        for name in names
    ]
    if len(links) <= _INLINE_RUNS:
        return f'<p class="runs">Runs: {", ".join(links)}</p>' if links else ""
    return f'<details class="runs"><summary>{len(links)} runs</summary>{", ".join(links)}</details>'


def _url(root: str, path: str) -> str:
    return html.escape(root + quote(path))


def _anchor(claim: Any) -> str:
    return f"claim-{claim.paper}-{claim.id}"


def _suspicious(paper: str) -> str:
    rows = load_suspicious(paper)
    items = "".join(
        f"<li>Table {row.table}, {html_text(row.dataset)}, {html_text(row.method)}, {html_text(label(row.metric))} at "
        f"{html_text(row.mask_ratio)}: <b>{row.value:.3f}</b>, {html_text(row.reason)}.</li>"
        for row in rows.itertuples()
    )
    return _folded(f"Printed numbers that look odd (kept as printed): {len(rows)}", items, shown=True) if items else ""


def _unknown(paper: str) -> str:
    rows = load_unknown(paper)
    claims = rows.kind == "claim"
    parts = ((claims, "Claims that no number can check"), (~claims, "What is not known"))
    return "\n".join(
        _folded(f"{title}: {chosen.sum()}", _items(rows[chosen])) for chosen, title in parts if chosen.any()
    )


def _items(rows: pd.DataFrame) -> str:
    return "".join(
        f"<li><b>{html_text(row.what)}</b>: {html_text(row.reason)} ({html_text(row.source)}).</li>"
        for row in rows.itertuples()
    )


def _folded(title: str, items: str, *, shown: bool = False) -> str:
    state = ' open=""' if shown else ""
    return f'<details class="more"{state}><summary>{html.escape(title)}</summary><ul>{items}</ul></details>'
