"""Panels that a stage's notebook shows of its own result, on test faces."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from replication import paths
from replication.config import Parameters
from replication.data.labels import COLOURS
from replication.data.loader import gather_batch, images_to_tensor, tensor_to_images
from replication.data.masks import BUCKETS, MaskStore
from replication.data.store import FaceStore
from replication.drawing import style
from replication.drawing.pictures import Tile, masked_input, picture_grid, psnr
from replication.evaluation.evaluate import read_results
from replication.stages.opening import dataset_of, load_inpainter, load_parser


def completion_panel(parameters: Parameters, name: str, per_bucket: int = 2) -> Figure:
    """The first test faces under test masks of every bucket, completed by a trained experiment or baseline."""
    dataset = dataset_of(parameters, name)
    inpainter, _ = load_inpainter(parameters, name)
    store, masks = FaceStore.open(paths.store(dataset)), MaskStore.open(paths.MASKS)
    faces, rows = store.rows("test"), []
    for number, bucket in enumerate(BUCKETS):
        image_rows = faces[np.arange(per_bucket * number, per_bucket * (number + 1)) % len(faces)]
        holes = np.asarray(masks.test[masks.rows("test", bucket=bucket)[:per_bucket]])
        image_rows = image_rows[: len(holes)]
        batch = gather_batch(store, image_rows, holes)
        completed = tensor_to_images(inpainter.inpaint(batch["image"], batch["mask"]))
        for k, hole in enumerate(holes):
            truth = np.asarray(store.images[image_rows[k]])
            rows.append(
                [
                    Tile(masked_input(truth, hole), f"hole {hole.mean():.0%}"),
                    Tile(completed[k], f"{psnr(completed[k], truth):.1f} dB"),
                    Tile(truth),
                ]
            )
    # Two pairs side by side keep the panel in one screen.
    wide = [left + right for left, right in zip(rows[::2], rows[1::2], strict=False)] or rows
    columns = ["masked input", "completed", "ground truth"] * (len(wide[0]) // 3)
    return picture_grid(wide, columns=columns, title=f"{name}: test faces of {getattr(parameters.data, dataset).title}")


def prior_panel(parameters: Parameters, network: str, count: int = 8) -> Figure | None:
    """What a frozen network makes of test faces: labels, reconstructions, or the attributes' accuracy."""
    panels = {"parser": _parser_panel, "reconstruction": _reconstruction_panel, "attributes": _attribute_panel}
    return panels[network](parameters, count)


def _test_faces(role: str, count: int) -> tuple[FaceStore, np.ndarray, torch.Tensor]:
    store = FaceStore.open(paths.store(role))
    rows = store.rows("test")[:count]
    return store, rows, images_to_tensor(np.asarray(store.images[rows]))


def _parser_panel(parameters: Parameters, count: int) -> Figure:
    store, rows, images = _test_faces("parsing", count)
    labels = load_parser().labels(images).numpy()
    faces = [Tile(np.asarray(store.images[row])) for row in rows]
    parsed = [Tile(COLOURS[label.astype(np.uint8)]) for label in labels]
    grid, words = [faces, parsed], ["face", "parsed"]
    if store.parsing is not None:
        truth = np.asarray(store.parsing[rows])
        parsed = [
            Tile(tile.image, f"{(label == true).mean():.0%} right")
            for tile, label, true in zip(parsed, labels, truth, strict=True)
        ]
        grid, words = [faces, parsed, [Tile(COLOURS[true]) for true in truth]], ["face", "parsed", "true labels"]
    return picture_grid(grid, columns=[""] * len(rows), row_labels=words, title="Face parser on test faces")


def _reconstruction_panel(parameters: Parameters, count: int) -> Figure:
    from replication.methods.reconstruction.network import ReconstructionNetwork
    from replication.training.checkpoint import load_weights

    store, rows, images = _test_faces("celebahq", count)
    tensors, card = load_weights(paths.model("reconstruction"))
    network = ReconstructionNetwork(**card["config"]["network"]).eval()
    network.load_state_dict(tensors)
    with torch.no_grad():
        rebuilt = tensor_to_images(network(images))
    faces = [np.asarray(store.images[row]) for row in rows]
    grid = [
        [Tile(face) for face in faces],
        [Tile(again, f"{psnr(again, face):.1f} dB") for again, face in zip(rebuilt, faces, strict=True)],
    ]
    return picture_grid(
        grid, columns=[""] * len(rows), row_labels=["face", "rebuilt"], title="Reconstruction autoencoder on test faces"
    )


@style.styled
def _attribute_panel(parameters: Parameters, count: int) -> Figure | None:
    """Balanced accuracy per attribute on all test faces; None where the profile trains no such network."""
    from replication.methods.attributes.network import AttributeNetwork
    from replication.training.checkpoint import load_weights

    if parameters.evaluation.extractor != "attributes":
        return None
    store = FaceStore.open(paths.store("attributes"))
    rows = store.rows("test")
    tensors, card = load_weights(paths.model("attributes"))
    network = AttributeNetwork(**card["config"]["network"]).eval()
    network.load_state_dict(tensors)
    with torch.no_grad():
        parts = [part for part in np.array_split(rows, len(rows) // 64 + 1) if len(part)]
        said = np.concatenate([(network(images_to_tensor(np.asarray(store.images[p]))) > 0).numpy() for p in parts])
    names = [c for c in store.index.columns if c.startswith("attr_")]
    true = store.index.iloc[rows][names].to_numpy() > 0.5
    scores = {}
    for k, name in enumerate(names):
        shares = [(said[true[:, k] == v, k] == v).mean() for v in (True, False) if (true[:, k] == v).any()]
        scores[name.removeprefix("attr_")] = float(np.mean(shares))
    ordered = sorted(scores.items(), key=lambda item: item[1])
    figure = style.new_figure(6.0, 0.19 * len(ordered) + 0.9, layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in ordered], [100 * score for _, score in ordered])
    axes.axvline(50, color=style.MUTED, linewidth=0.8)
    axes.set(
        xlim=(0, 100),
        xlabel="balanced accuracy on test faces (%; the line is chance)",
        title="Attribute network, the features behind FD",
    )
    return figure


@style.styled
def metric_spread(name: str) -> Figure:
    """Histograms over images of every per-image metric, by bucket."""
    results = read_results(paths.RESULTS / paths.repeat(name))
    units = {"L1_percent": "L1 (% of full range)", "PSNR": "PSNR (dB)", "SSIM": "SSIM (1 = identical)"}
    figure = style.new_figure(7.6, 2.4, layout="constrained")
    for axes, (metric, words) in zip(figure.subplots(1, 3), units.items(), strict=True):
        values = results.per_image[metric]
        bins = np.linspace(values.min(), values.max() + 1e-9, 40)
        for bucket in BUCKETS:
            axes.hist(results.bucket(bucket)[metric], bins, histtype="step", label=bucket)
        axes.set(xlabel=words, ylabel="images" if metric == "L1_percent" else "")
    figure.axes[0].legend(title="hole ratio")
    figure.suptitle(f"{name}: spread over test images")
    return figure


def worst_panel(parameters: Parameters, name: str, count: int = 4) -> Figure:
    """The kept samples of the largest holes with the lowest PSNR."""
    dataset = dataset_of(parameters, name)
    store, masks = FaceStore.open(paths.store(dataset)), MaskStore.open(paths.MASKS)
    results = read_results(paths.RESULTS / paths.repeat(name))
    bucket = list(BUCKETS)[-1]
    completed = results.samples(bucket)
    table = results.bucket(bucket).iloc[: len(completed)].sort_values("PSNR", kind="stable").head(count)
    row = []
    for k, pair in table.iterrows():
        truth, hole = np.asarray(store.images[pair.image_row]), np.asarray(masks.test[pair.mask_row])
        row.append(
            [
                Tile(masked_input(truth, hole), f"hole {pair.ratio:.0%}"),
                Tile(completed[k], f"{pair.PSNR:.1f} dB"),
                Tile(truth),
            ]
        )
    wide = [left + right for left, right in zip(row[::2], row[1::2], strict=False)] or row
    columns = ["masked input", "completed", "ground truth"] * (len(wide[0]) // 3)
    return picture_grid(
        wide, columns=columns, title=f"{name}: lowest PSNR among the {len(completed)} kept samples of {bucket}"
    )
