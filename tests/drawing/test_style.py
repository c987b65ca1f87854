from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from replication.data.labels import COLOURS
from replication.drawing import style


@style.styled
def drawing():
    figure = style.new_figure(2, 1)
    figure.subplots().plot([0, 1], [0, 1], label="a")
    return figure


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_figures_give_equal_bytes_without_dates_or_versions(kind):
    first, second = (style.figure_bytes(drawing(), kind=kind, title="t") for _ in range(2))
    assert first == second
    assert matplotlib.__version__.encode() not in first
    assert b"<dc:date>" not in first


def test_a_picture_carries_its_words(tmp_path):
    words = {"title": "Tïtle — ünicode ✓", "caption": "Caption <b>&.", "alt": "Alt"}
    path = style.save_figure(drawing(), tmp_path / "figure", svg=True, **words)
    assert path.name == "figure.png"
    assert path.with_suffix(".svg").is_file()
    assert style.read_description(path) == words


def test_names_with_dots_keep_them(tmp_path):
    assert style.save_figure(drawing(), tmp_path / "v1.5.png", title="", caption="One.", alt="").name == "v1.5.png"


@pytest.mark.parametrize("caption", ["", "Rows: evenly over the hole", "Rows: evenly,"])
def test_a_caption_that_was_cut_is_not_written(tmp_path, caption):
    with pytest.raises(ValueError, match="does not end in a full sentence"):
        style.save_figure(drawing(), tmp_path / "cut.png", title="", caption=caption, alt="")
    assert not list(tmp_path.iterdir())


# Machado, Oliveira and Fernandes 2009: deuteranopia in linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)


def distances(colours: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """CIELAB distances of all pairs of colours (n,3) in 0..1, seen through a matrix of linear RGB."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ seen.T, 0, 1) @ TO_XYZ.T / (0.95047, 1, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    return np.linalg.norm(lab[:, None] - lab, axis=2)[np.triu_indices(len(colours), 1)]


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA], ids=["all cones", "deuteranopia"])
def test_colours_can_be_told_apart_by_deuteranopes_too(seen):
    """A distance of 2.3 is just noticeable side by side; skin, nose, ears and neck were at 3.5."""
    lines = np.array([to_rgb(colour) for colour in style.COLOURS])
    assert distances(lines, seen).min() > 15
    assert distances(COLOURS / 255, seen).min() > 14


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="png and svg"):
        style.figure_bytes(drawing(), kind="gif")


def test_the_callers_settings_survive():
    before = matplotlib.rcParams["font.size"]
    drawing()
    assert matplotlib.rcParams["font.size"] == before
