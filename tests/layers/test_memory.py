"""The disentangled memory: which slot a batch writes, how it is read, what a query can make of it at most."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from replication import distributed
from replication.layers.memory import DisentangledMemory, perplexity, relative_norm, slots_hit

CLASSES, SLOTS, CHANNELS = 5, 6, 8


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def memory(started: bool = True, **options) -> DisentangledMemory:
    """A memory whose start is done: slots stay where they are at the first update."""
    m = DisentangledMemory(CLASSES, SLOTS, CHANNELS, **options)
    m.started.fill_(started)
    return m


def batch(size: int = 3):
    visible = torch.rand(size, CLASSES) < 0.7
    return torch.randn(size, CLASSES, CHANNELS), torch.randn(size, CLASSES, CHANNELS), visible


def everyone(size: int) -> torch.Tensor:
    return torch.ones(size, CLASSES, dtype=torch.bool)


# State


def test_state():
    with torch.device("meta"):
        full = DisentangledMemory(14, 128, 512)
    assert full.slots.shape == (14, 128, 512) and full.slots.numel() == 917_504
    assert not list(full.parameters())
    assert {"slots", "hits", "started"} == set(full.state_dict())


@pytest.mark.parametrize(
    ("slots", "count"), [(32, 229_376), (64, 458_752), (256, 1_835_008), (512, 3_670_016), (128, 917_504)]
)
@pytest.mark.parametrize("shared", [False, True])
def test_sizes_of_table_4(slots, count, shared):
    with torch.device("meta"):
        m = DisentangledMemory(14, slots, 512, shared=shared)
    assert m.slots.numel() == count
    assert m.slots.shape[0] == (1 if shared else 14)


# Start


def test_random_slots_start_as_unit_directions_scaled_once_to_the_mean_norm_of_v():
    m = memory(started=False, decay=1.0, start="random")
    directions = m.slots.clone()
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(CLASSES, SLOTS))
    query, value, visible = batch()
    value = value * torch.rand(3, CLASSES, 1) * 7
    m.update(query, value, visible)
    norm = value[visible].norm(dim=-1).mean()
    torch.testing.assert_close(m.slots, directions * norm)
    m.update(query, value * 10, visible)
    torch.testing.assert_close(m.slots, directions * norm)


@pytest.mark.parametrize("start", ["random", "data"])
def test_a_first_batch_without_visible_classes_leaves_the_slots(start):
    m = memory(started=False, start=start)
    before = m.slots.clone()
    query, value, _ = batch()
    m.update(query, value, torch.zeros(3, CLASSES, dtype=torch.bool))
    assert torch.equal(m.slots, before) and not m.started.any()
    m.update(query, value, everyone(3))
    assert m.started.all() and m.slots.norm(dim=-1).min() > 0


@pytest.mark.parametrize("shared", [False, True])
def test_slots_may_start_around_the_mean_of_their_class(shared):
    m = DisentangledMemory(CLASSES, 2000, CHANNELS, start="data", decay=1.0, shared=shared)
    query, value, _ = batch(6)
    value = value + 3 * torch.randn(CLASSES, CHANNELS)
    visible = everyone(6)
    visible[:, 1] = False  # a class that the first batch does not show ...
    directions = m.slots.clone()
    m.update(query, value, visible)
    slots = m.slots.view(CLASSES, -1, CHANNELS)
    assert m.started.tolist() == [True, False, True, True, True]
    assert torch.equal(slots[1], directions.view(CLASSES, -1, CHANNELS)[1])
    shown = [0, 2, 3, 4]
    torch.testing.assert_close(slots[shown].mean(1), value.mean(0)[shown], atol=0.2, rtol=0)
    within = value[:, shown].var(0, unbiased=True).sum(-1).mean().sqrt()  # how far V is from its class's mean
    away = (slots[shown] - value.mean(0)[shown][:, None]).norm(dim=-1)
    torch.testing.assert_close(away, within.expand_as(away))
    later = torch.randn(1, CLASSES, CHANNELS)  # ... starts with the first one that does, here with a single image
    m.update(query[:1], later, everyone(1))
    torch.testing.assert_close(slots[1].mean(0), later[0, 1], atol=0.3, rtol=0)
    assert m.started.all() and torch.equal(slots[shown], m.slots.view(CLASSES, -1, CHANNELS)[shown])


def test_a_class_that_is_seen_late_leaves_the_slots_that_others_wrote():
    """All classes choose among all slots of a shared memory, also among those that have not started."""
    m = DisentangledMemory(CLASSES, SLOTS, CHANNELS, start="data", decay=0.5, shared=True)
    query, value, _ = batch(6)
    query = m.slots[0, SLOTS : SLOTS + CLASSES][None].expand(6, -1, -1).clone()  # along slots of class 1 ...
    visible = everyone(6)
    visible[:, 1] = False  # ... which no picture shows
    m.started[[0, 2, 3, 4]] = True
    m.update(query, value, visible)
    written = m.hits[0] > 0
    assert written[SLOTS : 2 * SLOTS].any()
    before = m.slots[0, written].clone()
    m.decay = 1.0  # moves nothing more
    m.update(query, value, everyone(6))
    assert m.started.all() and torch.equal(m.slots[0, written], before)
    rest = m.slots[0, SLOTS : 2 * SLOTS][~written[SLOTS : 2 * SLOTS]]
    assert len(rest) and not torch.allclose(rest.norm(dim=-1), torch.ones(len(rest)))  # these were placed by the data


@pytest.mark.parametrize("slots", [32, 128, 512])
def test_random_slots_leave_a_read_without_length_and_the_start_by_data_does_not(slots):
    """The mean of m directions of length 1 is about 1/sqrt(m) long, and equation 4 reads little else."""
    query, value = torch.randn(8, CLASSES, 64), torch.randn(8, CLASSES, 64) / 4 + torch.randn(CLASSES, 64)
    norms = {}
    for start in ("random", "data"):
        m = DisentangledMemory(CLASSES, slots, 64, start=start)
        m.update(query, value, everyone(8))
        norms[start] = relative_norm(m.read(query, everyone(8))[0], value, everyone(8)).item()
    assert norms["random"] < 1.5 / math.sqrt(slots) + 0.05 and 0.85 < norms["data"] < 1.1
    assert DisentangledMemory(CLASSES, slots, 64).start == "data"


def test_slots_ever_hit_are_counted():
    m = memory(decay=0.9)
    query = m.slots[:, 1][None].clone()
    visible = everyone(1)
    visible[:, 4] = False  # a class never written is left out
    assert [m.update(query, query, visible)["memory_slots_hit"].item() for _ in range(3)] == [1, 1, 1]
    assert m.update(m.slots[:, 3][None].clone(), query, visible)["memory_slots_hit"] == 2
    assert m.update(query, query, everyone(1))["memory_slots_hit"].item() == pytest.approx((4 * 2 + 1) / 5)
    assert slots_hit(torch.zeros(2, 3)) == 0
    shared = DisentangledMemory(CLASSES, SLOTS, CHANNELS, shared=True)
    assert shared.update(*batch()[:2], everyone(3))["memory_slots_hit"] == (shared.hits > 0).sum()


def test_the_norm_of_reads_is_taken_relative_to_that_of_visible_values():
    read, value = torch.randn(2, CLASSES, CHANNELS), torch.randn(2, CLASSES, CHANNELS)
    visible = torch.rand(2, CLASSES) < 0.6
    expected = read[visible].norm(dim=-1).sum() / value[visible].norm(dim=-1).sum()
    torch.testing.assert_close(relative_norm(read, value, visible), expected)
    assert relative_norm(3 * value, value, visible).item() == pytest.approx(3)
    assert relative_norm(read, value, torch.zeros_like(visible)) == 0


def test_perplexity_of_writes():
    hits = torch.tensor([[4.0, 4, 4, 4], [8, 0, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(perplexity(hits), torch.tensor((4 + 1) / 2))  # a class never written is left out
    assert perplexity(torch.zeros(2, 3)) == 0


@pytest.mark.parametrize("shared", [False, True])
def test_a_larger_memory_starts_with_the_slots_of_a_smaller_one(shared):
    """Disentangled: per class. One block for all: the same vectors in another arrangement."""
    directions = torch.randn(9, CLASSES, CHANNELS)
    small, large = memory(), DisentangledMemory(CLASSES, 9, CHANNELS, shared=shared)
    small.set_directions(directions[:SLOTS])
    large.set_directions(4 * directions)
    assert torch.equal(large.slots.reshape(CLASSES, 9, CHANNELS)[:, :SLOTS], small.slots)


# Update


def test_one_sample_moves_one_slot_per_visible_class():
    m = memory(decay=0.9)
    before = m.slots.clone()
    query, value, _ = batch(1)
    visible = torch.tensor([[True, False, True, True, False]])
    m.update(query, value, visible)
    changed = (m.slots != before).any(-1)
    assert changed.sum(1).tolist() == [1, 0, 1, 1, 0]
    for i in (0, 2, 3):
        j = F.cosine_similarity(before[i], query[0, i][None], dim=-1).argmax()  # by Q, within the own class
        assert changed[i, j]
        torch.testing.assert_close(m.slots[i, j] - before[i, j], 0.1 * (value[0, i] - before[i, j]))
    assert torch.equal(m.hits, changed.float())


def test_the_slot_is_chosen_by_q_and_filled_with_v():
    m = memory(decay=0.0)
    query = m.slots[:, 2][None].clone()  # exactly slot 2 of each class
    value = m.slots[:, 4][None] * 3  # V itself would choose slot 4
    log = m.update(query, value, everyone(1))
    torch.testing.assert_close(m.slots[:, 2], value[0])
    assert m.hits.sum(0).tolist() == [0, 0, 5, 0, 0, 0]
    assert log["memory_agreement"] == 0
    assert m.update(query * 0 + m.slots[:, 1], m.slots[:, 1][None].clone(), everyone(1))["memory_agreement"] == 1


def test_decay_one_changes_nothing_and_decay_zero_sets_the_slot():
    query, value, visible = batch()
    still = memory(decay=1.0)
    before = still.slots.clone()
    still.update(query, value, visible)
    assert torch.equal(still.slots, before)
    m = memory(decay=0.0)
    m.update(query[:1], value[:1], everyone(1))
    hit = m.hits > 0
    torch.testing.assert_close(m.slots[hit], value[0])


def test_vectors_on_one_slot_are_averaged_and_their_order_does_not_matter():
    m, permuted = memory(decay=0.9), memory(decay=0.9)
    permuted.load_state_dict(m.state_dict())
    query = m.slots[:, 3][None] + 0.01 * torch.randn(4, CLASSES, CHANNELS)
    value = torch.randn(4, CLASSES, CHANNELS)
    before = m.slots.clone()
    m.update(query, value, everyone(4))
    torch.testing.assert_close(m.slots[:, 3], 0.9 * before[:, 3] + 0.1 * value.mean(0))
    assert torch.equal(m.hits[:, 3], torch.full((CLASSES,), 4.0))
    order = [2, 0, 3, 1]
    permuted.update(query[order], value[order], everyone(4))
    torch.testing.assert_close(m.slots, permuted.slots, rtol=1e-6, atol=1e-7)


def test_invisible_rows_count_for_nothing():
    m, fewer = memory(), memory()
    fewer.load_state_dict(m.state_dict())
    query, value, visible = batch(4)
    m.update(query, torch.where(visible[..., None], value, torch.full_like(value, 1e6)), visible)
    fewer.update(query, value, visible)
    torch.testing.assert_close(m.slots, fewer.slots)
    assert m.hits.sum() == visible.sum()
    assert torch.equal(m.hits.sum(1), visible.sum(0).float())  # class i never touches block j


def test_ranks_add_up_to_the_joint_batch(monkeypatch):
    """Two ranks, simulated: each all-reduce returns the sum of both ranks' tensors."""
    joint, alone, other = (memory(started=False, start="random") for _ in range(3))
    alone.load_state_dict(joint.state_dict())
    query, value, visible = batch(4)
    joint.update(query, value, visible)

    sent: list[torch.Tensor] = []
    other.load_state_dict(alone.state_dict())
    norms, theirs_visible = value.norm(dim=-1)[2:], visible[2:].float()
    first = [(value[2:] * theirs_visible[..., None]).sum(0)]
    first += [(x * theirs_visible).sum(0)[:, None] for x in (norms, norms**2, torch.ones_like(norms))]
    other.slots.mul_((value.norm(dim=-1) * visible).sum() / visible.sum())  # what both ranks agree on
    chosen = other.similarity(query[2:]).argmax(-1)
    one_hot = F.one_hot(chosen, SLOTS).float() * visible[2:, :, None]
    theirs = [torch.cat(first, 1), torch.einsum("bnm,bnc->nmc", one_hot, value[2:]), one_hot.sum(0)]

    def add(tensor):
        sent.append(tensor)
        return tensor + theirs[len(sent) - 1]

    monkeypatch.setattr(distributed, "all_reduce_sum", add)
    alone.update(query[:2], value[:2], visible[:2])
    assert len(sent) == 3
    torch.testing.assert_close(alone.slots, joint.slots)
    assert torch.equal(alone.hits, joint.hits)


def test_the_update_leaves_no_graph_and_is_float32_under_autocast():
    m = memory()
    query, value, visible = batch()
    query.requires_grad_(True), value.requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16):
        log = m.update(query, value, visible)
        out, weights = m.read(query, everyone(3))
    assert not m.slots.requires_grad and m.slots.dtype == torch.float32
    assert not any(v.requires_grad for v in log.values())
    assert out.dtype == weights.dtype == torch.float32


# Read


def test_a_read_is_a_convex_combination():
    m = memory()
    query, _, _ = batch()
    out, weights = m.read(query, everyone(3))
    assert weights.shape == (3, CLASSES, SLOTS) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, CLASSES))
    low, high = m.slots.amin(1), m.slots.amax(1)
    assert (out >= low - 1e-6).all() and (out <= high + 1e-6).all()
    torch.testing.assert_close(out, torch.einsum("bnm,nmc->bnc", weights, m.slots))


def test_permuted_slots_permute_the_weights_and_leave_the_read():
    m, other = memory(), memory()
    order = torch.randperm(SLOTS)
    other.slots.copy_(m.slots[:, order])
    query, _, _ = batch()
    (out, weights), (out_other, weights_other) = m.read(query, everyone(3)), other.read(query, everyone(3))
    torch.testing.assert_close(weights[..., order], weights_other)
    torch.testing.assert_close(out, out_other)


def test_the_length_of_the_query_does_not_matter():
    m = memory()
    query, _, _ = batch()
    torch.testing.assert_close(m.read(query, everyone(3))[1], m.read(query * 37, everyone(3))[1])


def test_absent_classes_read_zero():
    m = memory()
    query, _, present = batch()
    query[~present] = 0
    out, weights = m.read(query, present)
    assert not out[~present].any() and out[present].abs().sum() > 0
    assert torch.isfinite(weights).all()


def test_class_mean_reads_the_mean_of_the_slots():
    m = memory(read="class_mean")
    query, _, _ = batch()
    out, weights = m.read(query, everyone(3))
    torch.testing.assert_close(weights, torch.full((3, CLASSES, SLOTS), 1 / SLOTS))
    torch.testing.assert_close(out, m.slots.mean(1).expand(3, -1, -1))


@pytest.mark.parametrize(
    ("slots", "shared", "highest", "uniform"),
    [
        (32, False, 0.19248, 0.03125),
        (64, False, 0.10497, 0.01562),
        (128, False, 0.05498, 0.00781),
        (256, False, 0.02816, 0.00391),
        (512, False, 0.01425, 0.00195),
        (128, True, 0.00411, 0.00056),  # 14 * 128 = 1792 slots
    ],
)
def test_bounds_of_a_weight_without_temperature(slots, shared, highest, uniform):
    """e^2/(e^2+m-1) >= a >= 1/(1+(m-1)e^2), reached by one slot along the query and all others opposite."""
    m = DisentangledMemory(14, slots, 4, shared=shared)
    along = torch.tensor([1.0, 0, 0, 0])
    m.slots.copy_(-along)
    m.slots[:, 0] = along
    query = along.expand(1, 14, 4)
    present = torch.ones(1, 14, dtype=torch.bool)
    count = m.slots.shape[1]
    assert m.read(query, present)[1].max().item() == pytest.approx(highest, abs=5e-6)
    assert math.e**2 / (math.e**2 + count - 1) == pytest.approx(highest, abs=5e-6)
    assert 1 / count == pytest.approx(uniform, abs=6e-6)
    m.slots.neg_()
    assert m.read(query, present)[1].min().item() == pytest.approx(1 / (1 + (count - 1) * math.e**2), rel=1e-5)


def test_random_weights_stay_within_the_bounds_and_temperature_leaves_them():
    query = torch.randn(50, CLASSES, CHANNELS)
    low, high = 1 / (1 + (SLOTS - 1) * math.e**2), math.e**2 / (math.e**2 + SLOTS - 1)
    m = memory()
    weights = m.read(query, everyone(50))[1]
    assert weights.min() >= low and weights.max() <= high
    sharp = memory(temperature=0.05)
    sharp.slots.copy_(m.slots)
    sharper = sharp.read(query, everyone(50))[1]
    assert sharper.max() > high
    assert torch.equal(sharper.argmax(-1), weights.argmax(-1))
    logits = m.similarity(query) / 0.05
    torch.testing.assert_close(sharper, logits.softmax(-1))


def test_gradient_reaches_the_query_through_the_weights_and_never_the_slots():
    m = memory()
    query, value, visible = batch()
    query.requires_grad_(True)
    m.update(query, value, visible)
    out, _ = m.read(query, everyone(3))
    m.update(query, value, visible)  # writes in place between forward and backward
    out.square().sum().backward()
    assert m.slots.grad is None and not m.slots.requires_grad
    assert (query.grad.abs().sum(-1) > 0).all()


def test_reading_changes_no_buffer():
    m = memory()
    before = {name: tensor.clone() for name, tensor in m.state_dict().items()}
    query, _, _ = batch()
    first, second = m.read(query, everyone(3))[0], m.read(query, everyone(3))[0]
    assert torch.equal(first, second)
    assert all(torch.equal(before[name], tensor) for name, tensor in m.state_dict().items())


# Shared (Table 4, "Non-Disentangled")


def test_the_shared_memory_is_one_block_that_any_class_may_write_and_reads_whole():
    m = memory(shared=True, decay=0.0)
    assert m.slots.shape == (1, CLASSES * SLOTS, CHANNELS)
    before = m.slots.clone()
    target = 17
    query = before[:, target].expand(1, CLASSES, CHANNELS).clone()
    value = torch.randn(1, CLASSES, CHANNELS)
    m.update(query, value, everyone(1))  # all classes hit the same slot
    torch.testing.assert_close(m.slots[0, target], value[0].mean(0))
    assert (m.slots != before).any(-1).sum() == 1 and m.hits[0, target] == CLASSES
    out, weights = m.read(query, everyone(1))
    assert weights.shape == (1, CLASSES, CLASSES * SLOTS)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, CLASSES))
    torch.testing.assert_close(out[0, 0], weights[0, 0] @ m.slots[0])
