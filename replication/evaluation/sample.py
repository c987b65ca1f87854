"""One run in one bucket as its evaluation stored it: what uncertainty is computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.errors import InputError
from replication.evaluation.evaluate import Results, read_results
from replication.evaluation.frechet_influence import frechet_influence

FRECHET = ("FID", "FD")
_NOT_METRICS = ("image_row", "mask_row", "ratio", "seed")  # numeric columns of per_image.parquet that name the pair


class Sample:
    """What is stored of one run in one bucket: per-image metrics and features of all seeds.

    Images are kept in the order of their rows in the store, whatever the order in the files. `Sample.open` reads
    evaluation folders; the constructor takes the same from memory:

    columns: metric -> (seeds, n) finite values. images: (n,) distinct row numbers of the test images, n >= 2.
    frechet: "FID", "FD" or None; then `features(seed number)` returns features of composites and originals, both
    (n, d), in the order of `images`, and `extractor` says which network made them. trainings: one text per seed
    that tells trained networks apart. What does not fit raises InputError.
    """

    def __init__(
        self,
        columns: Mapping[str, np.ndarray],
        images: np.ndarray,
        *,
        run: str,
        bucket: str,
        pairs_sha256: str,
        frechet: str | None = None,
        features: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None,
        extractor: tuple[str, str | None] = ("", None),
        trainings: Sequence[str] | None = None,
    ) -> None:
        where = f"{run}, bucket {bucket}"
        images = np.asarray(images)
        columns = {name: np.atleast_2d(np.asarray(values, np.float64)) for name, values in columns.items()}
        if not columns:
            raise InputError(f"{where}: there is no per-image metric")
        seeds = len(next(iter(columns.values())))
        if len(images) < 2:
            raise InputError(f"{where}: an interval needs at least 2 images, there are {len(images)}")
        if len(np.unique(images)) != len(images):
            raise InputError(f"{where}: an image occurs twice, but intervals need images that are independent")
        for name, values in columns.items():
            if values.shape != (seeds, len(images)):
                raise InputError(
                    f"{where}: {name} has shape {values.shape}, not (seeds, images) {(seeds, len(images))}"
                )
            if not np.isfinite(values).all():
                raise InputError(f"{where}: {name} holds NaN or infinity; every value must be finite")
        self._order = np.argsort(images, kind="stable")
        self.run, self.bucket, self.pairs_sha256 = run, bucket, pairs_sha256
        self.images = images[self._order]
        self.seeds = seeds
        self.extractor = extractor
        self.trainings = tuple(trainings or (f"{run} seed {k}" for k in range(seeds)))
        self.metrics: tuple[str, ...] = (*columns, *([frechet] if frechet else []))
        self._features = features
        self._measured: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name, values in columns.items():
            # The images are sorted before any arithmetic, so that the files' order cannot change a digit.
            means = np.ascontiguousarray(values[:, self._order]).mean(1)
            self._measured[name] = means, values[:, self._order].mean(0) - means.mean()

    @classmethod
    def open(cls, folders: Sequence[str | Path], bucket: str) -> Sample:
        """Read one bucket from the evaluation folders of one run, one folder per seed.

        Features are read when the Fréchet distance is first asked for. Raises InputError if a folder is
        incomplete or given twice, if the folders differ in run, data set, pairs, images, metrics or
        feature network, if a value is NaN or infinite, and if there are fewer than 2 images.
        """
        folders = [Path(folder) for folder in folders]
        if not folders:
            raise InputError("a sample needs at least one results folder, none was given")
        if len({folder.resolve() for folder in folders}) != len(folders):
            raise InputError(f"results folders {_listed(folders)} name one folder twice; each seed has its own")
        results = [read_results(folder) for folder in folders]
        first = results[0]
        tables = [result.bucket(bucket).reset_index(drop=True) for result in results]
        metrics = _metric_columns(tables[0])
        for result, table in zip(results, tables, strict=True):
            _same_kind(first, result, bucket)
            if _metric_columns(table) != metrics:
                raise InputError(f"{first.folder} and {result.folder} have different metrics in bucket {bucket}")
            if not table[["image_row", "mask_row"]].equals(tables[0][["image_row", "mask_row"]]):
                raise InputError(f"{first.folder} and {result.folder} list different images or masks in {bucket}")
            for name in metrics:
                bad = np.flatnonzero(~np.isfinite(table[name].to_numpy(np.float64)))
                if len(bad):
                    image = table["image_id"].iloc[bad[0]] if "image_id" in table else table["image_row"].iloc[bad[0]]
                    raise InputError(
                        f"{result.folder / 'per_image.parquet'}: {name} of image {str(image)!r} in bucket {bucket} is "
                        f"{table[name].iloc[bad[0]]}; every value must be a finite number"
                    )

        def features(seed: int) -> tuple[np.ndarray, np.ndarray]:
            return _features(results[seed], bucket)

        return cls(
            {name: np.stack([table[name].to_numpy(np.float64) for table in tables]) for name in metrics},
            tables[0]["image_row"].to_numpy(),
            run=first.card["run"],
            bucket=bucket,
            pairs_sha256=first.card["pairs_sha256"],
            frechet=next((name for name in FRECHET if name in first.card["metrics"].get(bucket, {})), None),
            features=features,
            extractor=_extractor(first),
            trainings=[_training(result, number) for number, result in enumerate(results)],
        )

    @property
    def n(self) -> int:
        return len(self.images)

    def per_seed(self, metric: str) -> np.ndarray:
        """The metric of each seed over all images, (seeds,) float64, in the order of the folders."""
        return self.measure(metric)[0].copy()

    def value(self, metric: str) -> float:
        """The reported number: mean over images and seeds, or the mean of the seeds' Fréchet distances."""
        return float(self.measure(metric)[0].mean())

    def influence(self, metric: str) -> np.ndarray:
        """Influence of each image on `value`, (n,) float64 with mean 0, averaged over seeds, sorted by image row."""
        return self.measure(metric)[1].copy()

    def measure(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """`per_seed` and `influence` of a metric, computed once; an unknown metric raises InputError."""
        if metric not in self.metrics:
            raise InputError(
                f"{self.run}, bucket {self.bucket}: no metric {metric!r} has an interval; "
                f"these have: {', '.join(self.metrics)}"
            )
        if metric not in self._measured:
            pairs = ((part[self._order] for part in self._features(seed)) for seed in range(self.seeds))
            distances, influences = zip(*(frechet_influence(*pair) for pair in pairs), strict=True)
            self._measured[metric] = np.array(distances), np.mean(influences, axis=0)
        return self._measured[metric]


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)


def _metric_columns(table: pd.DataFrame) -> list[str]:
    return [name for name in table if table[name].dtype.kind in "fiu" and name not in _NOT_METRICS]


def _card(result: Results, key: str) -> Any:
    if key not in result.card:
        raise InputError(f"{result.folder / 'card.json'} has no key {key!r}; evaluate this run again")
    return result.card[key]


def _extractor(result: Results) -> tuple[str, str | None]:
    """Name and weights of the feature network, as far as the card knows them."""
    made_by = (_card(result, "metrics").get("made_by") or [{}])[0]
    return made_by.get("features", ""), made_by.get("protocol", {}).get("features_sha256")


def _training(result: Results, number: int) -> str:
    made_by = (_card(result, "metrics").get("made_by") or [{}])[0]
    return f"{_card(result, 'run')} {made_by.get('weights_sha256', f'seed {number}')}"


def _same_kind(first: Results, other: Results, bucket: str) -> None:
    for key in ("run", "dataset", "pairs_sha256"):
        if _card(first, key) != _card(other, key):
            raise InputError(
                f"{first.folder} and {other.folder} are not seeds of one run: {key} is "
                f"{_card(first, key)!r} in one and {_card(other, key)!r} in the other"
            )
    if _extractor(first) != _extractor(other):
        raise InputError(f"{first.folder} and {other.folder} were measured with different feature networks")


def _features(result: Results, bucket: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of composites and originals, row by row those of the table; every fault names file and image."""
    table, file = result.bucket(bucket), result.folder / "features.npz"
    arrays = result.features(bucket), result.real_features(bucket)
    for array, what in zip(arrays, ("composites", "originals"), strict=True):
        if array.ndim != 2 or len(array) != len(table):
            raise InputError(
                f"{file}: features of the {what} in bucket {bucket} have shape {array.shape}, "
                f"but the table has {len(table)} images"
            )
        bad = np.flatnonzero(~np.isfinite(array).all(1))
        if len(bad):
            raise InputError(
                f"{file}: features of the {what} hold NaN or infinity in image "
                f"{str(table['image_id'].iloc[bad[0]])!r} of bucket {bucket}; every value must be finite"
            )
    return arrays
