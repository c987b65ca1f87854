from __future__ import annotations

import numpy as np
import pytest

from replication.drawing import style
from replication.errors import InputError
from replication.methods.mdrnet import memory_panels, panels
from replication.methods.mdrnet.dataflow_figure import network_diagram
from replication.methods.mdrnet.memory_panels import entropy, lowest_entropy, read_bounds
from replication.methods.mdrnet.tensors import lost_classes

PANELS = {
    "overview_panel": {"image", "mask", "coarse", "labels", "labels_grid", "refined", "completed"},
    "memory_panel": {"weights", "queries_present", "labels", "labels_grid"},
    "slot_usage_panel": {"hits"},
    "correlation_panel": {"image", "mask", "completed", "mask_grid", "attention"},
    "spade_panel": {
        "enhanced",
        "mask_grid",
        *(f"spade{i}_{k}" for i in (1, 2, 3) for k in ("gamma", "beta")),
    },
    "error_panel": {"image", "mask", "coarse", "completed"},
}


@pytest.mark.parametrize("name", PANELS)
def test_panels_need_only_the_tensors_that_they_name(network, name):
    draw = getattr(panels, name)
    own = {key: network[key] for key in PANELS[name]}
    first = style.figure_bytes(draw(own, title="full, image 7"), dpi=40)
    assert first == style.figure_bytes(draw(own, title="full, image 7"), dpi=40)
    with pytest.raises(InputError, match="missing"):
        draw({})


@pytest.mark.parametrize(("slots", "largest"), [(32, 0.19248), (128, 0.05498), (512, 0.01425), (1792, 0.00411)])
def test_bounds_are_those_of_the_softmax_over_cosines(slots, largest):
    low, high = read_bounds(slots)
    assert high == pytest.approx(largest, abs=5e-6)
    cosines = np.full(slots, -1.0)
    cosines[0] = 1
    weights = np.exp(cosines) / np.exp(cosines).sum()
    assert weights.max() == pytest.approx(high)
    opposite = np.exp(-cosines) / np.exp(-cosines).sum()
    assert opposite.min() == pytest.approx(low)
    assert low < 1 / slots < high
    assert read_bounds(slots, temperature=0.1)[1] > high


@pytest.mark.parametrize(("slots", "temperature"), [(2, 1.0), (128, 1.0), (128, 0.1), (1792, 1.0)])
def test_no_read_is_sharper_than_the_lowest_entropy(slots, temperature):
    least = lowest_entropy(slots, temperature)
    random = np.random.default_rng(0)
    for cosines in (*random.uniform(-1, 1, (50, slots)), *np.sign(random.uniform(-1, 0.5, (50, slots)))):
        weights = np.exp(cosines / temperature)
        assert entropy(weights / weights.sum()) >= least - 1e-12
    assert least < np.log(slots)
    if (slots, temperature) == (128, 1.0):
        assert least == pytest.approx(4.378, abs=5e-4)  # at least 79.6 of 128 slots are read


def test_entropy_runs_from_one_slot_to_uniform():
    assert entropy(np.array([[0, 1, 0], [1 / 3] * 3])) == pytest.approx([0, np.log(3)])


def test_a_shared_memory_is_drawn_once_and_unused_slots_survive(network):
    network["hits"] = np.tile(network["hits"][0], (14, 1))
    figure = memory_panels.slot_usage_panel(network)
    assert "shared" in figure.axes[0].get_yticklabels()[0].get_text()
    network["hits"] = np.zeros((14, 8))
    style.figure_bytes(memory_panels.slot_usage_panel(network), dpi=40)
    network["hits"][0, 0] = -1
    with pytest.raises(InputError, match="negative"):
        memory_panels.slot_usage_panel(network)


def test_uniform_reads_and_absent_classes_are_drawn(network):
    network["weights"] = np.full((14, 4), 0.25)
    style.figure_bytes(memory_panels.memory_panel(network), dpi=40)
    network["queries_present"] = np.zeros(14, np.uint8)
    style.figure_bytes(memory_panels.memory_panel(network), dpi=40)


@pytest.mark.parametrize("hole", [0, 1])
def test_faces_without_holes_or_all_hole_are_drawn(network, hole):
    network["mask"] = np.full((32, 32), hole, np.uint8)
    network["mask_grid"] = np.full((16, 16), hole, np.uint8)
    for name in ("correlation_panel", "error_panel", "spade_panel", "overview_panel"):
        style.figure_bytes(getattr(panels, name)(network), dpi=40)


def test_a_patch_outside_the_grid_is_refused(network):
    with pytest.raises(InputError, match="patch 64"):
        panels.correlation_panel(network, patch=64)


def test_a_region_too_small_for_the_feature_grid_is_called_so_in_every_panel(network):
    """The map of every pixel has it, that of every second pixel has not: the panels must not contradict each other."""
    brow, eye, lip = 2, 5, 7
    network["labels"] = np.ones((32, 32), np.uint8)
    network["labels"][9, 5:9] = brow
    network["labels"][20:24, 8:12] = lip
    network["labels_grid"] = network["labels"][::2, ::2]
    network["queries_present"] = np.isin(np.arange(14), np.unique(network["labels_grid"])).astype(np.uint8)
    assert lost_classes(network["labels"], network["labels_grid"]) == {brow}

    legend = [text.get_text() for text in panels.overview_panel(network).legends[0].get_texts()]
    assert legend == ["skin", "left brow *", "upper lip", "* too small for the feature grid"]

    texts = memory_panels.memory_panel(network).axes[0].texts
    said = {round(text.get_position()[1]): text.get_text() for text in texts}
    assert said[brow] == "too small for the feature grid" and said[eye] == "not in the image" and lip not in said

    drawn = [text.get_text() for text in network_diagram(network).axes[0].texts]
    assert "left brow *" in drawn and "upper lip" in drawn and "* too small for the feature grid" in drawn
