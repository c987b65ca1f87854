"""Per-image results of the runs, opened once for all questions about uncertainty."""

from __future__ import annotations

import math
from pathlib import Path

from replication import paths
from replication.errors import InputError
from replication.evaluation.changes import measured_change
from replication.evaluation.sample import FRECHET, Sample
from replication.evaluation.verdicts import Change
from replication.json_files import read_object
from replication.reporting.tables.conditions import made_by, trainings_of

_Measured = tuple[str, str, str]  # (run, bucket, metric)


class Samples:
    """The evaluation folders below data/results, all seeds of a run together; opened when asked for."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, str], Sample] = {}

    def has(self, run: str) -> bool:
        """Whether anything was measured of a run."""
        return any(self._folder(run).glob("seed_*"))

    def open(self, run: str, bucket: str) -> Sample:
        """One run in one bucket; InputError if its results are missing or damaged."""
        key = (run, bucket)
        if key not in self._opened:
            folders = list(self._folder(run).glob("seed_*"))
            if not folders:
                raise InputError(f"{self._folder(run)} holds no results: run `dvc repro` or `dvc checkout`")
            folders.sort(key=lambda folder: int(folder.name.removeprefix("seed_")))
            sample = Sample.open(folders, bucket)
            self._check(run, bucket, sample)
            self._opened[key] = sample
        return self._opened[key]

    def change(self, reference: str, run: str, bucket: str, metric: str) -> Change:
        """Run minus reference in one bucket, paired where both have the same images and masks."""
        return self.change_between((reference, bucket, metric), (run, bucket, metric))

    def change_between(self, reference: _Measured, other: _Measured, margin: float = 0.0) -> Change:
        """Other minus reference of one metric, each (run, bucket, metric); p is that of "it is `margin`"."""
        (one, one_bucket, metric), (two, two_bucket, _) = reference, other
        return measured_change(self.open(one, one_bucket), self.open(two, two_bucket), metric, margin)

    @staticmethod
    def _check(run: str, bucket: str, sample: Sample) -> None:
        """Refuse results that are not those behind the metrics file: git brings back the one without the other."""
        path = paths.METRICS / f"{run}.json"
        if not path.is_file():
            return
        content = read_object(path)
        stated = trainings_of(made_by(content))
        if stated != sample.seeds:
            raise InputError(f"{path} is of {stated} trainings, its results of {sample.seeds}; evaluate {run} again")
        for metric, written in content.get(bucket, {}).items():
            if metric in sample.metrics and metric not in FRECHET:
                value = sample.value(metric)
                if not math.isclose(value, written, rel_tol=1e-3, abs_tol=1e-4):
                    raise InputError(
                        f"{path} has {metric} {written} at {bucket}, but its results give {value:.6g}; evaluate {run} "
                        "again, or `dvc checkout`"
                    )

    @staticmethod
    def _folder(run: str) -> Path:
        return paths.results(run).parent
