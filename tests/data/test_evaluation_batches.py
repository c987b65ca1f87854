from __future__ import annotations

import numpy as np
import pytest
import torch

from replication.data.evaluation_batches import evaluation_batches, evaluation_fields
from replication.data.loader import images_to_tensor, masks_to_tensor, tensor_to_images
from replication.data.pair_rules import PairRule
from replication.data.pairs import write_pairs
from replication.errors import InputError


def joined(parts: list[dict]) -> dict:
    """Several batches, one after another."""
    out = {}
    for key, value in parts[0].items():
        pieces = [p[key] for p in parts]
        if isinstance(value, torch.Tensor):
            out[key] = torch.cat(pieces)
        else:
            out[key] = np.concatenate(pieces)
        if isinstance(value, list):
            out[key] = [item for piece in pieces for item in piece]
    return out


def test_the_frozen_pairs_in_order(tmp_path, faces, masks):
    pairs = write_pairs(tmp_path / "p.csv", faces, masks, seed=0)
    parts = list(evaluation_batches(faces, masks, pairs, "20-40%", 4, fields=("parsing", "attributes")))
    assert [len(p["ids"]) for p in parts] == [4, 4, 2]
    batch, table = joined(parts), pairs.bucket("20-40%")
    assert batch["ids"] == table["image_id"].tolist() and batch["pairs"].tolist() == list(range(10))
    assert np.array_equal(tensor_to_images(batch["image"]), faces.images[table["image_row"].to_numpy()])
    assert torch.equal(batch["mask"], masks_to_tensor(masks.test[table["mask_row"].to_numpy()]))
    assert batch["mask"].mean(dim=(1, 2, 3)).numpy() == pytest.approx(table["ratio"].to_numpy())
    assert np.array_equal(batch["image_rows"], table["image_row"]) and "parsing" in batch
    assert batch["seeds"] == table["seed"].tolist() and all(type(seed) is int for seed in batch["seeds"])
    assert "exemplar" not in batch and set(batch["exemplar_rows"]) == {-1}
    limited = joined(list(evaluation_batches(faces, masks, pairs, "20-40%", 4, per_bucket=6)))
    assert limited["ids"] == batch["ids"][:6]
    with pytest.raises(InputError, match="batch_size=0"):
        evaluation_batches(faces, masks, pairs, "20-40%", 0)
    with pytest.raises(InputError, match="have irregular holes: the masks are needed, too"):
        evaluation_batches(faces, None, pairs, "20-40%", 4)


def test_exemplars_come_with_their_own_fields(tmp_path, faces):
    rule = PairRule("eyes", "eye_boxes", exemplar="same_identity")
    pairs = write_pairs(tmp_path / "eyes.csv", faces, None, seed=0, rule=rule)
    wanted = ("landmarks", "exemplar", "exemplar_landmarks", "exemplar_attributes")
    (batch,) = evaluation_batches(faces, None, pairs, "eyes", 20, fields=wanted)
    rows = batch["exemplar_rows"]
    assert torch.equal(batch["exemplar"], images_to_tensor(faces.images[rows]))
    assert torch.equal(batch["exemplar_landmarks"], torch.from_numpy(faces.landmarks[rows]))
    assert torch.equal(batch["exemplar_attributes"], torch.from_numpy(faces.attributes[rows]))
    assert torch.equal(batch["landmarks"], torch.from_numpy(faces.landmarks[batch["image_rows"]]))
    assert "attributes" not in batch and "exemplar_ids" not in batch
    assert np.array_equal(faces.identities[rows], faces.identities[batch["image_rows"]])
    assert torch.equal(batch["mask"], masks_to_tensor(pairs.own_holes[batch["mask_rows"]]))


def test_a_field_that_the_pairs_lack_is_refused_before_the_first_batch(tmp_path, faces, masks):
    pairs = write_pairs(tmp_path / "p.csv", faces, masks, seed=0)
    own = {"parsing", "attributes", "identity", "landmarks", "boxes"}
    assert evaluation_fields(faces, pairs) == own
    sentence = r"^the pairs of protocol 'irregular' bring no exemplar; they bring attributes, boxes, identity, "
    with pytest.raises(InputError, match=sentence):
        evaluation_batches(faces, masks, pairs, "20-40%", 4, fields=("exemplar", "parsing"))
    pairs = write_pairs(tmp_path / "p.csv", faces, masks, seed=0, rule=PairRule("irregular", exemplar="other_identity"))
    assert evaluation_fields(faces, pairs) == own | {"exemplar"} | {f"exemplar_{field}" for field in own}
