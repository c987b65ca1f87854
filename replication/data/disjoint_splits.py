"""Proof that the photos of training and test are different ones: by content, by look, and by person."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from replication.data.perceptual_hash import (
    LARGEST_DISTANCE,
    SMALLEST_CORRELATION,
    close_pairs,
    correlation,
    nearest,
)
from replication.data.store import FaceStore
from replication.errors import InputError

_LISTED = 20


def prove_disjoint(
    manifest: pd.DataFrame, images: np.ndarray, duplicates: str, where: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The manifest with each test photo's nearest training photo, and what the card says of the split.

    manifest: as of `PhotoFolder`. images: uint8 (N,S,S,3), the faces of its lines. duplicates: what the user
    chose. New columns: nearest, the training photo whose perceptual hash is nearest ("" for training photos),
    and distance, in bits of 64.
    Raises InputError, beginning with `where`, for equal files in both splits unless they are allowed.
    """
    rows = {split: np.flatnonzero(manifest["split"] == split) for split in ("train", "test")}
    files, digests = manifest["file"].to_numpy(), manifest["sha256"].to_numpy()
    by_digest = {digests[k]: files[k] for k in rows["train"]}
    equal = [(by_digest[digests[k]], files[k]) for k in rows["test"] if digests[k] in by_digest]
    if equal and duplicates != "allow":  # found before reading, so files were changed meanwhile
        raise InputError(f"{where}: {equal[0][0]!r} (train) and {equal[0][1]!r} (test) became the same file meanwhile")
    card: dict[str, Any] = {
        "equal_files_across_splits": len(equal),
        "equal_files_within_a_split": int(manifest.duplicated(["split", "sha256"]).sum()),
        "near_duplicates_across_splits": 0,
        "near_duplicates": f"perceptual hashes differ in at most {LARGEST_DISTANCE} of 64 bits and 32x32 grey "
        f"copies correlate by at least {SMALLEST_CORRELATION}",
        "closest": [],
        "identities_in_both_splits": None,
    }
    if "identity" in manifest:
        people = {split: set(manifest["identity"].iloc[rows[split]]) - {""} for split in rows}
        card["identities_in_both_splits"] = len(people["train"] & people["test"])
    manifest = manifest.assign(nearest="", distance="")
    if not len(rows["train"]) or not len(rows["test"]):
        return manifest, card
    looks = np.array([int(text, 16) for text in manifest["perceptual_hash"]], dtype=np.uint64)
    test, train = looks[rows["test"]], looks[rows["train"]]
    places, distances = nearest(test, train)
    column, bits = manifest["nearest"].to_numpy(copy=True), manifest["distance"].to_numpy(copy=True)
    column[rows["test"]], bits[rows["test"]] = files[rows["train"][places]], distances.astype(str)
    pairs = []
    for one, other, distance in close_pairs(test, train).tolist():
        a, b = rows["train"][other], rows["test"][one]
        alike = correlation(images[a], images[b])
        if alike >= SMALLEST_CORRELATION:
            pairs.append({"train": files[a], "test": files[b], "bits": distance, "correlation": round(alike, 3)})
    pairs.sort(key=lambda pair: (-pair["correlation"], pair["bits"], pair["train"], pair["test"]))
    card |= {"near_duplicates_across_splits": len(pairs), "closest": pairs[:_LISTED]}
    return manifest.assign(nearest=column, distance=bits), card


def split_summary(store: FaceStore) -> str:
    """Some lines on the split of a store of photos, for a notebook; "" for other stores."""
    source = store.card["source"]
    found = source.get("disjoint")
    if found is None:
        return ""
    sizes = ", ".join(f"{source['split'][split]['images']} {split}" for split in ("train", "test"))
    people = found["identities_in_both_splits"]
    lines = [
        f"split {source['split']['rule']}: {sizes}",
        f"filter of resizing: {source['resize_filter']}",
        f"equal files in both splits: {found['equal_files_across_splits']} "
        f"(training copies left out: {len(source.get('training_copies_dropped', []))})",
        f"people in both splits: {'unknown' if people is None else people}",
        f"near-duplicates across the splits: {found['near_duplicates_across_splits']}",
    ]
    for pair in found["closest"][:5]:
        lines.append(f"  {pair['train']} (train), {pair['test']} (test): correlation {pair['correlation']:.3f}")
    if bare := source.get("maps_without_skin"):
        lines.append(f"label maps without skin: {len(bare)} ({', '.join(bare[:5])}{', ...' if len(bare) > 5 else ''})")
    return "\n".join(lines)
