from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from replication.data.labels import TO_14
from replication.errors import InputError
from replication.losses.semantic import merge_logits, semantic_loss


def test_table_of_fourteen_classes():
    assert len(TO_14) == 19 and set(TO_14.tolist()) == set(range(14))
    assert [label for label, to in enumerate(TO_14) if to == 0] == [0, 6, 9, 15, 16, 18]


def test_merged_probabilities_are_sums_over_each_group():
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, 19, 4, 4)
    merged = merge_logits(logits).softmax(dim=1)
    assert merged.shape == (2, 14, 4, 4)
    expected = torch.zeros(2, 14, 4, 4).index_add_(1, torch.as_tensor(TO_14).long(), logits.softmax(dim=1))
    torch.testing.assert_close(merged, expected)


def test_native_is_cross_entropy_and_merged_is_never_larger():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 19, 4, 4), torch.randint(0, 19, (2, 4, 4))
    native = semantic_loss(logits, labels)
    torch.testing.assert_close(native, F.cross_entropy(logits, labels))
    assert semantic_loss(logits, labels, classes=14) < native


def test_confusion_within_a_group_costs_nothing_after_merging():
    logits = torch.full((1, 19, 2, 2), -30.0)
    logits[:, 16] = 30.0
    hat = torch.full((1, 2, 2), 18)
    assert semantic_loss(logits, hat, classes=14) < 1e-6 < semantic_loss(logits, hat)


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="classes"):
        semantic_loss(torch.zeros(1, 19, 2, 2), torch.zeros(1, 2, 2), classes=15)
    with pytest.raises(InputError, match="channels"):
        semantic_loss(torch.zeros(1, 14, 2, 2), torch.zeros(1, 2, 2))


def test_the_gradient_of_merged_logits_needs_no_scattered_sum():
    """`logits[:, group]` would have one: with several threads its last bits differ from call to call."""
    logits = torch.randn(1, 19, 2, 2, requires_grad=True)
    pending, names = [semantic_loss(logits, torch.zeros(1, 2, 2).long(), classes=14).grad_fn], set()
    while pending:
        if (node := pending.pop()) is not None:
            names.add(node.name().rstrip("0123456789"))
            pending += [before for before, _ in node.next_functions]
    assert "StackBackward" in names and not names & {"IndexBackward", "IndexPutBackward", "GatherBackward"}
