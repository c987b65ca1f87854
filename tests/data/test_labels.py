from __future__ import annotations

import numpy as np
import pytest
import torch

from replication.data.labels import (
    CLASSES_14,
    COLOURS,
    COLOURS_14,
    FROM_G_MASK,
    G_MASK,
    LABELS,
    MIRRORED,
    MIRRORED_14,
    TO_14,
    colourise,
    map_labels,
    mirror,
    to_14,
)
from replication.errors import InputError


def test_the_14_classes_are_the_table_of_the_psgan_family():
    assert TO_14.tolist() == [0, 1, 2, 3, 4, 5, 0, 11, 12, 0, 6, 8, 7, 9, 13, 0, 0, 10, 0]
    assert set(TO_14.tolist()) == set(range(14))
    assert [LABELS[k] for k in (6, 9, 15, 16, 18)] == ["eye_g", "ear_r", "neck_l", "cloth", "hat"]
    assert CLASSES_14[TO_14[LABELS.index("u_lip")]] == "upper_lip"
    assert CLASSES_14[TO_14[LABELS.index("mouth")]] == "mouth"
    assert CLASSES_14[TO_14[LABELS.index("hair")]] == "hair"


def test_mirroring_swaps_exactly_the_pairs_named_left_and_right():
    for k, name in enumerate(LABELS):
        pair = {"l_brow": "r_brow", "l_eye": "r_eye", "l_ear": "r_ear"}
        pair |= {right: left for left, right in pair.items()}
        assert LABELS[MIRRORED[k]] == pair.get(name, name)
    # l_lip is the lower lip: it has no left and right
    assert MIRRORED[LABELS.index("l_lip")] == LABELS.index("l_lip")


def test_mirroring_commutes_with_the_reduction_to_14():
    assert np.array_equal(TO_14[MIRRORED], MIRRORED_14[TO_14])


def test_g_mask_order_is_the_same_labels_by_name():
    assert sorted(G_MASK) == sorted(LABELS)
    assert G_MASK.index("hair") == 13 and G_MASK.index("neck") == 17 and G_MASK.index("nose") == 2
    assert [LABELS[FROM_G_MASK[k]] for k in range(19)] == list(G_MASK)


def test_numpy_and_torch_agree():
    maps = np.arange(19, dtype=np.uint8).reshape(1, 1, 19)
    tensor = torch.from_numpy(maps)
    assert to_14(tensor).dtype == torch.int64
    assert np.array_equal(to_14(maps), to_14(tensor).numpy())
    assert np.array_equal(mirror(maps), mirror(tensor).numpy())
    assert np.array_equal(mirror(mirror(maps)), maps)
    assert map_labels(tensor, COLOURS).shape == (1, 1, 19, 3)


def test_colours_are_distinct():
    assert COLOURS.shape == (19, 3) and COLOURS_14.shape == (14, 3) and COLOURS.dtype == np.uint8
    assert len(np.unique(COLOURS, axis=0)) == 19
    assert len(np.unique(COLOURS_14, axis=0)) == 14
    hair = LABELS.index("hair")
    assert np.array_equal(COLOURS_14[TO_14[hair]], COLOURS[hair])
    assert np.array_equal(colourise(np.array([[hair]]))[0, 0], COLOURS[hair])


def test_a_label_outside_the_set_is_refused():
    with pytest.raises(InputError, match=r"label 19 .* 0 to 18"):
        to_14(np.array([3, 19], dtype=np.uint8))
    with pytest.raises(InputError, match="14 classes"):
        colourise(np.zeros((2, 2), np.uint8), classes=5)
