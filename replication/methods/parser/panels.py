"""What a trained parser makes of test faces."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from replication.data.labels import COLOURS
from replication.data.loader import images_to_tensor
from replication.data.store import FaceStore
from replication.drawing.pictures import Tile, picture_grid
from replication.methods import TrainedRun
from replication.methods.parser.opening import open_run


def labels_of_faces(trained: TrainedRun, faces: FaceStore, count: int = 8) -> Figure:
    """The first test faces, their labels, and the true ones where the store has them."""
    rows = faces.rows("test")[:count]
    labels = open_run(trained).labels(images_to_tensor(np.asarray(faces.images[rows]))).numpy()
    pictures = [Tile(np.asarray(faces.images[row])) for row in rows]
    parsed = [Tile(COLOURS[label.astype(np.uint8)]) for label in labels]
    grid, words = [pictures, parsed], ["face", "parsed"]
    if faces.parsing is not None:
        truth = np.asarray(faces.parsing[rows])
        parsed = [
            Tile(tile.image, f"{(label == true).mean():.0%} right")
            for tile, label, true in zip(parsed, labels, truth, strict=True)
        ]
        grid, words = [pictures, parsed, [Tile(COLOURS[true]) for true in truth]], ["face", "parsed", "true labels"]
    return picture_grid(grid, columns=[""] * len(rows), row_labels=words, title=f"{trained.run}: labels of test faces")
