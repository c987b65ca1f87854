from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from replication.drawing import style
from replication.errors import InputError
from replication.methods.mdrnet.coordination_figure import coordination_diagram
from replication.methods.mdrnet.correlation_figure import (
    FIGURE3_TENSORS,
    central_hole_patch,
    correlation_diagram,
    patch_grid,
)
from replication.methods.mdrnet.dataflow_figure import FIGURE2_TENSORS, network_diagram
from replication.methods.mdrnet.tensors import INCO2, MDRNET, checked


def test_figures_draw_from_arrays_of_the_stated_shapes_with_equal_bytes(network, coordination):
    figures = ((network_diagram, network), (correlation_diagram, network), (coordination_diagram, coordination))
    for draw, tensors in figures:
        first = style.figure_bytes(draw(tensors, subtitle="what was run"), dpi=40)
        assert first == style.figure_bytes(draw(tensors, subtitle="what was run"), dpi=40)


def test_the_fixture_covers_every_named_tensor(network, coordination):
    assert set(network) == set(MDRNET)
    assert set(coordination) == set(INCO2)
    assert set(FIGURE2_TENSORS) | set(FIGURE3_TENSORS) <= set(MDRNET)
    checked(network, MDRNET)
    checked(coordination, INCO2, INCO2)


def test_the_drawing_does_not_change_the_tensors(network):
    before = {key: array.copy() for key, array in network.items()}
    network_diagram(network)
    correlation_diagram(network)
    assert all((before[key] == network[key]).all() for key in before)


@pytest.mark.parametrize("size", [2, 1792])
def test_any_number_of_slots_is_drawn(network, size):
    network["weights"] = np.full((14, size), 1 / size)
    del network["hits"]
    network_diagram(network)


@pytest.mark.parametrize("hole", [0, 1])
def test_a_face_without_holes_or_all_hole_is_drawn(network, coordination, hole):
    for tensors in (network, coordination):
        tensors["mask"] = np.full_like(tensors["mask"], hole)
    network["mask_grid"] = np.full_like(network["mask_grid"], hole)
    coordination["intra_valid"] = np.full((14, 14), hole)
    network_diagram(network)
    correlation_diagram(network)
    coordination_diagram(coordination)


def test_figure_4_prints_the_loss_over_valid_pairs_only(coordination):
    coordination["intra_valid"] = np.zeros((14, 14), np.uint8)
    coordination["intra_valid"][1, 6] = 1
    coordination["intra_real"][1, 6], coordination["intra_inpainted"][1, 6] = 0.25, 0.75
    figure = coordination_diagram(coordination)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "loss: mean 0.5000" in texts


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("style", None, "'style'.*missing"),
        ("style", np.zeros((2, 3)), r"shape \(2, 3\)"),
        ("queries", np.zeros((14, 5)), r"'queries' has shape \(14, 5\).*c in \(n c\) is 12"),
        ("weights", np.full((13, 8), 1 / 8), "n in .* is 14"),
        ("coarse", np.zeros((32, 32, 3)), "'coarse' must be a uint8 picture"),
        ("mask", np.full((32, 32), 255, np.uint8), r"'mask' must lie in 0\.\.1"),
        ("labels", np.full((32, 32), 18, np.uint8), r"'labels' must lie in 0\.\.13"),
        ("fused", np.full((12, 16, 16), np.nan), "'fused' has values that are not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_named(network, key, value, words):
    if value is None:
        del network[key]
    else:
        network[key] = value
    with pytest.raises(InputError, match=words):
        network_diagram(network)


def test_patches_are_numbered_row_by_row():
    mask = np.zeros((8, 8), np.uint8)
    mask[4:8, 2:4] = 1
    assert patch_grid(mask, 16) == (4, 4)
    assert patch_grid(np.zeros((4, 8)), 8) == (2, 4)
    assert central_hole_patch(mask, 16) in (9, 13)
    mask[4, 2] = 0  # patch 9 is no longer all hole
    assert central_hole_patch(mask, 16) == 13
    with pytest.raises(InputError, match="no 15 equal square patches"):
        patch_grid(mask, 15)


def test_a_patch_outside_the_grid_is_refused(network):
    with pytest.raises(InputError, match="patch 64: the grid has patches 0 to 63"):
        correlation_diagram(network, patch=64)


def test_drawing_imports_no_torch():
    modules = ("panels", "dataflow_figure", "correlation_figure", "coordination_figure")
    imports = "; ".join(f"import replication.methods.mdrnet.{module}" for module in modules)
    code = f"{imports}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_coloured_by_value_has_a_scale(network, coordination):
    said = [text.get_text() for text in correlation_diagram(network).axes[0].texts]
    attention = network["attention"].max()
    assert (
        "log" in said and f"{attention:.2g}" in said and said.count("0") >= 2
    )  # attention; one patch's; what is added
    figure = coordination_diagram(coordination)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert {"pooled features", "intra similarity", "inter similarity"} <= {*said}
    valid = coordination["intra_valid"].astype(bool)
    gap = np.abs(coordination["intra_real"] - coordination["intra_inpainted"])[valid]
    assert {f"{gap.min():.2g}", f"{gap.max():.2g}"} <= {*said}
    said = [text.get_text() for text in network_diagram(network).axes[0].texts]
    assert "read weights" in said and "$Q$, $V$, reads" in said


def test_a_decibel_has_a_name(network):
    said = [text.get_text() for text in network_diagram(network).axes[0].texts if "dB" in text.get_text()]
    assert said and all("PSNR" in words for words in said)
