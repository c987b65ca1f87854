"""Batches of faces, and training batches as a pure function of (seed, step).

Nothing here has state that would need saving: a run resumed at step s asks for batch s and gets the batch
that it would have got. The whole data set is a memory-mapped array, so a batch is one fancy index and one
conversion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from replication.data.fields import OPTIONAL_FIELDS
from replication.data.labels import mirror
from replication.data.masks import MaskStore
from replication.data.random_streams import stream
from replication.data.store import FaceStore
from replication.errors import InputError


def images_to_tensor(images: np.ndarray, flips: np.ndarray | None = None) -> torch.Tensor:
    """uint8 (B,H,W,C) or (B,H,W) in 0..255 -> float32 (B,C,H,W) in [-1,1], C = 1 for the latter.

    flips: bool (B,), which images to mirror left to right.
    """
    channels_last = images[..., None] if images.ndim == 3 else images
    planes = channels_last.transpose(0, 3, 1, 2)
    # In NumPy, because torch would spread this over threads that the training step is using. Divided and not
    # multiplied by 1/127.5, which would miss 1.0 at 255.
    signed = np.empty(planes.shape, dtype=np.float32)
    if flips is None:
        signed[...] = planes
    else:  # mirrored on the way: turning the interleaved bytes first would take longer than all the rest
        for k, flip in enumerate(flips.tolist()):
            signed[k] = planes[k, :, :, ::-1] if flip else planes[k]
    signed /= np.float32(127.5)
    signed -= np.float32(1)
    return torch.from_numpy(signed)


def tensor_to_images(images: torch.Tensor) -> np.ndarray:
    """float (B,C,H,W) in [-1,1] (clamped) -> uint8 (B,H,W,C), rounded to the nearest value."""
    scaled = images.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def masks_to_tensor(masks: np.ndarray) -> torch.Tensor:
    """uint8 {0,1} (B,H,W) -> float32 (B,1,H,W), 1 = hole."""
    return torch.from_numpy(masks[:, None].astype(np.float32))


def gather_batch(
    store: FaceStore,
    image_rows: np.ndarray,
    holes: np.ndarray | None,
    *,
    fields: Iterable[str] = (),
    flips: np.ndarray | None = None,
) -> dict[str, Any]:
    """The batch of some faces of a store.

    image_rows: int (B,). holes: uint8 {0,1} (B,H,W), or None for a batch without `mask`. fields: of
    `OPTIONAL_FIELDS`. flips: bool (B,), which faces are mirrored: their pixels, label map (left and right labels
    exchanged), landmarks and boxes; holes are not. Returns image float32 (B,3,H,W) in [-1,1], mask float32
    (B,1,H,W), ids (list of B texts), and of the fields: parsing int64 (B,H,W), attributes float32 (B,A),
    identity int64 (B,), landmarks float32 (B,5,2) and boxes float32 (B,2,4) in pixels.
    """
    flipped = np.flatnonzero(flips) if flips is not None else np.zeros(0, dtype=np.int64)
    image = images_to_tensor(np.asarray(store.images[image_rows]), flips)
    batch: dict[str, Any] = {"image": image}
    if holes is not None:
        batch["mask"] = masks_to_tensor(holes)
    wanted = set(fields)
    if "parsing" in wanted:
        parsing = np.asarray(store.parsing[image_rows])
        parsing[flipped] = mirror(parsing[flipped])
        batch["parsing"] = torch.from_numpy(parsing.astype(np.int64))
    if "attributes" in wanted:
        batch["attributes"] = torch.from_numpy(store.attributes[image_rows])
    if "identity" in wanted:
        batch["identity"] = torch.from_numpy(store.identities[image_rows])
    if "landmarks" in wanted:
        points = store.landmarks[image_rows]
        points[flipped, :, 0] = store.size - points[flipped, :, 0]
        points[flipped] = points[flipped][:, [1, 0, 2, 4, 3]]  # left and right change names
        batch["landmarks"] = torch.from_numpy(points)
    if "boxes" in wanted:
        boxes = store.boxes[image_rows]
        boxes[np.ix_(flipped, range(boxes.shape[1]), [0, 2])] = store.size - boxes[flipped][:, :, [2, 0]]
        batch["boxes"] = torch.from_numpy(boxes)
    batch["ids"] = store.ids[image_rows].tolist()
    return batch


class TrainingBatches:
    """Training batches of faces with holes; `batch(step)` depends on nothing but the arguments and the step.

    store, masks: opened stores of one size; holes come from the training masks. Without masks (None) batches
    have no `mask`.
    batch_size: of all ranks together; rank r of `world_size` gets the r-th part of every batch.
    image_rows: rows of the store to train on; by default those of the training split.
    flip: mirror every second face, by chance. fields: optional fields that every batch has to hold.
    fixed_pairs: with N, the faces, masks and flips come from a fixed table of N pairs, visited in a new order each
    time round. Entry j is the j-th sample that training without the table would see under `fixed_pairs_seed` (by
    default `seed`): trainings of other seeds visit the same table in other orders. What frozen networks make of an
    entry can then be computed once (`assemble`) and added to every batch:
    extras: name -> array (N, ...) aligned with the table. Those named in `extra_images` are uint8 pictures
    (N,H,W,3) or (N,H,W), added as float32 (B,C,H,W) in [-1,1]; other integers are added as int64, floats as
    float32. Faces and masks are each shuffled without replacement, once round before the next time round.
    Raises InputError for sizes that differ, fields that the store lacks, or numbers that do not fit.
    """

    def __init__(
        self,
        store: FaceStore,
        masks: MaskStore | None,
        *,
        batch_size: int,
        seed: int,
        image_rows: np.ndarray | None = None,
        flip: bool = True,
        fields: Iterable[str] = (),
        fixed_pairs: int | None = None,
        fixed_pairs_seed: int | None = None,
        extras: Mapping[str, np.ndarray] | None = None,
        extra_images: Iterable[str] = (),
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if masks is not None and store.size != masks.size:
            raise InputError(
                f"faces of {store.size} px ({store.path}) cannot have masks of {masks.size} px ({masks.path})"
            )
        if batch_size < 1 or batch_size % world_size:
            raise InputError(f"batch_size={batch_size}: it has to be a positive multiple of the {world_size} processes")
        if not 0 <= rank < world_size:
            raise InputError(f"rank={rank}: ranks go from 0 to {world_size - 1}")
        if fixed_pairs is not None and fixed_pairs < 1:
            raise InputError(f"fixed_pairs={fixed_pairs}: a table has at least one pair")
        self.fields = frozenset(fields) - {"image", "mask"}
        unknown = sorted(self.fields - set(OPTIONAL_FIELDS))
        if unknown:
            raise InputError(f"batch field {unknown[0]!r} is unknown; allowed are {', '.join(OPTIONAL_FIELDS)}")
        store.require(self.fields)
        self._rows = store.rows("train") if image_rows is None else np.asarray(image_rows, dtype=np.int64)
        if not len(self._rows):
            raise InputError("image_rows is empty: there is nothing to train on")
        self._extras = dict(extras or {})
        self._extra_images = frozenset(extra_images)
        for name, array in self._extras.items():
            if fixed_pairs is None or len(array) != fixed_pairs:
                raise InputError(
                    f"extra {name!r} has {len(array)} rows; it has to be aligned with {fixed_pairs} fixed pairs"
                )
        if self._extra_images - set(self._extras):
            raise InputError(
                f"extra_images names {sorted(self._extra_images - set(self._extras))[0]!r}, which is no extra"
            )
        self.store, self.masks = store, masks
        self.batch_size, self.seed, self.flip = batch_size, seed, flip
        self.fixed_pairs = fixed_pairs
        self._sample_seed = seed if fixed_pairs is None or fixed_pairs_seed is None else fixed_pairs_seed
        self._share = batch_size // world_size
        self._first = rank * self._share
        self._orders: dict[tuple[str, int], np.ndarray] = {}

    @property
    def image_count(self) -> int:
        """How many different faces there are to train on."""
        return len(self._rows)

    def _order(self, purpose: str, epoch: int, count: int, seed: int) -> np.ndarray:
        """The shuffled numbers 0..count-1 of one time round; the last few are kept."""
        key = (purpose, epoch)
        order = self._orders.get(key)
        if order is None:
            if len(self._orders) >= 16:
                self._orders.clear()
            order = self._orders[key] = stream(seed, purpose, epoch).permutation(count)
        return order

    def _shuffled(self, purpose: str, numbers: np.ndarray, count: int, seed: int) -> np.ndarray:
        """Item at each place of an endless sequence that goes round `count` items, shuffled each time."""
        out = np.empty(len(numbers), dtype=np.int64)
        for epoch in np.unique(numbers // count).tolist():
            here = numbers // count == epoch
            out[here] = self._order(purpose, epoch, count, seed)[numbers[here] % count]
        return out

    def samples(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image rows (B,), training mask rows (B,) and flips bool (B,) of samples 0, 1, 2, ... of the stream.

        With fixed pairs, sample j is pair j. Without masks, their rows are empty.
        """
        numbers, seed = np.asarray(numbers, dtype=np.int64), self._sample_seed
        image_rows = self._rows[self._shuffled("training images", numbers, len(self._rows), seed)]
        mask_rows = np.zeros(0, dtype=np.int64)
        if self.masks is not None:
            mask_rows = self._shuffled("training masks", numbers, len(self.masks.train), seed)
        # Half of each time round is flipped, by the same kind of shuffle; another round flips another half.
        flips = self._shuffled("training flips", numbers, max(2, len(self._rows)), seed) % 2 == 1
        return image_rows, mask_rows, flips & self.flip

    def fixed_pair(self, j: int) -> tuple[int, int, bool]:
        """Image row, training mask row and flip of fixed pair j."""
        if self.fixed_pairs is None or not 0 <= j < self.fixed_pairs:
            raise InputError(f"fixed pair {j}: there are {self.fixed_pairs or 0}")
        image_rows, mask_rows, flips = self.samples(np.array([j]))
        return int(image_rows[0]), int(mask_rows[0]), bool(flips[0])

    def assemble(self, numbers: np.ndarray) -> dict[str, Any]:
        """The batch of given samples of the stream, or fixed pairs; adds `pairs`, their numbers."""
        image_rows, mask_rows, flips = self.samples(numbers)
        holes = None if self.masks is None else np.asarray(self.masks.train[mask_rows])
        batch = gather_batch(self.store, image_rows, holes, fields=self.fields, flips=flips)
        for name, array in self._extras.items():
            rows = np.asarray(array[numbers])
            if name in self._extra_images:
                batch[name] = images_to_tensor(rows)
            else:
                batch[name] = torch.from_numpy(rows.astype(np.float32 if rows.dtype.kind == "f" else np.int64))
        batch["pairs"] = np.asarray(numbers, dtype=np.int64)
        return batch

    def numbers(self, step: int) -> np.ndarray:
        """Numbers of this rank's samples (or fixed pairs) at a step, from 0."""
        places = step * self.batch_size + self._first + np.arange(self._share, dtype=np.int64)
        # (The purpose's text decides the order: another word would be another run.)
        return places if self.fixed_pairs is None else self._shuffled("bank order", places, self.fixed_pairs, self.seed)

    def batch(self, step: int) -> dict[str, Any]:
        """This rank's part of the batch of a step, from 0; its fields: see `gather_batch` and `assemble`."""
        return self.assemble(self.numbers(step))
