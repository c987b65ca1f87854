"""Drawn faces: a seeded renderer of varied faces with exact labels, for profiles without real photos."""

from replication.data.drawn_faces.labels import ATTRIBUTES, BOXES, LABELS, LANDMARKS
from replication.data.drawn_faces.person import DISTRIBUTIONS
from replication.data.drawn_faces.render import DrawnFace, FaceBatch, draw_face, draw_faces

__all__ = [
    "ATTRIBUTES",
    "BOXES",
    "DISTRIBUTIONS",
    "LABELS",
    "LANDMARKS",
    "DrawnFace",
    "FaceBatch",
    "draw_face",
    "draw_faces",
]
