"""Every kind of tensor is drawn with its name, meaning, shape and range; what does not fit its kind is refused."""

from __future__ import annotations

import numpy as np
import pytest

from replication.data.labels import CLASSES_14, COLOURS, COLOURS_14
from replication.drawing import style
from replication.drawing.traces import AXES, NamedTensor, trace_pages
from replication.errors import InputError
from replication.methods import KINDS

RNG = np.random.default_rng(0)


def example(kind: str, name: str = "", **more) -> NamedTensor:
    """A tensor of a kind with sizes that are all different."""
    arrays = {
        "picture": RNG.uniform(-1, 1, (3, 8, 9)).astype(np.float32),
        "mask": RNG.integers(0, 2, (1, 8, 9)).astype(np.float32),
        "labels": RNG.integers(0, 19, (8, 9)),
        "map": RNG.normal(size=(6, 4, 5)),
        "matrix": RNG.uniform(size=(7, 11)),
        "vectors": RNG.normal(size=(14, 5)),
        "flags": RNG.integers(0, 2, 14).astype(np.uint8),
        "scalar": np.array(0.125, np.float32),
    }
    return NamedTensor(name or kind, kind, f"what {kind} means", arrays[kind], **more)


def cells(figure) -> dict[str, str]:
    """Name of each tensor on a page -> the words below it."""
    return {cell.get_suptitle(): cell.get_supxlabel().strip() for cell in figure.subfigs if cell.get_suptitle()}


def test_there_is_a_way_to_draw_every_kind():
    assert tuple(AXES) == KINDS
    pages = trace_pages([example(kind) for kind in KINDS], title="run, image 7")
    assert list(pages) == ["images", "maps", "matrices", "values"]
    found = {name: words for figure in pages.values() for name, words in cells(figure).items()}
    assert set(found) == set(KINDS)
    assert all(words.startswith(f"what {kind} means\n") for kind, words in found.items())
    shapes = {kind: words.splitlines()[-1].split(",")[0] for kind, words in found.items()}
    assert shapes == {
        "picture": "3 × 8 × 9", "mask": "1 × 8 × 9", "labels": "8 × 9", "map": "6 × 4 × 5", "matrix": "7 × 11",
        "vectors": "14 × 5", "flags": "14", "scalar": "0.125",
    }  # fmt: skip
    assert found["labels"].endswith("8 × 9, 0 to 18") and found["mask"].endswith("1 × 8 × 9, 0 to 1")
    assert all(figure.texts[0].get_text().endswith(": run, image 7") for figure in pages.values())


def test_equal_tensors_give_equal_bytes():
    tensors = [example(kind) for kind in KINDS]
    first, second = (trace_pages(tensors, title="t") for _ in range(2))
    assert [style.figure_bytes(f, dpi=40) for f in first.values()] == [
        style.figure_bytes(f, dpi=40) for f in second.values()
    ]


def test_a_kind_that_is_absent_has_no_page():
    assert list(trace_pages([example("scalar")])) == ["values"]
    assert trace_pages([]) == {}


def test_many_tensors_go_on_on_further_pages():
    pages = trace_pages([example("map", f"map {i}") for i in range(13)])
    assert list(pages) == ["maps", "maps_2", "maps_3"]
    assert [len(cells(figure)) for figure in pages.values()] == [6, 6, 1]
    assert [name for figure in pages.values() for name in cells(figure)] == [f"map {i}" for i in range(13)]
    assert pages["maps_3"].texts[0].get_text() == "Feature maps (3 of 3)"
    assert all(figure.get_figwidth() == pages["maps"].get_figwidth() for figure in pages.values())


def drawn(tensor: NamedTensor) -> np.ndarray:
    """What imshow was given for the only tensor of a page."""
    (figure,) = trace_pages([tensor]).values()
    return np.asarray(figure.subfigs[0].axes[0].images[0].get_array())


def test_pictures_are_shown_as_they_are():
    tensor = example("picture")
    tensor.array[:, 0, 0] = (-1, 1, 0)
    tensor.array[:, 0, 1] = (-7, 7, 0)  # an unbounded output is cut, its range is told
    shown = drawn(tensor)
    assert shown.shape == (8, 9, 3) and shown.dtype == np.uint8
    assert shown[0, 0].tolist() == shown[0, 1].tolist() == [0, 255, 128]
    assert "-7 to 7" in tensor.numbers()


@pytest.mark.parametrize(("names", "colours"), [((), COLOURS), (CLASSES_14, COLOURS_14)])
def test_labels_have_the_colours_and_names_of_their_classes(names, colours):
    tensor = NamedTensor("s", "labels", "-", np.array([[0, 1, 13], [5, 5, 1]], np.uint8), names)
    assert (drawn(tensor) == colours[tensor.array]).all()
    (figure,) = trace_pages([tensor]).values()
    words = [text.get_text() for text in figure.subfigs[0].axes[0].get_legend().get_texts()]
    assert words == (["background", "skin", "right eye", "neck"] if names else ["background", "skin", "r eye", "l lip"])


def test_classes_that_no_one_knows_get_colours_of_their_own():
    tensor = NamedTensor("s", "labels", "-", np.array([[0, 1, 2]]), ("sky", "sea", "the_land"))
    assert len(np.unique(drawn(tensor)[0], axis=0)) == 3


@pytest.mark.parametrize(("label", "names", "highest"), [(19, (), 18), (-1, (), 18), (3, ("a", "b"), 1)])
def test_a_label_without_a_class_is_refused(label, names, highest):
    tensor = NamedTensor("parsing", "labels", "-", np.array([[0, label]], np.int8), names)
    with pytest.raises(InputError, match=f"^tensor 'parsing': has the label {label}; labels are from 0 to {highest}$"):
        trace_pages([tensor])


def test_rows_of_vectors_and_flags_carry_their_names():
    (figure,) = trace_pages([example("vectors", names=CLASSES_14)]).values()
    assert [text.get_text() for text in figure.subfigs[0].axes[0].get_yticklabels()][:3] == [
        "background", "skin", "left brow"
    ]  # fmt: skip
    (figure,) = trace_pages([example("flags", names=CLASSES_14)]).values()
    assert [text.get_text() for text in figure.subfigs[0].axes[0].get_xticklabels()][13] == "neck"


def test_matrices_are_drawn_around_zero_where_they_have_signs_and_over_their_range_where_not():
    for array, ends in ((np.array([[-2.0, 1.0]]), (-2, 2)), (np.array([[0.5, 0.75]]), (0.5, 0.75))):
        (figure,) = trace_pages([NamedTensor("m", "matrix", "-", array)]).values()
        norm = figure.subfigs[0].axes[0].images[0].norm
        assert (norm.vmin, norm.vmax) == pytest.approx(ends, rel=0.01)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("labels", "flags", "mask")])
def test_values_that_are_not_finite_are_told_and_drawn(kind):
    tensor = example(kind)
    tensor.array.reshape(-1)[0] = np.nan
    assert tensor.lost == 1 and tensor.numbers().endswith("; 1 NOT FINITE")
    for everything in (False, True):
        if everything:
            tensor.array[...] = np.inf
        (figure,) = trace_pages([tensor]).values()
        assert style.figure_bytes(figure, dpi=40)
        (title,) = [text for text in figure.subfigs[0].texts if text.get_text() == kind]
        assert title.get_color() == style.COLOURS[1]


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
@pytest.mark.parametrize("kind", ["map", "matrix", "vectors", "picture"])
def test_constant_tensors_are_drawn(kind, value):
    tensor = NamedTensor("t", kind, "-", np.full_like(example(kind).array, value))
    (figure,) = trace_pages([tensor]).values()
    assert style.figure_bytes(figure, dpi=40)


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("picture", (4, 8, 8), "tensor 't' is declared as picture, whose shape is (B, 3, H, W); it has (B, 4, 8, 8)"),
        ("mask", (8, 8), "tensor 't' is declared as mask, whose shape is (B, 1, H, W); it has (B, 8, 8)"),
        ("labels", (1, 8, 8), "tensor 't' is declared as labels, whose shape is (B, H, W); it has (B, 1, 8, 8)"),
        ("vectors", (0, 4), "tensor 't' is declared as vectors, whose shape is (B, n, d); it has (B, 0, 4)"),
        ("scalar", (1,), "tensor 't' is declared as scalar, whose shape is (B); it has (B, 1)"),
        ("image", (3, 8, 8), "tensor 't': its kind is 'image', allowed are " + ", ".join(KINDS)),
    ],
)
def test_a_tensor_that_does_not_fit_its_kind_is_named(kind, shape, words):
    with pytest.raises(InputError) as refused:
        NamedTensor("t", kind, "-", np.zeros(shape))
    assert str(refused.value) == words
