from __future__ import annotations

import matplotlib
import pytest

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
    words = {"title": "Tïtle — ünicode ✓", "caption": "Caption <b>&", "alt": "Alt"}
    path = style.save_figure(drawing(), tmp_path / "figure", svg=True, **words)
    assert path.name == "figure.png"
    assert path.with_suffix(".svg").is_file()
    assert style.read_description(path) == words


def test_names_with_dots_keep_them(tmp_path):
    assert style.save_figure(drawing(), tmp_path / "v1.5.png", title="", caption="", alt="").name == "v1.5.png"


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="png and svg"):
        style.figure_bytes(drawing(), kind="gif")


def test_the_callers_settings_survive():
    before = matplotlib.rcParams["font.size"]
    drawing()
    assert matplotlib.rcParams["font.size"] == before
