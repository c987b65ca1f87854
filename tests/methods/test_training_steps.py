"""Every training of every system, with networks of random weights: equal trainings are equal to the last bit on several
threads, and the memory layout decides rounding and nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from replication import distributed
from replication.data.loader import TrainingBatches
from replication.doctor.stand_ins import StandIns
from replication.methods import Training
from replication.methods.registry import methods
from replication.profile_files import load_profile
from replication.training.update import Updater

SMOKE = load_profile("smoke")
PARTS = [(name, part.name) for name, one in methods().items() for part in one.run_parts if SMOKE.run_names(name)]
ADDED_UP_IN_ANY_ORDER = ("IndexBackward", "IndexPutBackward", "TakeBackward", "PutBackward", "ScatterAddBackward")
"""Nodes of a graph whose backward scatters with `index_put_(accumulate=True)`: with several threads (or on a GPU, with
atomic additions) the order of the sums, and so their last bits, differ from call to call where an index is repeated.
`index_select`, `F.embedding` and products with one-hot matrices do not.
"""


@pytest.fixture(scope="module")
def stand_ins():
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    with StandIns(SMOKE, "cpu", items=8) as made:
        yield made
    torch.set_num_threads(threads)


@pytest.fixture
def training(stand_ins, request):
    """(trainable, batch) of a part; a copy, so that every test begins with the same weights."""
    name, part_name = request.param
    part, run = methods()[name].part(part_name), SMOKE.run_names(name)[0]
    made = stand_ins.made(run, part)
    if not isinstance(made, Training):
        pytest.skip("published weights: nothing is trained")
    task = stand_ins.task(run, part)
    batches = TrainingBatches(task.faces, task.masks, batch_size=4, seed=0, fields=part.fields, **made.batches)
    return made.trainable, batches.batch(0)


def steps(trainable, batch, *, count: int = 2, layout=torch.contiguous_format) -> dict[str, Tensor]:
    """Weights and scalars after steps of a copy, with each step's random numbers seeded anew as the loop does."""
    trainable = copy.deepcopy(trainable).to(memory_format=layout)
    trainable.train()
    moved = {
        key: value.contiguous(memory_format=layout) if isinstance(value, Tensor) and value.ndim == 4 else value
        for key, value in batch.items()
    }
    update = Updater(trainable.optimizers(), distributed.current(), torch.device("cpu"))
    for step in range(count):
        torch.manual_seed(step)
        update.begin(step, None)
        scalars = trainable.training_step(moved | {"step": step, "images_seen": 4 * step}, update)
    return dict(trainable.state_dict()) | {f"scalar {name}": value for name, value in scalars.items()}


def graph(loss: Tensor) -> Iterator[str]:
    """Names of all nodes that a loss was made with."""
    pending, seen = [loss.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node.name()
        pending += [before for before, _ in node.next_functions]


every_training = pytest.mark.parametrize("training", PARTS, ids=":".join, indirect=True)


@every_training
def test_two_equal_trainings_at_two_threads_give_equal_bytes(training):
    a, b = steps(*training), steps(*training)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@every_training
def test_no_gradient_is_added_up_in_any_order(training):
    trainable, batch = training
    trainable, found = copy.deepcopy(trainable).train(), {}
    trainable.optimizers()

    def look(name, loss):
        found[name] = set(graph(loss))

    trainable.training_step(batch | {"step": 0, "images_seen": 0}, look)
    assert found and all(len(nodes) > 3 for nodes in found.values())
    assert [n for nodes in found.values() for n in nodes if n.startswith(ADDED_UP_IN_ANY_ORDER)] == []


@every_training
def test_the_memory_layout_changes_nothing_but_rounding(training):
    """The scalars of a first step: before any update, rounding cannot have grown."""
    plain, last = (steps(*training, count=1, layout=one) for one in (torch.contiguous_format, torch.channels_last))
    names = [name for name in plain if name.startswith("scalar ")]
    assert names
    for name in names:
        torch.testing.assert_close(last[name], plain[name], rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_the_graph_of_a_table_that_is_indexed_is_told_from_one_that_is_selected_from():
    table, index = torch.randn(3, 2, requires_grad=True), torch.tensor([0, 2, 2])
    assert any(name.startswith(ADDED_UP_IN_ANY_ORDER) for name in graph(table[index].sum()))
    selected = table.index_select(0, index), torch.nn.functional.embedding(index, table)
    for taken in (*selected, table[:2], table[..., ::2]):
        assert not any(name.startswith(ADDED_UP_IN_ANY_ORDER) for name in graph(taken.sum()))
