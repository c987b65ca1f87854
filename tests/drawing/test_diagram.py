"""Boxes on a canvas, and arrows between their sides."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm

from replication.drawing import style
from replication.drawing.diagram import Box, Diagram


def test_sides_are_the_middles_of_the_edges():
    box = Box(2.0, 1.0, 1.0, 0.5)
    assert [box.side(name) for name in ("left", "right", "top", "bottom")] == [
        (1.5, 1.0), (2.5, 1.0), (2.0, 1.25), (2.0, 0.75)
    ]  # fmt: skip
    assert box.side("right", 0.1) == (2.5, pytest.approx(1.1)) and box.side("top", 0.1) == (pytest.approx(2.1), 1.25)


@pytest.mark.parametrize(
    ("end", "points"),
    [
        ((3, 1), [(1.5, 1), (2.5, 1)]),
        ((-1, 1), [(0.5, 1), (-0.5, 1)]),
        ((1, 3), [(1, 1.25), (1, 2.75)]),
        ((1, -1), [(1, 0.75), (1, -0.75)]),
    ],
)
def test_a_link_joins_the_sides_that_face_each_other(monkeypatch, end, points):
    drawn = []
    monkeypatch.setattr(Diagram, "arrow", lambda self, given, **options: drawn.append(given))
    diagram = style.styled(Diagram)(4, 4, title="t")
    diagram.link(Box(1, 1, 1, 0.5), Box(*end, 1, 0.5))
    assert drawn == [points]


LONG = "; ".join(f"training steps: {k},000 for a_run_with_a_long_name_{k}" for k in range(12))


@pytest.mark.parametrize("subtitle", ["", "profile: demo", LONG])
def test_a_header_stands_above_the_canvas_however_long_it_is(subtitle):
    diagram = style.styled(Diagram)(12.0, 5.0, title="Figure 9. A title", subtitle=subtitle)
    renderer = FigureCanvasAgg(diagram.figure).get_renderer()
    for text in diagram.axes.texts:
        room = text.get_window_extent(renderer).transformed(diagram.axes.transData.inverted())
        assert room.y0 > 5.0 and room.y1 <= diagram.figure.get_figheight() and room.x1 < 12.0


def test_a_colour_scale_names_its_ends():
    diagram = style.styled(Diagram)(4, 4, title="t")
    diagram.scale(2, 2, Normalize(0.0, 0.25), words="weights")
    diagram.scale(2, 1, LogNorm(0.001, 10))
    diagram.scale(2, 3, TwoSlopeNorm(0.0, -3, 3))
    said = [text.get_text() for text in diagram.axes.texts if text.get_text()][1:]
    assert said == ["0", "0.25", "weights", "0.001", "10", "log", "-3", "3", "0"]
    for image, ends in zip(diagram.axes.images, ((0.0, 0.25), (0.001, 10), (-3, 3)), strict=True):
        values = image.get_array()
        assert (values[0, 0], values[0, -1]) == pytest.approx(ends) and np.all(np.diff(values[0]) > 0)
