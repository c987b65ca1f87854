"""How many slots and patches a pass chooses among, and the sentences made of it."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from tiny_mdrnet import SLOTS, inpainter, pictures

from replication.methods.mdrnet import inertness
from replication.methods.mdrnet.spread import effective_number, spread
from replication.methods.mdrnet.trace import MDRNetTrace


def test_the_effective_number_counts_what_shares_evenly():
    weights = torch.tensor([[0.25] * 4, [0.5, 0.5, 0, 0], [1.0, 0, 0, 0]])
    torch.testing.assert_close(effective_number(weights), torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64))


@pytest.fixture
def passed():
    """Two images of 8 x 8 pixels, a grid of 4 x 4 cells, patches of 2 x 2 cells; the hole is the upper left patch."""
    classes = torch.zeros(2, 8, 8, dtype=torch.int64)
    classes[:, :, 4:] = 3  # outside the hole
    classes[1, :4, :4] = 5
    hole = torch.zeros(2, 1, 4, 4)
    hole[..., :2, :2] = 1
    reads = torch.full((2, 14, 4), 0.25)
    reads[0, 0] = torch.tensor([0.5, 0.5, 0, 0])
    reads[:, 3] = torch.tensor([1.0, 0, 0, 0])
    attention = torch.full((2, 4, 4), 0.25)
    attention[1, 0] = torch.tensor([1.0, 0, 0, 0])
    attention[:, 3] = torch.tensor([0, 1.0, 0, 0])
    return MDRNetTrace(
        masked_input=None, mask=None, completed=None, classes=classes, hole=hole, read_weights=reads,
        correlation=attention,
    )  # fmt: skip


def test_only_what_reaches_into_the_hole_counts(passed):
    found = {name: values.tolist() for name, values in spread(passed).items()}
    assert found == {"slots_read": [2, 4], "slots": [4, 4], "patches_attended": [4, 1], "patches": [4, 4]}
    assert spread(replace(passed, hole=torch.zeros(2, 1, 4, 4)))["slots_read"].isnan().all()


def test_a_variant_tells_only_of_the_modules_that_it_has(passed):
    assert set(spread(replace(passed, correlation=None))) == {"slots_read", "slots"}
    assert spread(replace(passed, correlation=None, read_weights=None)) == {}


@pytest.mark.parametrize(
    ("change", "slots_read", "patches_attended"),
    [
        ({"memory": {"read": "class_mean"}}, SLOTS, None),
        ({"mining": {"attention": "uniform"}}, None, 64),
        ({"memory": {"shared": True, "read": "class_mean"}}, 14 * SLOTS, None),
        ({"memory": {"temperature": 1e-4}}, 1, None),
    ],
)
def test_controls_are_uniform_and_a_cold_read_takes_one_slot(change, slots_read, patches_attended):
    image, mask = pictures()
    made = inpainter(**change)
    output, numbers = made.inpaint_with_diagnostics({"image": image, "mask": mask}, range(4))
    assert torch.equal(output, made.inpaint({"image": image, "mask": mask}, range(4)))
    assert all(values.shape == (4,) for values in numbers.values())
    for name, expected in (("slots_read", slots_read), ("patches_attended", patches_attended)):
        if expected is not None:
            torch.testing.assert_close(numbers[name], torch.full((4,), float(expected)).double(), rtol=0.1, atol=0)


BUCKETS = ("1-20%", "20-40%")


def told(slots_read: float, patches_attended: float | None = None, slots: int = 128) -> dict:
    one = {"slots_read": slots_read, "slots": float(slots)}
    if patches_attended is not None:
        one |= {"patches_attended": patches_attended, "patches": 256.0}
    return dict.fromkeys(BUCKETS, one)


def test_sentences_name_each_row_and_say_what_is_inert():
    full = told(126.04, 255.0)
    full["20-40%"] = full["20-40%"] | {"slots_read": 126.0}
    said = inertness.sentences({"Full": full, "w/o MREM": told(115.2), "sharp": told(40.0, 31.26)})
    assert said[0] == (
        "A memory read (equation 4) spreads over so many slots: Full 126.0 of 128 (inert); "
        "w/o MREM 115.2 of 128 (chooses); sharp 40.0 of 128 (chooses)."
    )
    assert said[1] == (
        "A patch's attention (section 3.3) spreads over so many patches: Full 255.0 of 256 (inert); "
        "sharp 31.3 of 256 (chooses)."
    )
    assert "inert: above 90% of all" in said[2] and len(said) == 3
    assert inertness.sentences({}) == inertness.sentences({"no module": {"1-20%": {}}}) == []


@pytest.mark.parametrize(("effective", "inert"), [(128, True), (115.3, True), (115.2, False), (1, False)])
def test_inert_is_more_than_nine_tenths(effective, inert):
    assert inertness.is_inert(effective, 128) == inert


def test_the_sentences_need_no_torch():
    assert "torch" not in vars(inertness) and inertness.__name__ in sys.modules
