"""Per-image results of the runs, opened once for all questions about uncertainty."""

from __future__ import annotations

from replication import paths
from replication.errors import InputError
from replication.evaluation.uncertainty import Sample, difference


class Samples:
    """The evaluation folders below data/results, all seeds of a run together; opened when asked for."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, str], Sample] = {}

    def has(self, run: str) -> bool:
        return any((paths.RESULTS / run).glob("seed_*"))

    def open(self, run: str, bucket: str) -> Sample:
        """One run in one bucket; InputError if its results are missing or damaged."""
        key = (run, bucket)
        if key not in self._opened:
            folders = list((paths.RESULTS / run).glob("seed_*"))
            if not folders:
                raise InputError(f"{paths.RESULTS / run} holds no results: run `dvc repro` or `dvc checkout`")
            folders.sort(key=lambda folder: int(folder.name.removeprefix("seed_")))
            self._opened[key] = Sample.open(folders, bucket)
        return self._opened[key]

    def difference(self, reference: str, run: str, bucket: str, metric: str) -> tuple[float, float]:
        """The 95 % interval of run minus reference, paired where both have the same images and masks."""
        one = difference(self.open(reference, bucket), self.open(run, bucket), metric)
        return one.low, one.high
