"""What changed between two revisions: every metric of every run, and what may have moved it.

A run whose metrics file has the same values in both is unchanged and no comparison is spent on it. All
comparisons of the other runs are judged together (`evaluation.verdicts.judge`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from replication import paths
from replication.atomic import write_text
from replication.errors import InputError
from replication.evaluation.changes import measured_change, stored_change
from replication.evaluation.metrics import METRICS
from replication.evaluation.sample import FRECHET, Sample
from replication.evaluation.verdicts import Change, Judgement, judge
from replication.history.cached_results import buckets, same_number
from replication.history.revisions import MissingResults, Revision, in_one_layout, made_by, open_revision
from replication.reporting.changes.formats import to_markdown, to_text
from replication.reporting.changes.page import to_page
from replication.reporting.changes.rows import (
    ABSENT,
    Gap,
    Origin,
    RevisionChanges,
    Row,
    value_text,
)


def report_diff(
    old: str, new: str, *, every: bool, colour: bool, markdown: str | None = None, html: str | None = None
) -> tuple[RevisionChanges, str]:
    """Compare two revisions by name; the diff and its text for the terminal, and the files asked for.

    every: list also what did not change, in the text and in the Markdown (the page always has it).
    Raises InputError as `open_revision` and `compare` do.
    """
    with open_revision(old) as before, open_revision(new) as after:
        diff = compare(before, after)
    if markdown:
        write_text(markdown, to_markdown(diff, every=every))
    if html:
        write_text(html, to_page(diff))
    return diff, to_text(diff, every=every, colour=colour)


def compare(old: Revision, new: Revision) -> RevisionChanges:
    """Compare all results of two revisions.

    Raises:
        InputError: one of them has no results, or its dvc.lock or params.yaml cannot be read.
    """
    before, after = old.runs(), new.runs()
    gaps: list[Gap] = []
    rows: list[tuple[_Pair, str, str, Change | None, tuple[str, ...]]] = []
    origins: dict[tuple[str, str], list[str]] = {}
    missing: dict[str, Counter[str]] = {}
    for run in sorted({*before, *after}, key=_natural):
        if run not in before or run not in after:
            only = f"added: only in {new.place}" if run in after else f"removed: only in {old.place}"
            gaps.append(Gap(only, run))
            continue
        try:
            sides = [_Side(revision, run) for revision in (old, new)]
        except InputError as error:
            gaps.append(Gap(str(error), run, broken=True))
            continue
        pair = _Pair(*sides)
        origins.setdefault(pair.makers, []).append(run)
        if reason := pair.incomparable():
            gaps.append(Gap(reason, run))
            continue
        comparable, left_out = pair.numbers()
        gaps += left_out
        same = all(pair.old.values[bucket][metric] == pair.new.values[bucket][metric] for bucket, metric in comparable)
        for bucket, metric in comparable:
            rows.append((pair, bucket, metric, *((None, ()) if same else pair.change(bucket, metric))))
        for why, numbers in pair.missing.items():
            missing.setdefault(why, Counter())[run] += numbers
        pair.forget()
    unrun = [_unrun(revision) for revision in (old, new)]
    parameters, layouts = in_one_layout(old.parameters, new.parameters)
    judged = iter(judge([change for *_, change, _ in rows if change is not None]))
    return RevisionChanges(
        old=str(old),
        new=str(new),
        code=(old.code, new.code),
        origins=tuple(Origin(*makers, tuple(names)) for makers, names in origins.items()),
        parameters=_changed(*parameters),
        data=_changed(old.prepared, new.prepared),
        unrun=tuple(text for texts in unrun for text in texts),
        edited=any(texts for revision, texts in zip((old, new), unrun, strict=True) if revision.commit is None),
        unpaired=tuple(
            f"Not paired: {runs.total()} numbers of {', '.join(runs)}: {why}" for why, runs in missing.items()
        ),
        rows=tuple(
            pair.row(bucket, metric, change, notes, None if change is None else next(judged))
            for pair, bucket, metric, change, notes in rows
        ),
        gaps=tuple(gaps),
        layouts=layouts,
    )


def _judged(metric: str) -> bool:
    """Whether a metric has an interval: those that images have values of, and the Frechet distances."""
    return metric not in METRICS or METRICS[metric].per_image or metric in FRECHET


class _Side:
    """One run at one revision: its metrics file, and its per-image results when asked for."""

    def __init__(self, revision: Revision, run: str) -> None:
        self.revision = revision
        self.run = run
        content = revision.metrics(run)
        self.values = buckets(content)
        self.record = made_by(content)
        protocol = self.record.get("protocol")
        self.protocol: Mapping[str, Any] = protocol if isinstance(protocol, Mapping) else {}
        self._samples: dict[str, Sample | MissingResults] = {}

    @property
    def seeds(self) -> int:
        seeds = self.record.get("seeds")
        return len(seeds) if isinstance(seeds, list) and seeds else 1

    def images(self, bucket: str) -> Any:
        counts = self.protocol.get("images_per_bucket", self.record.get("images_per_bucket"))
        return counts.get(bucket) if isinstance(counts, Mapping) else counts

    def maker(self) -> str:
        """The code that made the numbers: its digest, or in older results the commit that they were stamped with."""
        if code := self.record.get("code"):
            return f"code of digest {code}"
        return f"commit {self.record['commit']}" if "commit" in self.record else "not recorded"

    def features(self) -> tuple[Any, ...]:
        """What tells one feature network from another: its name and its weights; where their digest is not recorded,
        the hashes in dvc.lock of the run that `evaluation.features` names."""
        run = self.revision.parameters.get("evaluation.features", self.revision.parameters.get("evaluation.extractor"))
        return (
            self.protocol.get("features", self.record.get("features")),
            self.protocol.get("features_sha256") or self.revision.digests_below(paths.MODELS / str(run)),
        )

    def sample(self, bucket: str, metric: str) -> Sample:
        """Per-image results behind one number of the metrics file.

        Raises:
            MissingResults: they are not there, or they belong to other numbers.
        """
        if bucket not in self._samples:
            try:
                self._samples[bucket] = Sample.open(self._folders(), bucket)
            except InputError as error:
                self._samples[bucket] = MissingResults(
                    f"per-image results of {self.revision.place} cannot be read ({error})"
                )
            except MissingResults as error:
                self._samples[bucket] = error
        sample = self._samples[bucket]
        if isinstance(sample, MissingResults):
            raise sample
        if metric not in sample.metrics:
            raise MissingResults(f"per-image results of {self.revision.place} have no {metric}")
        # A checkout of git alone changes the metrics file and leaves data/results as they were.
        try:
            value = sample.value(metric)
        except InputError as error:
            raise MissingResults(f"per-image results of {self.revision.place} cannot be read ({error})") from error
        if not same_number(value, self.values[bucket][metric]):
            raise MissingResults(
                f"per-image results in {self.revision.place} are not those behind its metrics file; "
                "`dvc checkout` or `dvc repro` there mends it"
            )
        return sample

    def _folders(self) -> list[Path]:
        return self.revision.results(self.run)

    def interval(self, bucket: str, metric: str) -> tuple[float, float] | None:
        """The interval that the metrics file carries, None if it has none that is two finite numbers."""
        stored = self.record.get("intervals")
        for key in (bucket, metric):
            stored = stored.get(key) if isinstance(stored, Mapping) else None
        if isinstance(stored, list) and len(stored) == 2 and all(map(_finite, stored)):
            return float(stored[0]), float(stored[1])
        return None


class _Pair:
    """One run at both revisions."""

    def __init__(self, old: _Side, new: _Side) -> None:
        self.old = old
        self.new = new
        self.missing: Counter[str] = Counter()  # what `change` lacked and how to get it -> for how many numbers

    @property
    def makers(self) -> tuple[str, str]:
        return self.old.maker(), self.new.maker()

    def forget(self) -> None:
        """Let go of the per-image results, which hold the features of all images."""
        for side in (self.old, self.new):
            side._samples.clear()

    def incomparable(self) -> str:
        """Why no number of the run may be compared; empty if they may."""
        versions = [side.protocol.get("version") for side in (self.old, self.new)]
        if versions[0] != versions[1]:
            old, new = ("none" if version is None else version for version in versions)
            return (
                f"protocol version {old} in {self.old.revision.place}, {new} in {self.new.revision.place}: "
                "numbers measured by different protocols are not compared"
            )
        for field, words in (
            ("dataset", "data set"),
            ("dataset_source", "source of images"),
            ("image_size", "image_size"),
        ):
            before, after = self.old.record.get(field), self.new.record.get(field)
            if before != after and None not in (before, after):
                return f"{words} {before}, then {after}: other images, so numbers are not compared"
        return ""

    def numbers(self) -> tuple[list[tuple[str, str]], list[Gap]]:
        """(bucket, metric) of what both files have as finite numbers that mean the same, and all the rest."""
        comparable, gaps = [], []
        for bucket, metric in self._cells():
            sides = (self.old, self.new)
            have = [metric in side.values.get(bucket, {}) for side in sides]
            if not all(have):
                only = (
                    f"added: only in {self.new.revision.place}"
                    if have[1]
                    else f"removed: only in {self.old.revision.place}"
                )
                gaps.append(Gap(only, self.new.run, bucket, metric))
                continue
            bad = [side for side in sides if not _finite(side.values[bucket][metric])]
            if bad:
                value = bad[-1].values[bucket][metric]
                reason = f"not a finite number ({value!r}) in {' and '.join(side.revision.place for side in bad)}"
                gaps.append(Gap(reason, self.new.run, bucket, metric, broken=True))
            elif reason := self._other_meaning(bucket, metric):
                gaps.append(Gap(reason, self.new.run, bucket, metric))
            else:
                comparable.append((bucket, metric))
        return comparable, gaps

    def _cells(self) -> Iterator[tuple[str, str]]:
        for bucket in dict.fromkeys((*self.new.values, *self.old.values)):
            metrics = (*self.new.values.get(bucket, {}), *self.old.values.get(bucket, {}))
            yield from ((bucket, metric) for metric in dict.fromkeys(metrics))

    def _other_meaning(self, bucket: str, metric: str) -> str:
        """Why two values of a metric over the whole set of images measure different things."""
        if metric not in METRICS or METRICS[metric].per_image:
            return ""
        if self.old.features() != self.new.features():
            return f"{metric} in the features of another network (its weights or its name changed)"
        before, after = self.old.images(bucket), self.new.images(bucket)
        if before != after:
            return f"{metric} is biased in the number of images ({before}, then {after})"
        return ""

    def change(self, bucket: str, metric: str) -> tuple[Change | None, tuple[str, ...]]:
        """The change with its uncertainty, as exact as the data allow; None where that is unknown. And notes."""
        notes, missing = [], []
        if not _judged(metric):
            return None, ()
        if None is not self.old.record.get("weights_sha256") == self.new.record.get("weights_sha256"):
            notes.append("same weights: the evaluation or its images changed, not the network")
        samples = []
        for side in (self.old, self.new):
            try:
                samples.append(side.sample(bucket, metric))
            except MissingResults as error:
                missing.append(str(error))
                self.missing["; ".join(filter(None, (str(error), error.mend)))] += 1
        if not missing:
            try:
                found = measured_change(*samples, metric)
            except InputError as error:
                missing.append(str(error))
            else:
                if not found.paired:
                    notes.append("unpaired: other images or masks")
                return found, tuple(notes)
        reason = "; ".join(missing)
        intervals = [side.interval(bucket, metric) for side in (self.old, self.new)]
        if None in intervals:
            return None, (*notes, f"uncertainty unknown: {reason}; and the metrics file stores no interval")
        old, new = self.old.values[bucket][metric], self.new.values[bucket][metric]
        counts = [count for side in (self.old, self.new) if isinstance(count := side.images(bucket), int)]
        stored = stored_change(
            old,
            intervals[0],
            new,
            intervals[1],
            degrees=self._degrees(bucket),
            images=min(counts, default=0),
            trainings=min(self.old.seeds, self.new.seeds),
        )
        return stored, (*notes, f"unpaired: {reason}")

    def _degrees(self, bucket: str) -> float:
        """Degrees of freedom behind stored intervals: seeds limit them, else images, else as good as none do.

        A side with one seed has no part for it; one with several has, and its tails are as heavy as its seeds are few.
        """
        if several := [side.seeds for side in (self.old, self.new) if side.seeds > 1]:
            return min(several) - 1
        counts = [side.images(bucket) for side in (self.old, self.new)]
        return max(1, min(counts) - 1) if all(isinstance(count, int) for count in counts) else 1e6

    def row(
        self, bucket: str, metric: str, change: Change | None, notes: tuple[str, ...], judgement: Judgement | None
    ) -> Row:
        known = METRICS.get(metric)
        words = {"label": known.label, "better": known.better} if known else {"label": metric, "better": None}
        stated = self.new.protocol.get("metrics")
        if isinstance(stated, Mapping) and isinstance(stated.get(metric), Mapping):
            words |= stated[metric]
        return Row(
            run=self.new.run,
            bucket=bucket,
            metric=metric,
            label=str(words["label"]),
            better={"higher": 1, "lower": -1}.get(words["better"], 0),
            old=float(self.old.values[bucket][metric]),
            new=float(self.new.values[bucket][metric]),
            interval=None if change is None else (change.low, change.high),
            judgement=judgement,
            basis="" if change is None else ("paired" if change.paired else "unpaired"),
            images=self.new.images(bucket),
            seeds=min(self.old.seeds, self.new.seeds),
            notes=notes,
            judged=_judged(metric),
        )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    """(key, old, new) of what differs, `ABSENT` where a side has none."""
    keys: Sequence[str] = sorted({*old, *new}, key=_natural)
    pairs = ((key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys)
    # 1 == True in Python, not as a parameter.
    return tuple((key, a, b) for key, a, b in pairs if a != b or isinstance(a, bool) is not isinstance(b, bool))


def _unrun(revision: Revision) -> list[str]:
    """Parameters whose value in params.yaml is not the one that the results were made with."""
    return [
        f"{key} is {value_text(written)} in params.yaml of {revision.place}, but results there were made with "
        + value_text(made)
        for key, made, written in _changed(revision.parameters, revision.written)
    ]


def _natural(name: str) -> list[tuple[int, Any]]:
    """Sort key: slots_64 before slots_256."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
