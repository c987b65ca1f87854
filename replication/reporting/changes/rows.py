"""What a comparison of two revisions consists of, and its words.

`history.comparison.compare` fills these classes; `formats` makes them text for the terminal and
Markdown, `page` an HTML page. Everything printed comes from one
list of cells per row, so the three forms cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from replication.evaluation.verdicts import FEWEST_IMAGES, FEWEST_TRAININGS, Judgement, Standing

ABSENT = object()  # a parameter or a hash that one side does not have; None is a value

WORSE, IMPROVED, MOVED, UNKNOWN, CHANCE, UNCHANGED = "worse", "improved", "moved", "unknown", "chance", "unchanged"
UNJUDGED = "unjudged"  # scores of a whole set for which no interval is defined
# Larger than the images explain, with fewer than three trainings behind it: said of these networks alone.
ONCE_WORSE, ONCE_IMPROVED, ONCE_MOVED = "once-worse", "once-improved", "once-moved"
FEW = "few"

VERDICTS = {
    WORSE: "▼ worse",
    IMPROVED: "▲ improved",
    MOVED: "◆ moved",
    ONCE_WORSE: "▽ one training, for the worse",
    ONCE_IMPROVED: "△ one training, for the better",
    ONCE_MOVED: "◇ one training, moved",
    UNKNOWN: "? uncertainty unknown",
    CHANCE: "· within chance",
    FEW: "∅ too few images",
    UNJUDGED: "~ no interval defined",
    UNCHANGED: "= unchanged",
}
HEAD = ("run", "holes", "metric", "old", "new", "change", "95% interval", "verdict", "basis")


@dataclass(frozen=True)
class Row:
    """One number in two revisions.

    better: +1 if higher is better, -1 if lower, 0 if the metric has no known direction. interval: of new - old, at
    95 % for this row alone; None where nothing was compared or the uncertainty is unknown. judgement: by the one rule
    for everything shown together (`evaluation.verdicts.judge`), None where there is no interval. basis: "paired",
    "unpaired", or "" without an interval. judged: False for scores that have no interval by their definition.
    """

    run: str
    bucket: str
    metric: str
    label: str
    better: int
    old: float
    new: float
    interval: tuple[float, float] | None
    judgement: Judgement | None
    basis: str
    images: Any
    seeds: int
    notes: tuple[str, ...]
    judged: bool = True

    @property
    def change(self) -> float:
        return self.new - self.old

    @property
    def decimals(self) -> int:
        """Three, as the papers print; four for values such as SSIM that stay below 1."""
        return 3 if max(abs(self.old), abs(self.new)) > 1 else 4

    @property
    def verdict(self) -> str:
        """One of the keys of `VERDICTS`. A change that prints as zero is never more than chance.

        Another processor moves a number in its sixth decimal, the same way for all images: that is "significant",
        and no news.
        """
        if self.old == self.new:
            return UNCHANGED
        if self.judgement is None:
            return UNKNOWN if self.judged else UNJUDGED
        if self.judgement.standing is Standing.FEW_IMAGES:
            return FEW
        if self.judgement.standing is Standing.WITHIN_CHANCE or not round(self.change, self.decimals):
            return CHANCE
        worse, improved, moved = (
            (ONCE_WORSE, ONCE_IMPROVED, ONCE_MOVED) if self.judgement.of_networks else (WORSE, IMPROVED, MOVED)
        )
        if not self.better:
            return moved
        return improved if self.change * self.better > 0 else worse

    @property
    def verdict_text(self) -> str:
        """Sign and words of the verdict."""
        words = VERDICTS[self.verdict]
        if self.judgement is not None and self.judgement.of_networks:
            return words.replace(Standing.ONE_TRAINING.value, self.judgement.standing.value)
        return words

    @property
    def notable(self) -> bool:
        return self.verdict not in (CHANCE, FEW, UNJUDGED, UNCHANGED)

    @property
    def name(self) -> str:
        """The metric with the direction in which it gets better."""
        return f"{self.label} {('', '↑', '↓')[self.better]}".rstrip()

    def cells(self, notes: Sequence[int] = ()) -> tuple[str, ...]:
        """The texts under `HEAD`; `notes` are the numbers of the row's notes."""
        basis = self.basis
        if basis and self.images is not None:
            basis += f", {self.images} images"
        if basis and self.seeds > 1:
            basis += f", {self.seeds} seeds"
        return (
            self.run,
            self.bucket,
            self.name,
            self._number(self.old),
            self._number(self.new),
            self._number(self.change, "+") if self.change else "0",
            f"[{self._number(self.interval[0], '+')}, {self._number(self.interval[1], '+')}]" if self.interval else "",
            self.verdict_text,
            " ".join(filter(None, (basis, *(f"[{number}]" for number in notes)))),
        )

    def _number(self, value: float, sign: str = "") -> str:
        return f"{value:{sign}.{self.decimals}f}".replace("-", "−")


@dataclass(frozen=True)
class Gap:
    """Something that was not compared, and why. Without a metric: the whole run. broken: nobody wanted it."""

    reason: str
    run: str
    bucket: str = ""
    metric: str = ""
    broken: bool = False


@dataclass(frozen=True)
class Origin:
    """The code that made the results of some runs: its digest in words, or a commit where only that is recorded."""

    old: str
    new: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class RevisionChanges:
    """Everything that differs between the results of two revisions, named `old` and `new`.

    code: the commits of the revisions that last touched the code. parameters, data: (key, old, new) of what the
    results were made with and differs, `ABSENT` where there is none. rows: every compared number. gaps: every number
    that was not compared. unrun: parameters whose value is not the one that results were made with, one sentence each.
    edited: whether some of these are the workspace's, so that a run is still to be made. unpaired: what per-image
    results are missing and how to get them, one sentence each. layouts: a sentence where the two write their parameters
    so differently that only a part of them could be held against each other, else empty.
    """

    old: str
    new: str
    code: tuple[str, str]
    origins: tuple[Origin, ...]
    parameters: tuple[tuple[str, Any, Any], ...]
    data: tuple[tuple[str, Any, Any], ...]
    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...]
    unrun: tuple[str, ...] = ()
    layouts: str = ""
    edited: bool = False
    unpaired: tuple[str, ...] = ()

    def count(self, verdict: str) -> int:
        return sum(row.verdict == verdict for row in self.rows)

    @property
    def tested(self) -> int:
        """How many numbers were judged."""
        return sum(row.judgement is not None and row.verdict != FEW for row in self.rows)

    @property
    def errors(self) -> list[str]:
        """What makes the comparison incomplete although nobody wanted it so, one sentence each."""
        if not self.rows:
            return ["nothing can be compared: " + "; ".join(text for _, text in grouped(self.gaps))]
        return [text for gap, text in grouped(self.gaps) if gap.broken]

    def exit_code(self) -> int:
        """1 if a number got worse beyond chance; else 2 if a result is broken or nothing was compared; else 0.

        What one training shows is no reason to fail a build: the next seed may show the opposite.
        """
        if self.count(WORSE):
            return 1
        return 2 if self.errors else 0

    def headline(self) -> str:
        """The result in one sentence; a further one if pairs are missing, and one if parameters are yet to be run."""
        unpaired = " Per-image results are missing, so that small changes cannot be seen." if self.unpaired else ""
        edited = " Parameters were edited and not run: `make repro` measures what they do." if self.edited else ""
        return self._verdict() + unpaired + edited

    def _verdict(self) -> str:
        if not self.rows:
            return "Nothing could be compared."
        firm = [(WORSE, "got worse"), (IMPROVED, "improved"), (MOVED, "moved")]
        once = [(ONCE_WORSE, "for the worse"), (ONCE_IMPROVED, "for the better"), (ONCE_MOVED, "moved")]
        told = [self._counts(firm), self._counts(once)]
        if not any(told):
            if self.count(UNCHANGED) == len(self.rows):
                return "No number changed."
            if self.tested:
                return "No change is larger than its uncertainty."
            few = f" with fewer than {FEWEST_IMAGES} images" if self.count(FEW) else ""
            return f"No change can be judged{few}."
        sentences = [f"Beyond chance: {told[0]}."] if told[0] else []
        if told[1]:
            sentences.append(
                f"Between these networks, with fewer than {FEWEST_TRAININGS} trainings behind them: {told[1]}; "
                "another training may say the opposite."
            )
        return " ".join(sentences)

    def _counts(self, verdicts: Sequence[tuple[str, str]]) -> str:
        return ", ".join(f"{number} {words}" for verdict, words in verdicts if (number := self.count(verdict)))

    def tally(self) -> str:
        """How many numbers had which verdict."""
        parts = [f"{self.count(verdict)} {words.split(' ', 1)[1]}" for verdict, words in VERDICTS.items()]
        told = ", ".join(part for part in parts if not part.startswith("0 "))
        return f"{len(self.rows)} numbers compared" + (f": {told}" if told else "")

    def method(self) -> list[str]:
        """How to read the verdicts."""
        lines = []
        if self.tested:
            lines.append(
                f"Judged together: {self.tested} comparisons, Holm's procedure, nominally 5% risk that any verdict is "
                "a false alarm (simulated: at most 7% with 200 images, however skewed). Intervals are 95% for each row "
                "alone. A change that prints as zero counts as chance."
            )
        if any(row.judgement is not None and row.judgement.of_networks for row in self.rows):
            lines.append(
                f"Fewer than {FEWEST_TRAININGS} trainings: the interval covers the choice of test images, not of the "
                "seed. Trained again with another seed, most numbers of one recipe move by more than that; `seeds: 3` "
                "in params.yaml lets the method be judged."
            )
        if any(row.judgement is not None and FEWEST_TRAININGS <= row.seeds < 5 for row in self.rows):
            lines.append(
                "With fewer than five seeds their spread is hardly known: intervals are wide, and real changes may "
                "stay within chance."
            )
        return lines

    def numbered_notes(self, rows: Iterable[Row]) -> dict[str, int]:
        """The notes of some rows, numbered from 1 in the order of their appearance."""
        notes = dict.fromkeys(note for row in rows for note in row.notes)
        return {note: number for number, note in enumerate(notes, 1)}

    def unchanged(self) -> list[str]:
        """Which of parameters and data are known to be the same."""
        same = {"parameters": not self.parameters and not self.layouts, "data": not self.data}
        return [title for title, unchanged in same.items() if unchanged]

    def sources(self) -> list[tuple[str, str]]:
        """(title, text): the code behind both sides; what made most runs comes last, as the rest of them."""
        lines = [("code", f"last changed by commit {same_or_arrow(*self.code)}")]
        most = max(self.origins, key=lambda origin: len(origin.runs), default=None)
        for origin in sorted(self.origins, key=lambda origin: origin is most):
            rest = "all runs" if len(self.origins) == 1 else "all other runs"
            who = rest if origin is most else ", ".join(origin.runs)
            lines.append(("results", f"made by {same_or_arrow(origin.old, origin.new)} ({who})"))
        return lines


def same_or_arrow(old: str, new: str) -> str:
    return f"{old} in both" if old == new else f"{old} → {new}"


def value_text(value: Any) -> str:
    """A parameter or a hash as printed."""
    if value is ABSENT:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def hash_text(value: Any) -> str:
    return value_text(value)[:8] if isinstance(value, str) else value_text(value)


def grouped(gaps: Iterable[Gap]) -> list[tuple[Gap, str]]:
    """One sentence for each reason, with everything it applies to: (a gap of the group, sentence)."""
    groups: dict[str, list[Gap]] = {}
    for gap in gaps:
        groups.setdefault(gap.reason, []).append(gap)
    return [(own[0], f"{reason}: {_places(own)}") for reason, own in groups.items()]


def _places(gaps: Sequence[Gap]) -> str:
    cells: dict[str, list[tuple[str, str]]] = {}
    for gap in gaps:
        cells.setdefault(gap.run, []).append((gap.bucket, gap.metric))
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run, own in cells.items():
        alike.setdefault(tuple(own), []).append(run)
    parts = []
    for own, runs in alike.items():
        metrics = dict.fromkeys(metric for _, metric in own if metric)
        by_metric = {m: ", ".join(bucket for bucket, metric in own if metric == m) for m in metrics}
        what = "; ".join(f"{metric} in {places}" for metric, places in by_metric.items())
        parts.append(f"{', '.join(runs)}" + (f" ({what})" if what else ""))
    return "; ".join(parts)
