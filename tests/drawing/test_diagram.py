"""Boxes on a canvas, and arrows between their sides."""

from __future__ import annotations

import pytest

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
