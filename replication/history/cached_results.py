"""Per-image results of a run by their numbers, out of DVC's cache.

dvc.lock names results by the hash of their bytes, and beside the numbers these hold a stamp, `made_by`. Results that
other code made again have another hash, though every number is the same: in a fresh clone the first reproduction makes
what stands behind the committed metrics files, and the hashes in the committed dvc.lock find nothing. The cards of
results name the run and the numbers; so everything in the cache can be asked for those of a metrics file.

(DVC's run cache does not know them: it leaves out stages with an out that git keeps, as a metrics file is.)
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

Numbers = Mapping[str, Mapping[str, Any]]
"""bucket -> metric -> value, as in a metrics file."""

_TABLE, _CARD = "per_image.parquet", "card.json"


def buckets(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The buckets of a metrics file, without `made_by`."""
    return {name: values for name, values in metrics.items() if isinstance(values, dict) and values}


def same_number(one: Any, other: Any) -> bool:
    """Whether two values are one number, up to the rounding of files."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return numbers and math.isclose(one, other, rel_tol=1e-5, abs_tol=2e-6)


def same_numbers(one: Numbers, other: Numbers) -> bool:
    """Whether both have the same buckets, share metrics in each, and agree on all that they share."""
    if one.keys() != other.keys() or not one:
        return False
    shared = {bucket: one[bucket].keys() & other[bucket].keys() for bucket in one}
    return all(
        metrics and all(same_number(one[bucket][metric], other[bucket][metric]) for metric in metrics)
        for bucket, metrics in shared.items()
    )


def fetch_equal(root: Path, run: str, numbers: Numbers, target: Path) -> bool:
    """Copy to `target` per-image results of a run that have these numbers, if DVC's cache of `root` has any.

    Of several the newest. False if there are none that are whole; `target` then does not exist.
    """
    log = logging.getLogger(__name__)
    try:
        from dvc.repo import Repo

        with Repo(str(root)) as repo:
            store = repo.cache.local
            for files in _listed(Path(store.path)):
                found = {path: Path(store.oid_to_path(digest)) for path, digest in files.items()}
                if not all(file.is_file() for file in found.values()) or not _has(found, run, numbers):
                    continue
                for path, file in found.items():
                    (target / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target / path)
                return True
    except Exception as error:  # DVC documents no exceptions here; without results the diff still works
        shutil.rmtree(target, ignore_errors=True)
        log.debug("searching the cache of %s for %s: %r", root, run, error)
    return False


def _listed(cache: Path) -> Iterator[dict[str, str]]:
    """{path inside the folder: MD5} of every folder of per-image results in a cache, the newest first."""
    for path in sorted(cache.glob("*/*.dir"), key=lambda path: path.stat().st_mtime, reverse=True):
        text = path.read_bytes()
        if _TABLE.encode() in text:
            yield {entry["relpath"]: entry["md5"] for entry in json.loads(text)}


def _has(files: Mapping[str, Path], run: str, numbers: Numbers) -> bool:
    """Whether these results, a folder for each seed, are of a run and have these numbers as means over the seeds."""
    paths = [PurePosixPath(path) for path in files if PurePosixPath(path).name == _TABLE]
    try:
        cards = [json.loads(files[str(path.with_name(_CARD))].read_bytes()) for path in paths]
    except (KeyError, ValueError):  # no results of this suite
        return False
    if not all(isinstance(card, dict) and card.get("run") == run for card in cards):
        return False
    seeds = [buckets(card.get("metrics", {})) for card in cards]
    common = {
        bucket: [metric for metric in values if all(metric in seed.get(bucket, {}) for seed in seeds)]
        for bucket, values in seeds[0].items()
    }
    means = {
        bucket: {metric: fmean(seed[bucket][metric] for seed in seeds) for metric in metrics}
        for bucket, metrics in common.items()
    }
    return same_numbers(means, numbers)
