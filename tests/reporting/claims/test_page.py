from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from replication.evaluation.verdicts import Change
from replication.papers import PAPERS
from replication.reporting.claims.judging import VERDICTS, judge_claims
from replication.reporting.claims.page import claims_html, claims_notebook_html
from replication.reporting.site.page import Section, build_site
from replication.reporting.tables.results import paper_tables


@pytest.fixture
def claims(metrics):
    """Judged with draws that leave C13 open and all others as the fixture's numbers have them."""
    names = ("no_mrem_no_dmm", "no_mrem")
    better, worse = (metrics[name] for name in sorted(names, key=lambda n: metrics[n]["1-20%"]["FD"]))
    metrics["no_mrem"], metrics["no_mrem_no_dmm"] = better, worse
    draws = {
        (name, bucket, metric): np.full(50, float(value))
        for name, file in metrics.items()
        for bucket, values in file.items()
        if bucket != "made_by"
        for metric, value in values.items()
    }
    draws["no_mrem", "1-20%", "PSNR"][:20] = 0

    def differences(reference, other, margin):
        value = float(np.mean(draws[other] - draws[reference] - margin))
        doubt = ("no_mrem", "1-20%", "PSNR") in (reference, other)
        return Change(value, value, value, 0.4 if doubt else 1e-9, True, images=200, trainings=3)

    return judge_claims(metrics, draws, differences)


def tree(text: str) -> ElementTree.Element:
    """The fragment parsed as XML, which it is on purpose."""
    return ElementTree.fromstring(text)


def words(element: ElementTree.Element) -> str:
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def test_every_claim_has_its_row_with_both_answers_in_words(claims, metrics):
    page = tree(claims_html(claims, metrics))
    rows = {row.get("id"): row for row in page.iter("tr") if row.get("id")}
    assert list(rows) == [f"claim-{c.paper}-{c.id}" for c in claims.itertuples()]
    for claim in claims.itertuples():
        row = rows[f"claim-{claim.paper}-{claim.id}"]
        badges = [words(span) for span in row.iter("span") if "badge" in span.get("class", "").split()]
        assert [badge[2:] for badge in badges] == [
            "bear it out" if claim.paper_supports else "do not bear it out",
            claim.verdict,
        ]
    assert "P = 0.60" in words(rows["claim-showface-C13"]) and "not resolved" in words(rows["claim-showface-C13"])


def test_the_counts_on_top_are_those_of_the_table(claims, metrics):
    page = tree(claims_html(claims, metrics))
    lead = words(next(p for p in page.iter("p") if p.get("class") == "lead"))
    assert "bear out 21 of 34 claims and do not bear out 13: C10, C11, C12" in lead
    for verdict in VERDICTS:
        count = (claims.verdict == verdict).sum()
        assert (f"{count} {verdict}" in lead) if count else (f" {verdict}" not in lead)
    tally = next(t for t in page.iter("table") if "tally" in t.get("class"))
    numbers = [int(words(cell)) if words(cell) != "–" else 0 for cell in tally.iter("td")]
    assert sum(numbers) == 2 * len(claims)
    assert {"claim-showface-C10", "claim-exgan-E07"} <= {a.get("href")[1:] for a in page.iter("a")}


def test_the_page_says_first_that_its_numbers_do_not_compare(claims, metrics):
    text = claims_html(claims, metrics)
    assert text.index("NOT comparable with the paper") < text.index("bear out")
    assert "profile demo): not comparable in amounts" in text
    assert "<b>One training</b> (or two): what was measured belongs to these networks" in text


def test_the_direction_stands_beside_a_verdict_that_does_not_say_it(claims, metrics):
    once = claims.assign(verdict="one training", direction="opposite")
    page = tree(claims_html(once, metrics))
    assert "values go the other way" in words(page)
    firm = claims.assign(verdict="opposite here", direction="opposite")
    assert "values go" not in words(tree(claims_html(firm, metrics)))


def test_every_paper_and_what_is_not_known_of_it_is_there(claims, metrics):
    page = tree(claims_html(claims, metrics))
    assert [h.get("id") for h in page.iter("h3")] == [f"claims-{paper}" for paper in PAPERS]
    folded = [words(d.find("summary")) for d in page.iter("details") if d.get("class") == "more"]
    assert folded.count("What is not known: 2") == 1
    assert "Printed numbers that look odd (kept as printed): 8" in folded
    assert words(page).count("No claim that numbers could check") == 2


def test_links_lead_to_the_runs_from_where_the_page_is(claims, metrics):
    for root, text in (
        ("", claims_html(claims, metrics)),
        ("../", claims_notebook_html(claims, metrics, root="../").split("</style>")[1]),
    ):
        links = [a.get("href") for a in tree(text.strip()).iter("a")]
        outward = {link for link in links if not link.startswith("#")}
        assert {f"{root}notebooks/evaluate/no_mrem.html", f"{root}metrics/no_mrem.json"} <= outward
        assert all(
            re.fullmatch(re.escape(root) + r"(notebooks/evaluate/\w+\.html|metrics/\w+\.json)", x) for x in outward
        )


def test_words_are_escaped(claims, metrics):
    hostile = claims.assign(sentence="a <b> & c", measured_evidence="1 of 2 hold; not: x <y>; z.")
    text = claims_html(hostile, metrics)
    assert "a &lt;b&gt; &amp; c" in text and "<li>x &lt;y&gt;</li><li>z</li>" in text
    tree(text)


def test_the_site_takes_it_as_a_section(tmp_path, claims, metrics):
    (tmp_path / "claims.csv").write_text("id\n")
    section = Section("claims", "Claims", claims_html(claims, metrics))
    tables = paper_tables("showface", metrics)
    text = build_site(reports=tmp_path, tables=tables, sections=[section]).read_text()
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert '<a href="#claims">Claims</a>' in text and ".claims .badge" in text
    assert 'href="claims.csv"' in text
