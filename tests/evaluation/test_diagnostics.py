"""What a method tells of its passes is averaged over images; a method that tells nothing is asked as ever."""

from __future__ import annotations

import math

import pytest
import torch

from replication.errors import RunError
from replication.evaluation.diagnostics import Diagnostics


class Silent:
    def inpaint(self, batch, seeds):
        return batch["image"] + len(seeds)


class Telling(Silent):
    def __init__(self, *numbers):
        self.numbers = iter(numbers)

    def inpaint_with_diagnostics(self, batch, seeds):
        return self.inpaint(batch, seeds), next(self.numbers)


def batch(count: int):
    return {"image": torch.zeros(count, 3, 2, 2)}


def told(*numbers, counts=(2, 1)) -> Diagnostics:
    found, inpainter = Diagnostics("full"), Telling(*numbers)
    for count in counts:
        assert torch.equal(found.inpaint(inpainter, batch(count), range(count)), batch(count)["image"] + count)
    return found


def test_means_are_over_images_and_leave_out_those_without_a_number():
    first = {"slots": torch.tensor([1.0, 2.0]), "patches": torch.tensor([math.nan, 3.0])}
    found = told(first | {"never": torch.full((2,), math.nan)}, {
        "slots": torch.tensor([2.0]), "patches": torch.tensor([math.nan]), "never": torch.tensor([math.nan]),
    })  # fmt: skip
    assert found.means(4) == {"slots": 1.6667, "patches": 3.0}


def test_a_method_that_tells_nothing_is_asked_for_completions_alone():
    found = Diagnostics("full")
    assert torch.equal(found.inpaint(Silent(), batch(2), [0, 1]), batch(2)["image"] + 2)
    assert found.means(3) == {} and told({}, {}).means(3) == {}


def test_numbers_that_belong_to_no_image_are_refused():
    with pytest.raises(RunError, match=r"^full: diagnostic 'slots' must be one number an image, \(B,\)$"):
        told({"slots": torch.tensor(1.0)})
    with pytest.raises(RunError, match=r"^full: diagnostic 'slots' was not told for every batch$"):
        told({"slots": torch.zeros(2)}, {})
    with pytest.raises(RunError, match=r"^full: diagnostic 'patches' was not told for every batch$"):
        told({}, {"patches": torch.zeros(1)})
