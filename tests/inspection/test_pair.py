"""Looking inside a run: what is opened, what is drawn of it, what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from replication.data.labels import to_14
from replication.data.loader import images_to_tensor
from replication.drawing.style import figure_bytes, read_description
from replication.errors import InputError
from replication.inspection import pair as inspection
from replication.inspection.pair import (
    inspect_pair,
    method_panels,
    named_tensors,
    summary,
    tensor_pages,
    write_inspection,
)
from replication.losses.coordination import coordination_loss
from replication.methods import Method, MethodSettings, Panel, Trace, tensor
from replication.methods.mdrnet.coordination_figure import figure4
from replication.methods.mdrnet.correlation_figure import figure3
from replication.methods.mdrnet.dataflow_figure import figure2
from replication.methods.mdrnet.tensors import INCO2, MDRNET, checked, coordination_tensors, mdrnet_tensors
from replication.methods.opening import open_faces

ALWAYS = ["overview", "spade", "error"]
UNTRAINED = "data/models/slots_32/network/seed_0"
WITH_MEMORY = ["overview", "memory_reads", "slot_usage", "correlation", "spade", "error"]


def test_the_pair_that_is_named_goes_through_the_run(p):
    inside = inspect_pair(p, "full", bucket="20-40%", pair=1)
    assert inside.run == "full" and inside.card["name"] == "full/network/seed_0"
    assert 0.2 < inside.batch["ratios"][0] <= 0.4 and inside.batch["pairs"].tolist() == [1]
    assert inside.title == f"full, image {inside.batch['ids'][0]}, 20-40%"
    face = open_faces(p, "celebahq").images[inside.batch["image_rows"]]
    assert torch.equal(inside.batch["image"], images_to_tensor(np.asarray(face)))
    assert torch.equal(inside.trace.completed, inside.inpainter.inpaint(inside.batch, inside.batch["seeds"]))


def test_the_last_bucket_is_looked_into_by_default(p):
    assert 0.4 < inspect_pair(p, "full").batch["ratios"][0] <= 0.6
    inside = inspect_pair(p, "on_eyes")
    assert inside.title.endswith(", eyes") and inside.batch["exemplar"].shape == (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("run", "panels"),
    [("full", WITH_MEMORY), ("shared_memory", WITH_MEMORY), ("no_mrem_no_dmm", ALWAYS), ("pconv", []), ("on_eyes", [])],
)
def test_every_panel_that_the_run_has_is_drawn_and_nothing_else(p, run, panels):
    drawn = method_panels(inspect_pair(p, run))
    assert [panel.name for panel in drawn] == panels
    assert all(isinstance(figure, Figure) and figure.axes for figure in drawn.values())


def test_the_summary_says_what_was_opened_and_what_the_variant_lacks(p):
    full, ablated, pconv = (summary(inspect_pair(p, run)).iloc[:, 0] for run in ("full", "no_mrem_no_dmm", "pconv"))
    assert full["name"] == "full/network/seed_0" and full["method"] == "mdrnet"
    assert full["dataset_title"] == "drawn faces, studio" and full["parameters"] > 1000
    lacking = {"query", "present", "value", "visible", "read_weights", "read", "correlation"}
    assert set(ablated[ablated == "absent"].index) == lacking and not (full == "absent").any()
    assert (full["named tensors"], ablated["named tensors"], pconv["named tensors"]) == (20, 13, 4)


def test_every_named_tensor_is_on_a_page(p):
    for run, pages in (("full", {"images", "maps", "matrices", "values"}), ("pconv", {"images"})):
        inside = inspect_pair(p, run)
        drawn = tensor_pages(inside)
        assert set(drawn) == pages
        titles = [cell.get_suptitle() for figure in drawn.values() for cell in figure.subfigs]
        assert sorted(filter(None, titles)) == sorted(inside.trace.named())
        assert all(inside.title in figure.texts[0].get_text() for figure in drawn.values())


def test_tensors_come_as_arrays_of_the_first_image(p):
    inside = inspect_pair(p, "full")
    arrays = {each.name: each for each in named_tensors(inside.trace)}
    assert set(arrays) == set(inside.trace.named()) and "log" not in arrays
    assert arrays["present"].array.dtype == np.uint8 and arrays["present"].names[1] == "skin"
    assert arrays["style"].array.dtype == np.float32 and arrays["style"].array.shape == (16, 16, 16)
    assert (arrays["classes"].array == inside.trace.classes[0].numpy()).all()


def test_files_are_those_of_the_notebook(p, tmp_path):
    for run, panels, pages in (
        ("full", WITH_MEMORY, ["images", "maps", "matrices", "values"]),
        ("no_mrem_no_dmm", ALWAYS, ["images", "maps"]),
    ):
        inside = inspect_pair(p, run)
        written = write_inspection(inside, tmp_path / run)
        assert [path.name for path in written] == [f"{n}.png" for n in (*panels, *(f"tensors_{g}" for g in pages))]
        assert sorted(written) == sorted((tmp_path / run).iterdir())
        words = read_description(written[0])
        assert words["title"] == f"Input, coarse face, parsing and completion: {inside.title}"
    again = write_inspection(inspect_pair(p, "no_mrem_no_dmm"), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_an_option_reaches_its_panel_alone(p):
    panels = {panel.name: figure for panel, figure in method_panels(inspect_pair(p, "full", patch=63)).items()}
    assert panels["correlation"].get_suptitle().startswith("Correlation of patch 63: full, image ")
    usual = {panel.name: figure for panel, figure in method_panels(inspect_pair(p, "full")).items()}
    assert [n for n in panels if figure_bytes(panels[n]) != figure_bytes(usual[n])] == ["correlation"]


@pytest.mark.parametrize(
    ("run", "options", "words"),
    [
        ("full", {"bucket": "60-80%"}, "bucket: must be one of 1-20%, 20-40%, 40-60%, got '60-80%'"),
        ("on_eyes", {"bucket": "40-60%"}, "bucket: must be one of eyes, got '40-60%'"),
        ("full", {"pair": 4}, "pair: must be from 0 to 3 in bucket 40-60%, got 4"),
        ("full", {"pair": -1}, "pair: must be from 0 to 3 in bucket 40-60%, got -1"),
        ("full", {"pair": "three"}, "pair: must be a whole number, got 'three'"),
        ("full", {"pair": True}, "pair: must be a whole number, got True"),
        ("full", {"patch": 1.5}, "patch: must be a whole number, got 1.5"),
        ("full", {"pach": 1}, "option 'pach' does not exist; did you mean 'patch'? (allowed: patch)"),
        ("pconv", {"patch": 1}, "option 'patch' does not exist; PConv has no options"),
        ("parser", {}, "run 'parser': face parser (BiSeNet) completes no faces"),
        ("slots_32", {}, f"{UNTRAINED} does not exist: network of 'slots_32' has not been trained yet"),
    ],
)
def test_what_is_not_there_is_refused(p, run, options, words):
    with pytest.raises(InputError) as refused:
        inspect_pair(p, run, **options)
    assert str(refused.value) == words


def test_an_unknown_run_is_refused_by_the_nearest_name(p):
    with pytest.raises(InputError, match=r"^run 'ful' does not exist; did you mean 'full'\?"):
        inspect_pair(p, "ful")


def test_nothing_is_written_when_a_panel_refuses(p, tmp_path):
    inside = inspect_pair(p, "full", patch=64)
    with pytest.raises(InputError, match=r"^patch: must be -1 or from 0 to 63, got 64$"):
        write_inspection(inside, tmp_path)
    assert not list(tmp_path.iterdir())


def test_mdrnet_tensors_have_the_stated_shapes_and_are_those_of_the_pass(p):
    inside = inspect_pair(p, "full")
    tensors = mdrnet_tensors(inside)
    assert set(tensors) == set(MDRNET)
    checked(tensors, MDRNET)
    assert (tensors["attention"] == inside.trace.correlation[0].numpy()).all()
    gamma, beta = inside.trace.gamma[0].numpy(), inside.trace.beta[0].numpy()
    assert (tensors["spade3_gamma"] == gamma).all() and (tensors["spade3_beta"] == beta).all()
    enhanced = tensors["fused"] + tensors["mask_grid"] * tensors["mcm_update"]
    assert np.allclose(tensors["enhanced"], enhanced, atol=1e-5)
    memory = {"queries", "queries_present", "values", "values_present", "weights", "reads", "hits"}
    mining = {"attention", "mcm_query", "mcm_key", "mcm_value", "mcm_update"}
    assert set(MDRNET) - set(mdrnet_tensors(inspect_pair(p, "no_mrem_no_dmm"))) == memory | mining


def test_coordination_tensors_are_those_of_the_loss(p):
    inside = inspect_pair(p, "full", bucket="1-20%")
    t = coordination_tensors(inside)
    assert set(t) == set(INCO2)
    checked(t, INCO2, INCO2)
    encoder, image = inside.inpainter.encoder, inside.batch["image"]
    labels = to_14(inside.inpainter.first_stage.parser.labels(image))
    loss = coordination_loss(encoder(inside.trace.raw), encoder(image), inside.batch["mask"], labels)
    for kind in ("intra", "inter"):
        gaps = np.abs(t[f"{kind}_real"] - t[f"{kind}_inpainted"])[t[f"{kind}_valid"] == 1]
        assert gaps.size and gaps.mean() == pytest.approx(getattr(loss, kind).item(), rel=1e-4)


def test_figures_2_to_4_are_drawn_of_a_pair(p):
    inside = inspect_pair(p, "full")
    for draw, words in ((figure2, "Figure 2. "), (figure3, "Figure 3. "), (figure4, "Figure 4. ")):
        texts = [text.get_text() for text in draw(inside, subtitle="what was run").axes[0].texts]
        assert texts[0].startswith(words) and texts[1] == "what was run"
    with pytest.raises(InputError, match=r"tensor 'queries' .* is missing"):
        figure2(inspect_pair(p, "no_mrem_no_dmm"))


# The notebook

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_inspect.ipynb"


def run_notebook(monkeypatch, **parameters) -> list:
    """Everything that the notebook displays, its parameters replaced as papermill does."""
    displayed = []
    monkeypatch.setattr("IPython.display.display", displayed.append)
    names: dict = {}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            assert set(parameters) <= names.keys()
            names |= parameters
        elif cell.source.endswith("summary(inside)"):
            displayed.append(eval("summary(inside)", names))
    return displayed


def test_the_notebook_shows_summary_tensors_and_titled_panels(p, monkeypatch):
    frame, *shown = run_notebook(monkeypatch, bucket="20-40%", pair=1, options={"patch": 3})
    assert frame.columns[0].startswith("full, image ") and frame.columns[0].endswith(", 20-40%")
    kinds = [type(each).__name__ for each in shown]
    assert kinds == ["Image"] * 4 + ["Markdown", "Image"] * 6
    assert shown[4].data == "### Input, coarse face, parsing and completion"
    assert [type(each).__name__ for each in run_notebook(monkeypatch, run="pconv")[1:]] == ["Image"]


# A system that this suite has never seen


@dataclass(frozen=True)
class NewTrace(Trace):
    """One tensor of every kind that the others lack."""

    sharpness: torch.Tensor = tensor("scalar", "s, a number")
    codes: torch.Tensor = tensor("vectors", "w, style codes")
    unused: torch.Tensor = tensor("map", "what this variant has not")


def draw_nothing(inside, *, level: str = "fine") -> Figure | None:
    return None


def test_a_new_system_is_shown_without_a_line_of_its_own(p, monkeypatch):
    inside = inspect_pair(p, "pconv")
    shown = {name: value for name, (value, _) in inside.trace.named().items() if name != "raw"}
    trace = NewTrace(**shown, sharpness=torch.tensor([2.5]), codes=torch.randn(1, 3, 4).bfloat16())
    inside = replace(inside, trace=trace, card=inside.card | {"method": "new"})
    new = Method("new", "New", "none", MethodSettings, (), "nowhere", panels=(Panel("nothing", "-", f"{__name__}:x"),))
    monkeypatch.setattr(inspection, "method", lambda name: {"new": new}[name])
    monkeypatch.setattr(inspection, "function", lambda reference: draw_nothing)
    assert method_panels(inside) == {}
    pages = tensor_pages(inside)
    assert set(pages) == {"images", "matrices", "values"} and trace.absent() == ("unused",)
    assert pages["values"].subfigs[0].get_supxlabel() == "s, a number\n2.5"
    inspection._check_options(new, {"level": "coarse"})
    with pytest.raises(InputError, match=r"^level: must be like 'fine', got 3$"):
        inspection._check_options(new, {"level": 3})
