"""Our batched metrics against the reference implementations, timed in one run on the same inputs.

    python benchmarks/metrics.py [--device cuda] [--images 32 --size 256] [--features 2000 2048] [--threads 1]

Each line: our time, the reference's time, the ratio, and the largest difference between the two results.
Both sides are run in turns; the best of the repeats counts. References: scikit-image (for MS-SSIM, scipy's filter)
image by image, and pytorch-fid's distance (scipy's sqrtm) with its means and covariances. The last line is what a
bucket costs: PSNR and SSIM at the last size, scaled to N images, and the Fréchet distance of their N features.
The paper's protocol is `--images 64 --size 256 --features 2000 2048`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from replication.evaluation.frechet import frechet_distance
from replication.evaluation.metrics import METRICS, ms_ssim, psnr, psnr_hole, ssim, ssim_edgeconnect
from replication.evaluation.structural_similarity import SCALE_WEIGHTS

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
    pair = np.empty((2, count, size, size, 3), np.uint8)
    for i in range(count):
        picture = 128 + 100 * np.sin(x * rng.uniform(5, 40, 3) + y * rng.uniform(5, 40, 3))
        noise = rng.normal(0, rng.uniform(1, 40), picture.shape)
        pair[:, i] = np.clip(np.round([picture, picture + noise]), 0, 255)
    return tuple(pair)


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


def reference_ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """One pair of images (H, W, 3) with sides divisible by 16, channel by channel."""
    c2, wang = (0.03 * 255) ** 2, {k: v for k, v in SSIM.items() if k != "channel_axis"}
    channels = []
    for x, y in zip(a.astype(float).transpose(2, 0, 1), b.astype(float).transpose(2, 0, 1), strict=True):
        value = 1.0
        for weight in SCALE_WEIGHTS[:-1]:
            mx, my, mxx, myy, mxy = (
                gaussian_filter(v, 1.5, truncate=3.5)[5:-5, 5:-5] for v in (x, y, x * x, y * y, x * y)
            )
            structure = (2 * (mxy - mx * my) + c2) / (mxx - mx**2 + myy - my**2 + c2)
            value *= max(structure.mean(), 0) ** weight
            x, y = (v.reshape(v.shape[0] // 2, 2, v.shape[1] // 2, 2).mean((1, 3)) for v in (x, y))
        channels.append(value * max(structural_similarity(x, y, **wang), 0) ** SCALE_WEIGHTS[-1])
    return float(np.mean(channels))


def reference_edgeconnect(a: np.ndarray, b: np.ndarray) -> float:
    return structural_similarity(rgb2gray(a / 255.0), rgb2gray(b / 255.0), win_size=51, data_range=1)


def report(name: str, ours: float, reference: float, remark: str) -> None:
    print(
        f"{name:<42} ours {1e3 * ours:9.2f} ms   reference {1e3 * reference:9.2f} ms   "
        f"{reference / ours:7.1f}x   {remark}"
    )


def compare(
    name: str, ours: Callable, reference: Callable, *, repeats: int, relative: bool = False
) -> tuple[float, float]:
    """Time both in turns, print one line, and return both times in seconds."""
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
    report(name, best[0], best[1], f"{kind} difference {difference.max():.1e}")
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; BLAS follows OMP_NUM_THREADS")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--features", type=int, nargs=2, default=[300, 768], metavar=("N", "D"))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # scipy's, about pytorch-fid's call
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.device}, {arguments.threads} thread(s)")

    for size in arguments.size:
        a, b = picture_pair(arguments.images, size)
        hole = np.zeros((arguments.images, size, size), bool)
        hole[:, size // 4 : size // 2] = True
        x, y = (torch.from_numpy(v).permute(0, 3, 1, 2).contiguous().to(arguments.device) for v in (a, b))
        mask = torch.from_numpy(hole[:, None]).to(arguments.device)
        metrics: dict[str, tuple[Callable, Callable]] = {
            "PSNR": (psnr, lambda p, q, h: peak_signal_noise_ratio(p, q, data_range=255)),
            "SSIM": (ssim, lambda p, q, h: structural_similarity(p, q, **SSIM)),
            "PSNR_hole": (
                lambda x, y, mask=mask: psnr_hole(x, y, mask),
                lambda p, q, h: peak_signal_noise_ratio(p[h], q[h], data_range=255),
            ),
            "SSIM_edgeconnect": (ssim_edgeconnect, lambda p, q, h: reference_edgeconnect(p, q)),
            "MS_SSIM": (ms_ssim, lambda p, q, h: reference_ms_ssim(p, q)),
        }
        times = {
            name: compare(
                f"{name:<17} {arguments.images} images of {size} x {size}",
                lambda ours=ours, x=x, y=y: ours(x, y).cpu().numpy(),
                lambda reference=reference, a=a, b=b, hole=hole: [
                    reference(p, q, h) for p, q, h in zip(a, b, hole, strict=True)
                ],
                repeats=arguments.repeats,
            )
            for name, (ours, reference) in metrics.items()
            if size >= METRICS[name].smallest_side
        }
    count, width = arguments.features
    for n in (2 * width, count):  # regular and singular covariances
        a, b = feature_pair(n, width)
        x, y = (torch.from_numpy(v).to(arguments.device) for v in (a, b))
        distance = compare(
            f"Fréchet           n={n} d={width}",
            lambda x=x, y=y: frechet_distance(x, y),
            lambda a=a, b=b: reference_distance(a, b),
            repeats=1 if width > 1000 else arguments.repeats,
            relative=True,
        )
    images = [(count / arguments.images) * (p + s) for p, s in zip(times["PSNR"], times["SSIM"], strict=True)]
    ours, reference = (a + b for a, b in zip(images, distance, strict=True))
    report(f"PSNR, SSIM and Fréchet, {count} images", ours, reference, f"size {size}, d={width}")


if __name__ == "__main__":
    main()
