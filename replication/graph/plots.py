"""What `dvc plots` shows: one file a scalar or metric, with a row for each point of each run."""

from __future__ import annotations

from typing import Any

from replication.methods.registry import methods

TEMPLATE = "runs"
FRECHET = "frechet"
METRICS = {
    "PSNR": "PSNR (dB)",
    "L1_percent": "L1 (% of the range)",
    "SSIM": "SSIM",
    FRECHET: "Fréchet distance (FD or FID, as in the tables)",
}
"""Metrics that are plotted -> words of their axis."""


def plot_definitions() -> list[dict[str, dict[str, Any]]]:
    """The section `plots` of dvc.yaml: every file that `write_plot_data` always writes, from the systems alone."""

    def plot(title: str, name: str, x: str, x_label: str, y_label: str) -> dict[str, dict[str, Any]]:
        file = {f"reports/plots/{name}.csv": "value"}
        return {title: {"template": TEMPLATE, "x": x, "y": file, "x_label": x_label, "y_label": y_label}}

    curves = [
        plot(f"{one.title}: {scalar}", f"{name}_{scalar}", "images_seen", "images seen", f"{scalar} (training)")
        for name, one in methods().items()
        for scalar in one.curves
    ]
    metrics = [
        plot(
            f"{'Fréchet distance' if name == FRECHET else words.split(' (')[0]} by size of the hole",
            name,
            "hole_percent",
            "hole (% of the image, middle of the bucket)",
            words,
        )
        for name, words in METRICS.items()
    ]
    return [*curves, *metrics]
