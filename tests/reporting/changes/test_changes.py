"""The forms of a diff: terminal, Markdown, HTML. Verdicts, notes, and nothing dropped."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pytest

from replication.evaluation.verdicts import Judgement, Standing
from replication.reporting.changes.formats import to_markdown, to_text
from replication.reporting.changes.page import to_page
from replication.reporting.changes.rows import (
    ABSENT,
    HEAD,
    VERDICTS,
    Gap,
    Origin,
    RevisionChanges,
    Row,
    grouped,
)

WITHIN, ONCE = Judgement(Standing.WITHIN_CHANCE, 1.0), Judgement(Standing.ONE_TRAINING, 0.001)
NOTE = "unpaired: per-image results of HEAD are not in DVC's cache; `dvc pull` or `dvc repro` there brings them"
ROW = Row(
    run="full",
    bucket="20-40%",
    metric="PSNR",
    label="PSNR",
    better=1,
    old=25.5,
    new=25.9,
    interval=(0.1, 0.7),
    judgement=Judgement(Standing.BEYOND_CHANCE, 0.001),
    basis="paired",
    images=300,
    seeds=3,
    notes=(),
)
CHANCE = dataclasses.replace(ROW, metric="SSIM", label="SSIM", old=0.8, new=0.8004, judgement=WITHIN)
WORSE = dataclasses.replace(ROW, metric="FD", label="FD", better=-1, basis="unpaired", notes=(NOTE,))
SAME = dataclasses.replace(ROW, run="slots_32", new=25.5, interval=None, judgement=None, basis="")
UNKNOWN = dataclasses.replace(ROW, metric="LPIPS", interval=None, judgement=None, basis="", notes=("why",))
DIFF = RevisionChanges(
    old="HEAD (1234567)",
    new="workspace",
    code=("1234567", "89abcde"),
    origins=(
        Origin("commit c0ffee1", "code c0ffee2", ("full", "slots_32")),
        Origin("code c0ffee2", "code c0ffee2", ("<new>",)),
    ),
    parameters=(("methods.mdrnet.memory.slots", 128, 64), ("runs.mdrnet.full_b.seeds", ABSENT, None)),
    data=(("data/prepared/ffhq", "a" * 32, "b" * 32),),
    rows=(ROW, CHANCE, WORSE, SAME, UNKNOWN),
    gaps=(
        Gap("added: only in the workspace", "<new>"),
        Gap("not a finite number (nan) in the workspace", "full", "1-20%", "PSNR", broken=True),
        Gap("not a finite number (nan) in the workspace", "full", "40-60%", "PSNR", broken=True),
    ),
)


def changed(**values) -> Row:
    return dataclasses.replace(ROW, **values)


@pytest.mark.parametrize(
    "row, verdict",
    [
        (ROW, "improved"),
        (changed(better=-1), "worse"),
        (changed(new=25.0), "worse"),
        (changed(new=25.0, better=-1), "improved"),
        (changed(better=0), "moved"),
        (changed(judgement=WITHIN), "chance"),
        (changed(judgement=ONCE), "once-improved"),
        (changed(judgement=ONCE, new=25.0), "once-worse"),
        (changed(judgement=ONCE, better=0), "once-moved"),
        (changed(judgement=ONCE, new=25.5004), "chance"),
        (changed(judgement=Judgement(Standing.FEW_IMAGES, 1.0)), "few"),
        (changed(new=25.5004), "chance"),
        (changed(new=25.5006), "improved"),
        (changed(old=0.5, new=0.50006), "improved"),
        (changed(judgement=None), "unknown"),
        (changed(new=25.5), "unchanged"),
        (changed(new=25.5, judgement=None), "unchanged"),
    ],
)
def test_verdicts(row, verdict):
    assert row.verdict == verdict


def test_exit_codes():
    assert DIFF.exit_code() == 1
    better = dataclasses.replace(DIFF, rows=(ROW, CHANCE, SAME, UNKNOWN))
    assert better.exit_code() == 2 and better.errors == [
        "not a finite number (nan) in the workspace: full (PSNR in 1-20%, 40-60%)"
    ]
    assert dataclasses.replace(better, gaps=DIFF.gaps[:1]).exit_code() == 0
    nothing = dataclasses.replace(DIFF, rows=(), gaps=DIFF.gaps[:1])
    assert nothing.exit_code() == 2
    assert nothing.errors == ["nothing can be compared: added: only in the workspace: <new>"]
    assert nothing.headline() == "Nothing could be compared."


def test_sentences():
    assert DIFF.headline() == "Beyond chance: 1 got worse, 1 improved."
    assert (
        DIFF.tally() == "5 numbers compared: 1 worse, 1 improved, 1 uncertainty unknown, 1 within chance, 1 unchanged"
    )
    assert "3 comparisons" in DIFF.method()[0] and "fewer than five seeds" in DIFF.method()[1]
    quiet = dataclasses.replace(DIFF, rows=(CHANCE, SAME))
    assert quiet.headline() == "No change is larger than its uncertainty."
    assert dataclasses.replace(DIFF, rows=(UNKNOWN,)).headline() == "No change can be judged."
    assert not dataclasses.replace(DIFF, rows=(SAME,)).method()
    five = dataclasses.replace(DIFF, rows=(changed(seeds=5),))
    assert len(five.method()) == 1
    assert changed(seeds=3).cells()[-1] == "paired, 300 images, 3 seeds"


def test_one_training_is_told_apart_and_fails_no_build():
    lost = changed(judgement=ONCE, new=25.0, seeds=1)
    diff = dataclasses.replace(DIFF, rows=(lost, changed(judgement=ONCE, seeds=1), CHANCE), gaps=())
    assert diff.exit_code() == 0 and lost.notable
    assert diff.headline() == (
        "Between these networks, with fewer than 3 trainings behind them: 1 for the worse, 1 for the better; another "
        "training may say the opposite."
    )
    assert "`seeds: 3` in params.yaml" in diff.method()[1]
    assert lost.cells()[7] == "▽ one training, for the worse"
    twice = changed(judgement=Judgement(Standing.TWO_TRAININGS, 0.001), seeds=2)
    assert twice.cells()[7] == "△ two trainings, for the better"
    both = dataclasses.replace(diff, rows=(WORSE, lost))
    assert both.headline().startswith("Beyond chance: 1 got worse. Between these networks") and both.exit_code() == 1


def test_too_few_images_are_said():
    few = changed(judgement=Judgement(Standing.FEW_IMAGES, 1.0))
    diff = dataclasses.replace(DIFF, rows=(few, few), gaps=())
    assert diff.headline() == "No change can be judged with fewer than 30 images." and diff.exit_code() == 0
    assert "2 too few images" in diff.tally() and not few.notable


def test_only_parameters_of_the_workspace_can_still_be_run():
    old = dataclasses.replace(DIFF, rows=(SAME,), unrun=("a is 1 in params.yaml of HEAD~6, but results there ...",))
    assert old.headline() == "No number changed." and "HEAD~6" in to_text(old)
    edited = dataclasses.replace(old, edited=True)
    assert edited.headline().endswith("Parameters were edited and not run: `make repro` measures what they do.")


def test_missing_per_image_results_are_said_before_any_number():
    why = "Not paired: 2 numbers of full: per-image results of HEAD are not in DVC's cache; " + "again " * 30
    missing = dataclasses.replace(DIFF, rows=(CHANCE, SAME), unpaired=(why.strip(),))
    for every in (False, True):
        text = to_text(missing, every=every)
        title, second = text.splitlines()[:2]
        assert title.startswith("HEAD") and second.startswith("  Not paired: 2 numbers of full: ")
        assert max(map(len, text[: text.index("code  ")].splitlines())) <= 120
    seen = (
        "No change is larger than its uncertainty. Per-image results are missing, so that small changes cannot be seen."
    )
    assert missing.headline() == seen
    for form in (to_markdown(missing), to_page(missing)):
        assert form.index("Not paired: 2 numbers") < form.index("last changed by commit")


def test_gaps_are_grouped_and_complete():
    gaps = [Gap("why", run, bucket, metric) for run in "ab" for bucket in "xy" for metric in ("P", "Q")]
    ((_, text),) = grouped([*gaps, Gap("why", "c", "x", "P")])
    assert text == "why: a, b (P in x, y; Q in x, y); c (P in x)"


def test_terminal():
    text = to_text(DIFF)
    lines = text.splitlines()
    assert lines[0] == "HEAD (1234567) → workspace" and "\x1b" not in text
    start = next(i for i, line in enumerate(lines) if line.startswith("run "))
    head, first = lines[start : start + 2]
    assert re.split(r" {2,}", first)[2:] == [
        "PSNR ↑", "25.500", "25.900", "+0.400", "[+0.100, +0.700]", "▲ improved", "paired, 300 images, 3 seeds"
    ]  # fmt: skip
    for title in ("holes", "metric", "verdict", "basis"):  # columns of text begin under their titles
        assert first[head.index(title) - 1] == " " != first[head.index(title)]
    for title in ("old", "new", "change"):  # those of numbers end there
        assert first[: head.index(title) + len(title)].endswith(("25.500", "25.900", "+0.400"))
    assert "SSIM" not in text and "slots_32  20" not in text and "(--all lists them)" in text
    assert "unpaired, 300 images, 3 seeds [1]" in text and f"[1] {NOTE}" in lines
    assert "methods.mdrnet.memory.slots  128 → 64" in text and "runs.mdrnet.full_b.seeds  (none) → null" in text
    assert "data/prepared/ffhq  aaaaaaaa → bbbbbbbb" in text
    assert "made by commit c0ffee1 → code c0ffee2 (all other runs)" in text
    # "other" runs come behind those that they are other than
    assert text.index("made by code c0ffee2 in both (<new>)") < text.index("(all other runs)")
    assert "  code        last changed by commit 1234567 → 89abcde" in lines
    everything = to_text(DIFF, every=True)
    assert "· within chance" in everything and "= unchanged" in everything and "--all" not in everything


def test_a_long_list_of_parameters_says_how_many_more():
    many = dataclasses.replace(DIFF, parameters=tuple((f"key_{i}", 0, 1) for i in range(20)))
    assert "and 8 more (--all lists them)" in to_text(many) and "key_19" not in to_text(many)
    assert "key_19" in to_text(many, every=True)


def test_colour_is_codes_around_the_same_text():
    coloured = to_text(DIFF, colour=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == to_text(DIFF)
    worse = next(line for line in coloured.splitlines() if "▼ worse" in line)
    assert worse.startswith("\x1b[31;1m") and worse.endswith("\x1b[0m")


def test_markdown():
    text = to_markdown(DIFF)
    table = [line for line in text.splitlines() if line.startswith("| full")]
    assert len(table) == 3 and all(line.count(" | ") == len(HEAD) - 1 for line in table)
    assert "**▼ worse**" in text and f"1. {NOTE.replace('`', chr(92) + '`')}" in text
    assert "\\<new\\>" in text and "| methods.mdrnet.memory.slots | 128 | 64 |" in text
    assert "slots\\_32 |" in to_markdown(DIFF, every=True)
    assert "Unchanged: parameters and data." in to_markdown(dataclasses.replace(DIFF, parameters=(), data=()))


def page_text(diff: RevisionChanges) -> tuple[ElementTree.Element, str]:
    """The page parsed strictly (every tag closed), and its words."""
    page = to_page(diff).removeprefix("<!DOCTYPE html>\n")
    root = ElementTree.fromstring(re.sub(r"<(meta[^>]*)>", r"<\1/>", page))
    return root, " ".join("".join(root.itertext()).split())


def test_page():
    root, words = page_text(DIFF)
    assert DIFF.headline() in words and NOTE in words and "full (PSNR in 1-20%, 40-60%)" in words
    assert "<new>" in words and "<new>" not in to_page(DIFF)
    for row in DIFF.rows:
        assert all(cell in words for cell in row.cells())
    changes, everything = (table for table in root.iter("table") if table.get("class") == "grid")
    assert len(changes.findall("tbody/tr")) == 3 and len(everything.findall("tbody/tr")) == len(DIFF.rows)
    assert to_page(DIFF) == to_page(DIFF)


def test_page_fetches_nothing():
    page = to_page(DIFF)
    assert "default-src 'none'" in page and not re.search(r"(src|href)=|url\(|@import|<script", page)


def test_overview_has_every_run_and_number():
    root, _ = page_text(DIFF)
    matrix = next(table for table in root.iter("table") if "matrix" in table.get("class"))
    cells = {
        row.find("th").text: [cell.text for cell in row.iter("td")]
        for row in matrix.iter("tr")
        if row.find("td") is not None
    }
    assert cells == {"full": ["▲", "·", "▼", "?"], "slots_32": ["=", "–", "–", "–"]}


@pytest.mark.parametrize(
    "row, side",
    [(ROW, 1), (changed(better=-1), -1), (changed(new=25.1, interval=(-0.7, -0.1)), -1), (changed(better=0), 1)],
)
def test_effects_point_to_the_better_side(row, side):
    root, _ = page_text(dataclasses.replace(DIFF, rows=(row,)))
    circle, axis = next(root.iter("circle")), next(root.iter("line"))
    assert (float(circle.get("cx")) - float(axis.get("x1"))) * side > 5


@pytest.mark.parametrize("interval", [(0.4, 0.4), (0.399, 0.401)])
def test_effects_out_of_reach_are_arrows(interval):
    root, _ = page_text(dataclasses.replace(DIFF, rows=(changed(interval=interval),)))
    assert next(root.iter("path")).get("class") == "point" and next(root.iter("circle"), None) is None


def test_a_diff_without_rows_has_a_page():
    _, words = page_text(dataclasses.replace(DIFF, rows=()))
    assert "Nothing could be compared." in words and "Overview" not in words


def test_every_verdict_has_a_sign_of_its_own():
    signs = [words.split(" ", 1)[0] for words in VERDICTS.values()]
    assert len(set(signs)) == len(signs) == 11


def test_a_part_of_the_parameters_that_could_not_be_compared_is_said_in_every_form():
    moved = dataclasses.replace(DIFF, parameters=(), layouts="written in another layout since")
    assert "  parameters  written in another layout since" in to_text(moved).splitlines()
    assert "Parameters: written in another layout since." in to_markdown(moved)
    assert "parameters: written in another layout since" in page_text(moved)[1]
    for text in (to_text(moved), to_markdown(moved), page_text(moved)[1]):
        assert "parameters: unchanged" not in text and "parameters  unchanged" not in text
        assert "Unchanged: parameters" not in text
