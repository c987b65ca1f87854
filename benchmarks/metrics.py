"""Our batched metrics against the reference implementations, timed in one run on the same inputs.

    python benchmarks/metrics.py [--device cuda] [--images 32 --size 256] [--features 2000 2048] [--threads 1]

Each line: our time, the reference's time, the ratio, and the largest difference between the two results.
Both sides are run in turns; the best of the repeats counts. References: scikit-image image by image, and
pytorch-fid's distance (scipy's sqrtm) with its means and covariances.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from replication.evaluation.frechet import frechet_distance
from replication.evaluation.metrics import psnr, ssim

SSIM = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "channel_axis": -1,
    "data_range": 255,
}


def picture_pair(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth pictures and noisy copies: uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size][..., None] / size
    waves = np.sin(x * rng.uniform(5, 40, (count, 1, 1, 3)) + y * rng.uniform(5, 40, (count, 1, 1, 3)))
    noise = rng.normal(0, rng.uniform(1, 40, (count, 1, 1, 1)), waves.shape)
    pair = (128 + 100 * waves, 128 + 100 * waves + noise)
    return tuple(np.clip(np.round(images), 0, 255).astype(np.uint8) for images in pair)


def feature_pair(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative, correlated features with a falling spectrum: float32 (count, width) each."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(width, width)).astype(np.float32) * np.linspace(1, 0.02, width, dtype=np.float32)
    return tuple(
        np.maximum(rng.normal(shift, 1, (count, width)).astype(np.float32) @ mixing, 0) / width for shift in (0.0, 0.05)
    )


def reference_distance(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return calculate_frechet_distance(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))


def compare(name: str, ours: Callable, reference: Callable, *, repeats: int, relative: bool = False) -> None:
    """Time both in turns and print one line."""
    best = [np.inf, np.inf]
    results: list[np.ndarray] = [np.zeros(0), np.zeros(0)]
    for _ in range(repeats):
        for side, run in enumerate((ours, reference)):
            start = time.perf_counter()
            results[side] = np.asarray(run(), dtype=np.float64)
            best[side] = min(best[side], time.perf_counter() - start)
    difference = np.abs(results[0] - results[1])
    if relative:
        difference = difference / np.abs(results[1])
    kind = "relative" if relative else "absolute"
    print(
        f"{name:<34} ours {1e3 * best[0]:9.2f} ms   reference {1e3 * best[1]:9.2f} ms   "
        f"{best[1] / best[0]:7.1f}x   {kind} difference {difference.max():.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; BLAS follows OMP_NUM_THREADS")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--features", type=int, nargs=2, default=[500, 768], metavar=("N", "D"))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # scipy's, about pytorch-fid's call
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.device}, {arguments.threads} thread(s)")

    for size in arguments.size:
        a, b = picture_pair(arguments.images, size)
        x, y = (torch.from_numpy(v).permute(0, 3, 1, 2).contiguous().to(arguments.device) for v in (a, b))
        label = f"{arguments.images} images of {size} x {size}"
        compare(
            f"SSIM  {label}",
            lambda x=x, y=y: ssim(x, y).cpu().numpy(),
            lambda a=a, b=b: [structural_similarity(p, q, **SSIM) for p, q in zip(a, b, strict=True)],
            repeats=arguments.repeats,
        )
        compare(
            f"PSNR  {label}",
            lambda x=x, y=y: psnr(x, y).cpu().numpy(),
            lambda a=a, b=b: [peak_signal_noise_ratio(p, q, data_range=255) for p, q in zip(a, b, strict=True)],
            repeats=arguments.repeats,
        )
    count, width = arguments.features
    for n in (count, 2 * width):  # singular and regular covariances
        a, b = feature_pair(n, width)
        x, y = (torch.from_numpy(v).to(arguments.device) for v in (a, b))
        compare(
            f"Fréchet  n={n} d={width}",
            lambda x=x, y=y: frechet_distance(x, y),
            lambda a=a, b=b: reference_distance(a, b),
            repeats=1 if width > 1000 else arguments.repeats,
            relative=True,
        )


if __name__ == "__main__":
    main()
