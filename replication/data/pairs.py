"""Frozen evaluation pairs: which hole is cut into which test image, the same for every method.

Pairing at random again for every evaluation moves FID and PSNR noticeably, so the pairs of a protocol are drawn once,
written as a CSV and sealed with its sha256. Holes that are no irregular masks lie beside it as `<name>_holes.npy`.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.atomic import atomic_file, write_json, write_text
from replication.data.exemplars import draw_exemplars
from replication.data.holes import EYE_BOXES, REGIONS, box_holes, boxes_over_eyes, region_holes
from replication.data.masks import BUCKETS, MaskStore, hole_ratios
from replication.data.pair_rules import PairRule
from replication.data.random_streams import stream
from replication.data.row_files import RowWriter, hash_rows, open_rows
from replication.data.store import FaceStore
from replication.errors import InputError, counted

COLUMNS = ("bucket", "image_row", "image_id", "mask_row", "ratio", "exemplar_row", "seed")
"""exemplar_row: -1 where the protocol has none. seed: of whatever a method draws for this pair."""

_SHOWN = COLUMNS[:5]
_LARGEST_SEED = 2**53  # every language reads integers up to here
_BLOCK = 256  # holes drawn at a time


def _card_path(path: Path) -> Path:
    return path.with_suffix(".json")


def holes_path(path: Path) -> Path:
    """Where the holes of a pair table lie, unless they are irregular masks."""
    return path.with_name(f"{path.stem}_holes.npy")


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


class _Candidates:
    """The test images that a rule can pair, with their exemplars and, for holes over the eyes, their boxes."""

    def __init__(self, store: FaceStore, rule: PairRule, seed: int) -> None:
        self.rows, self.left_out = store.rows("test"), {}
        self.exemplars: dict[int, int] | None = None
        self.boxes: dict[int, np.ndarray] = {}
        if rule.exemplar != "none":
            self.exemplars, self.left_out = draw_exemplars(store, rule.exemplar, seed=seed)
            self.rows = self.rows[np.isin(self.rows, list(self.exemplars))]
        if rule.holes == "eye_boxes":
            boxes = boxes_over_eyes(store, self.rows, seed=seed)
            sides = boxes[..., 2:] - boxes[..., :2]
            seen = (sides.prod(-1) > 0).any(1)
            self.left_out = self.left_out | {"images_with_eyes_outside": int((~seen).sum())}
            self.boxes = dict(zip(self.rows[seen].tolist(), boxes[seen], strict=True))
            self.rows = self.rows[seen]
        if len(self.rows) < 2:
            left = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in self.left_out.items())
            raise InputError(
                f"protocol {rule.protocol!r} on data set {store.name!r}: {counted(len(self.rows), 'test image')} can "
                "be paired, and at least 2 are needed" + (f" (left out: {left})" if left else "")
            )


def pairable(store: FaceStore, rule: PairRule, *, seed: int) -> int:
    """How many test images a rule can pair; InputError if the store lacks a field that the rule needs."""
    rule.require(store.fields, store.name)
    return len(_Candidates(store, rule, seed).rows)


def _irregular(
    store: FaceStore, masks: MaskStore | None, rows: np.ndarray, seed: int
) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    """One test mask per image and bucket."""
    if masks is None or store.size != masks.size:
        found = "no masks" if masks is None else f"masks of {masks.size} px ({masks.path})"
        raise InputError(f"faces of {store.size} px ({store.path}) cannot have {found}")
    ratios = masks.index[masks.index["split"] == "test"].set_index("row")["ratio"]
    tables, notes = [], {}
    for number, bucket in enumerate(BUCKETS):
        free = masks.rows("test", bucket=bucket, touches_border=False)
        reaching = masks.rows("test", bucket=bucket, touches_border=True)
        if not len(free) + len(reaching):
            raise InputError(f"mask store {masks.path} has no test masks in the bucket {bucket}")
        deck = _Deck(free, reaching, stream(seed, "evaluation masks", number))
        dealt = [deck.draw(position % 2) for position in range(len(rows))]
        tables.append(_table(bucket, store, rows, dealt, ratios.loc[dealt].to_numpy()))
        notes[bucket] = {
            "holes": list(BUCKETS[bucket]),
            "images": len(rows),
            "masks": len(free) + len(reaching),
            "times_through_the_masks": deck.deals,
            "of_the_other_border_kind": deck.short_of_kind,
        }
    return tables, notes


def _table(bucket: str, store: FaceStore, rows: np.ndarray, mask_rows: Any, ratios: np.ndarray) -> pd.DataFrame:
    ids = store.ids[rows]
    return pd.DataFrame({"bucket": bucket, "image_row": rows, "image_id": ids, "mask_row": mask_rows, "ratio": ratios})


def _own_holes(
    store: FaceStore, rule: PairRule, rows: np.ndarray, candidates: _Candidates, file: RowWriter
) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    """The pairs of holes at parts of the face, which are appended to a file: `mask_row` is the row there."""
    if rule.holes == "eye_boxes":
        ratios = []
        for start in range(0, len(rows), _BLOCK):
            boxes = np.stack([candidates.boxes[row] for row in rows[start : start + _BLOCK].tolist()])
            holes = box_holes(boxes, store.size)
            ratios.append(hole_ratios(holes))
            file.append(holes)
        parts = {"eyes": (EYE_BOXES, np.arange(len(rows)), np.concatenate(ratios))}
    else:
        holes = region_holes(store, store.rows("test"), rule.regions)
        file.append(holes)
        places = zip(rule.regions, range(len(holes)), hole_ratios(holes), strict=True)
        parts = {name: (REGIONS[name], np.full(len(rows), k), np.full(len(rows), ratio)) for name, k, ratio in places}
    notes = {
        name: {"holes": words, "images": len(rows), "mean_ratio": round(float(ratio.mean()), 6)}
        for name, (words, _, ratio) in parts.items()
    }
    return [_table(name, store, rows, places, ratio) for name, (_, places, ratio) in parts.items()], notes


def sample_seed(seed: int, protocol: str, bucket: str, image_row: int) -> int:
    """The seed of whatever a method draws for one pair: 0 to 2^53 - 1, from these four alone."""
    return int(stream(seed, f"sample, {protocol}, {bucket}", image_row).integers(_LARGEST_SEED))


def write_pairs(
    path: str | Path,
    store: FaceStore,
    masks: MaskStore | None,
    *,
    seed: int,
    per_bucket: int | None = None,
    rule: PairRule | None = None,
) -> EvaluationPairs:
    """Draw one hole per test image and bucket, write `path` (.csv) and its card (.json) beside it; open them.

    masks: of irregular holes; others need none. rule: by default irregular holes and no exemplars.
    per_bucket: use so many test images instead of all that can be paired; the same ones in every bucket, and those of a
    smaller number are among those of a larger one.
    Irregular: in each bucket every second image has a border-free mask and no mask is used twice, as far as there are
    enough; where not, the card says so. Eye boxes: one bucket, "eyes". Regions: one bucket each.
    Raises InputError if the store lacks a field that the rule needs, if sizes differ, a bucket has no test masks, or
    there are fewer than `per_bucket` images.
    """
    path, rule = Path(path), rule or PairRule()
    if path.suffix != ".csv":
        raise InputError(f"evaluation pairs {path}: the file name has to end in .csv")
    rule.require(store.fields, store.name)
    candidates = _Candidates(store, rule, seed)
    rows = candidates.rows
    if per_bucket is not None:
        if not 1 <= per_bucket <= len(rows):
            raise InputError(f"per_bucket={per_bucket}: {store.path} has {len(rows)} test images that can be paired")
        rows = np.sort(stream(seed, "evaluation images").permutation(rows)[:per_bucket])
    if rule.holes == "irregular":
        tables, notes = _irregular(store, masks, rows, seed)
        digest = {"masks_sha256": masks.card["sha256"]}
        holes_path(path).unlink(missing_ok=True)
    else:
        side = store.size
        with atomic_file(holes_path(path)) as temporary, RowWriter(temporary, (side, side), np.uint8) as file:
            tables, notes = _own_holes(store, rule, rows, candidates, file)
        digest = {"holes_sha256": file.sha256, "holes_shape": [file.rows, side, side]}
    table = pd.concat(tables, ignore_index=True)
    exemplars = candidates.exemplars
    table["exemplar_row"] = -1 if exemplars is None else [exemplars[row] for row in table["image_row"].tolist()]
    places = zip(table["bucket"], table["image_row"].tolist(), strict=True)
    table["seed"] = [sample_seed(seed, rule.protocol, bucket, row) for bucket, row in places]
    text = _text(table)
    # Not the seeds: two tables that differ in them alone show the same images with the same holes.
    shown = _text(table[[*_SHOWN, *([] if exemplars is None else ["exemplar_row"])]])
    card = {
        "protocol": rule.protocol,
        "holes": rule.holes,
        "exemplar": rule.exemplar,
        "dataset": store.name,
        "seed": seed,
        "pairs": len(table),
        "buckets": notes,
        "left_out": candidates.left_out,
        "faces_sha256": store.card["sha256"],
        **digest,
        "shown_sha256": hashlib.sha256(shown.encode()).hexdigest(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    write_text(path, text)
    write_json(_card_path(path), card)
    return EvaluationPairs.open(path)


def _text(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")


class EvaluationPairs:
    """Evaluation pairs, opened for reading. table: columns `COLUMNS`; card: the JSON beside it.

    own_holes: uint8 (N,S,S), memory-mapped, where holes are no irregular masks.
    """

    def __init__(
        self, path: Path, table: pd.DataFrame, card: dict[str, Any], own_holes: np.ndarray | None = None
    ) -> None:
        self.path = path
        self.table = table
        self.card = card
        self.own_holes = own_holes

    @classmethod
    def open(cls, path: str | Path) -> EvaluationPairs:
        """Open a pair table; raises InputError if it, its card or its holes are missing, or if they were edited."""
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
        if "shown_sha256" not in card:
            raise InputError(f"evaluation pairs {path} are of an earlier version; prepare them again")
        table = pd.read_csv(io.BytesIO(content), dtype={"image_id": str, "bucket": str}, keep_default_na=False)
        holes = None
        if "holes_sha256" in card:
            holes = open_rows(holes_path(path), tuple(card["holes_shape"]), f"evaluation pairs {path}")
            if hash_rows(holes) != card["holes_sha256"]:
                raise InputError(
                    f"evaluation pairs {path}: {holes_path(path).name} was changed after it was frozen; "
                    "restore the file or prepare the pairs again"
                )
        return cls(path, table, card, holes)

    @property
    def protocol(self) -> str:
        """Name of the protocol that these pairs belong to."""
        return self.card["protocol"]

    @property
    def buckets(self) -> tuple[str, ...]:
        """Names of the buckets in their order."""
        return tuple(self.card["buckets"])

    @property
    def rule(self) -> dict[str, Any]:
        """What a protocol block says of the pairs; an irregular bucket's holes are (low, high] of the ratio."""
        buckets = {name: notes["holes"] for name, notes in self.card["buckets"].items()}
        return {
            "name": self.protocol,
            "holes": self.card["holes"],
            "exemplar": self.card["exemplar"],
            "buckets": buckets,
        }

    @property
    def has_exemplars(self) -> bool:
        """Whether each pair comes with another image."""
        return self.card["exemplar"] != "none"

    @property
    def content_sha256(self) -> str:
        """Digest of what is shown: the pairs' table and the pixels of faces and holes; the seeds play no part.

        The table's own sha256 has rows and names only, and another data set may have the same ones.
        """
        shown = (self.card["shown_sha256"], self.card["faces_sha256"], self.holes_sha256)
        return hashlib.sha256(" ".join(shown).encode()).hexdigest()

    @property
    def holes_sha256(self) -> str:
        """Digest of the masks, or of the holes that lie beside the table."""
        return self.card["masks_sha256" if self.own_holes is None else "holes_sha256"]

    def bucket(self, name: str, per_bucket: int | None = None) -> pd.DataFrame:
        """The pairs of one bucket in their order, the first `per_bucket` of them if given.

        Any even number of first pairs has as many border-free masks as others (where there are enough masks).
        Raises InputError for an unknown bucket or a limit below 1.
        """
        if name not in self.buckets:
            raise InputError(f"bucket {name!r}: allowed are {', '.join(self.buckets)}")
        if per_bucket is not None and per_bucket < 1:
            raise InputError(f"per_bucket={per_bucket}: at least one pair is needed")
        return self.table[self.table["bucket"] == name].head(per_bucket or len(self.table)).reset_index(drop=True)

    def holes(self, table: pd.DataFrame, masks: MaskStore | None) -> np.ndarray:
        """uint8 {0,1} (n,S,S), 1 = hole: the holes of some rows of the table. masks: needed for irregular ones."""
        rows = table["mask_row"].to_numpy()
        return np.asarray((masks.test if self.own_holes is None else self.own_holes)[rows])

    def require(self, store: FaceStore, masks: MaskStore | None) -> None:
        """Raise InputError unless the pairs were drawn for exactly these faces and, where irregular, masks."""
        opened = [("faces", "faces_sha256", store)]
        if self.own_holes is None:
            if masks is None:
                raise InputError(f"evaluation pairs {self.path} have irregular holes: the masks are needed, too")
            opened.append(("masks", "masks_sha256", masks))
        for what, key, one in opened:
            if self.card[key] != one.card["sha256"]:
                raise InputError(
                    f"evaluation pairs {self.path} were drawn for other {what} than those in {one.path}; "
                    "prepare the pairs again"
                )
