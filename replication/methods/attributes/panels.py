"""What a trained attribute network knows about test faces."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from replication.data.loader import images_to_tensor
from replication.data.store import ATTRIBUTE_PREFIX, FaceStore
from replication.drawing import style
from replication.methods import TrainedRun
from replication.methods.attributes.opening import open_classifier


@style.styled
def accuracy_by_attribute(trained: TrainedRun, faces: FaceStore) -> Figure:
    """Balanced accuracy per attribute on all test faces: the mean over both answers, 50 % is chance."""
    network, rows = open_classifier(trained), faces.rows("test")
    with torch.no_grad():
        parts = [part for part in np.array_split(rows, len(rows) // 64 + 1) if len(part)]
        said = np.concatenate([(network(images_to_tensor(np.asarray(faces.images[p]))) > 0).numpy() for p in parts])
    names = [column for column in faces.index.columns if column.startswith(ATTRIBUTE_PREFIX)]
    true = faces.index.iloc[rows][names].to_numpy() > 0.5
    scores = {}
    for k, name in enumerate(names):
        shares = [(said[true[:, k] == v, k] == v).mean() for v in (True, False) if (true[:, k] == v).any()]
        scores[name.removeprefix(ATTRIBUTE_PREFIX)] = float(np.mean(shares))
    ordered = sorted(scores.items(), key=lambda item: item[1])
    figure = style.new_figure(6.0, 0.19 * len(ordered) + 0.9, layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in ordered], [100 * score for _, score in ordered])
    axes.axvline(50, color=style.MUTED, linewidth=0.8)
    axes.set(
        xlim=(0, 100),
        xlabel="balanced accuracy on test faces (%; the line is chance)",
        title=f"{trained.run}: the network whose features make FD",
    )
    return figure
