"""What a trained autoencoder makes of test faces."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from replication.data.loader import images_to_tensor, tensor_to_images
from replication.data.store import FaceStore
from replication.drawing.pictures import Tile, picture_grid, psnr_words
from replication.methods import TrainedRun
from replication.methods.reconstruction.opening import open_autoencoder


def rebuilt_faces(trained: TrainedRun, faces: FaceStore, count: int = 8) -> Figure:
    """The first test faces, and what encoder and decoder make of them."""
    rows = faces.rows("test")[:count]
    with torch.no_grad():
        rebuilt = tensor_to_images(open_autoencoder(trained)(images_to_tensor(np.asarray(faces.images[rows]))))
    pictures = [np.asarray(faces.images[row]) for row in rows]
    grid = [
        [Tile(face) for face in pictures],
        [Tile(again, psnr_words(again, face)) for again, face in zip(rebuilt, pictures, strict=True)],
    ]
    return picture_grid(
        grid, columns=[""] * len(rows), row_labels=["face", "rebuilt"], title=f"{trained.run}: test faces rebuilt"
    )
