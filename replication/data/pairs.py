"""Frozen evaluation pairs: which hole is cut into which test image, the same for every method.

Pairing at random again for every evaluation moves FID and PSNR noticeably, so the pairs are drawn once,
written as a CSV and sealed with its sha256.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import write_json, write_text
from replication.data.masks import BUCKETS, MaskStore
from replication.data.random_streams import stream
from replication.data.store import FaceStore
from replication.errors import InputError

COLUMNS = ("bucket", "image_row", "image_id", "mask_row", "ratio")


def _card_path(path: Path) -> Path:
    return path.with_suffix(".json")


class _Deck:
    """Rows of masks dealt in random order, dealt anew only when every one has been out once."""

    def __init__(self, free: np.ndarray, reaching: np.ndarray, rng: np.random.Generator) -> None:
        self._kinds = (free, reaching)
        self._rng = rng
        self._piles: tuple[list[int], list[int]] = ([], [])
        self.deals = 0
        self.short_of_kind = 0

    def draw(self, kind: int) -> int:
        """Next mask of `kind` (0 border-free, 1 reaching the border), or of the other if none is left."""
        if not any(self._piles):
            self._piles = tuple(self._rng.permutation(rows).tolist() for rows in self._kinds)
            self.deals += 1
        if not self._piles[kind]:
            kind = 1 - kind
            self.short_of_kind += 1
        return self._piles[kind].pop()


def draw_pairs(
    store: FaceStore, masks: MaskStore, *, seed: int, per_bucket: int | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Draw one test mask per test image and bucket; the table and what has to be said about it.

    per_bucket: use so many test images instead of all; the same ones in every bucket, and those of a smaller
    number are among those of a larger one. In each bucket every second image has a border-free mask and no
    mask is used twice, as far as there are enough; where not, the card says so.
    Raises InputError if sizes differ, a bucket has no test masks, or there are fewer than `per_bucket`
    images.
    """
    if store.size != masks.size:
        raise InputError(f"faces of {store.size} px ({store.path}) cannot have masks of {masks.size} px ({masks.path})")
    rows = store.rows("test")
    if per_bucket is not None:
        if not 1 <= per_bucket <= len(rows):
            raise InputError(f"per_bucket={per_bucket}: {store.path} has {len(rows)} test images")
        rows = np.sort(stream(seed, "evaluation images").permutation(rows)[:per_bucket])
    ratios = masks.index[masks.index["split"] == "test"].set_index("row")["ratio"]
    tables, notes = [], {}
    for number, bucket in enumerate(BUCKETS):
        free = masks.rows("test", bucket=bucket, touches_border=False)
        reaching = masks.rows("test", bucket=bucket, touches_border=True)
        if not len(free) + len(reaching):
            raise InputError(f"mask store {masks.path} has no test masks in the bucket {bucket}")
        deck = _Deck(free, reaching, stream(seed, "evaluation masks", number))
        dealt = [deck.draw(position % 2) for position in range(len(rows))]
        tables.append(
            pd.DataFrame(
                {
                    "bucket": bucket,
                    "image_row": rows,
                    "image_id": store.ids[rows],
                    "mask_row": dealt,
                    "ratio": ratios.loc[dealt].to_numpy(),
                }
            )
        )
        notes[bucket] = {
            "images": len(rows),
            "masks": len(free) + len(reaching),
            "times_through_the_masks": deck.deals,
            "of_the_other_border_kind": deck.short_of_kind,
        }
    return pd.concat(tables, ignore_index=True), notes


def write_pairs(
    path: str | Path, store: FaceStore, masks: MaskStore, *, seed: int, per_bucket: int | None = None
) -> EvaluationPairs:
    """Draw the pairs (see `draw_pairs`), write `path` (.csv) and its card (.json) beside it; open them."""
    path = Path(path)
    if path.suffix != ".csv":
        raise InputError(f"evaluation pairs {path}: the file name has to end in .csv")
    table, notes = draw_pairs(store, masks, seed=seed, per_bucket=per_bucket)
    text = table.to_csv(index=False, lineterminator="\n")
    card = {
        "dataset": store.name,
        "seed": seed,
        "pairs": len(table),
        "buckets": notes,
        "faces_sha256": store.card["sha256"],
        "masks_sha256": masks.card["sha256"],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    write_text(path, text)
    write_json(_card_path(path), card)
    return EvaluationPairs.open(path)


class EvaluationPairs:
    """Evaluation pairs, opened for reading. table: columns `COLUMNS`; card: the JSON beside it."""

    def __init__(self, path: Path, table: pd.DataFrame, card: dict[str, Any]) -> None:
        self.path = path
        self.table = table
        self.card = card

    @classmethod
    def open(cls, path: str | Path) -> EvaluationPairs:
        """Open a pair table; raises InputError if it or its card is missing, or if it was edited."""
        path = Path(path)
        for file in (path, _card_path(path)):
            if not file.is_file():
                raise InputError(f"evaluation pairs {file} do not exist; run the stage that prepares them")
        content = path.read_bytes()
        try:
            card = json.loads(_card_path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"evaluation pairs {_card_path(path)} cannot be read ({error})") from error
        if hashlib.sha256(content).hexdigest() != card.get("sha256"):
            raise InputError(
                f"evaluation pairs {path} were changed after they were frozen (the sha256 differs from "
                f"{_card_path(path).name}); restore the file or prepare the pairs again"
            )
        table = pd.read_csv(io.BytesIO(content), dtype={"image_id": str, "bucket": str}, keep_default_na=False)
        return cls(path, table, card)

    @property
    def content_sha256(self) -> str:
        """Digest of what is shown: the pairs' table and the pixels of faces and masks.

        The table's own sha256 has rows and names only, and another data set may have the same ones.
        """
        shown = (self.card[key] for key in ("sha256", "faces_sha256", "masks_sha256"))
        return hashlib.sha256(" ".join(shown).encode()).hexdigest()

    def bucket(self, name: str, per_bucket: int | None = None) -> pd.DataFrame:
        """The pairs of one bucket in their order, the first `per_bucket` of them if given.

        Any even number of first pairs has as many border-free masks as others (where there are enough masks).
        Raises InputError for an unknown bucket or a limit below 1.
        """
        if name not in BUCKETS:
            raise InputError(f"bucket {name!r}: allowed are {', '.join(BUCKETS)}")
        if per_bucket is not None and per_bucket < 1:
            raise InputError(f"per_bucket={per_bucket}: at least one pair is needed")
        return self.table[self.table["bucket"] == name].head(per_bucket or len(self.table)).reset_index(drop=True)

    def require(self, store: FaceStore, masks: MaskStore) -> None:
        """Raise InputError unless the pairs were drawn for exactly these faces and masks."""
        for what, key, opened in (("faces", "faces_sha256", store), ("masks", "masks_sha256", masks)):
            if self.card[key] != opened.card["sha256"]:
                raise InputError(
                    f"evaluation pairs {self.path} were drawn for other {what} than those in {opened.path}; "
                    "prepare the pairs again"
                )
