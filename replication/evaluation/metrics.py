"""The catalogue of metrics: each defined once, as the function that computes it and as data that travels with numbers.

`METRICS` holds for every metric what is measured and how, the reference implementation, and the tolerance to which
the tests agree with it; `protocol.protocol` copies that into every result file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from replication.evaluation.pixels import (
    PSNR_CAP,
    composite,
    l1_hole_percent,
    l1_percent,
    psnr,
    psnr_hole,
    to_uint8,
)
from replication.evaluation.structural_similarity import (
    EDGECONNECT_WINDOW,
    MS_SSIM_SMALLEST_SIDE,
    SCALE_WEIGHTS,
    WINDOW,
    ms_ssim,
    ssim,
    ssim_edgeconnect,
)

__all__ = [
    "METRICS",
    "PSNR_CAP",
    "Metric",
    "composite",
    "l1_hole_percent",
    "l1_percent",
    "ms_ssim",
    "psnr",
    "psnr_hole",
    "ssim",
    "ssim_edgeconnect",
    "to_uint8",
]


@dataclass(frozen=True)
class Metric:
    """What a number in a table means, in a form that tables and cards can print.

    `better` is "lower" or "higher". `bounds` are the least and the largest possible value (None: unbounded).
    `output` says what of a method's output is measured, `region` on which pixels, `data_range` on which scale,
    `colour` on which channels, `window` in which neighbourhood, `weights` with which published weights (of scales or
    networks). `smallest_side`: a smaller image has no value. `tolerance` is the largest absolute difference to
    `reference` that the tests allow (relative for the Fréchet distance). `differs` names, with versions, well-known
    implementations under the same name whose values are others, and by how much. `compute` maps (completed, truth,
    mask), uint8 (B, 3, H, W) twice and (B, 1, H, W) with 1 = hole, to float64 (B,); it is None where a network or
    the whole set is needed.
    """

    name: str
    label: str
    unit: str
    better: str
    per_image: bool
    bounds: tuple[float | None, float | None]
    definition: str
    reference: str
    tolerance: float
    output: str = "composite, 8 bits"
    region: str = "whole image"
    data_range: str = "0 to 255"
    colour: str = "RGB"
    window: str | None = None
    weights: str | None = None
    smallest_side: int = 1
    differs: str | None = None
    compute: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None

    def data(self) -> dict[str, Any]:
        """Everything but the name and the function, JSON-ready."""
        kept = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("name", "compute")
        }
        return {**kept, "bounds": list(self.bounds)}


_PERCENT = "% of the full range"
_GAUSSIAN = f"Gaussian {WINDOW} x {WINDOW}, sigma 1.5, windows inside the image only"

_FRECHET = (
    "Squared Fréchet distance between Gaussians fitted to the features of the composites and of the same "
    "real images: |m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2)), unbiased covariances, float64; biased in the "
    "number of images. Features: "
)
_FRECHET_REFERENCE = "pytorch_fid.fid_score.calculate_frechet_distance (pytorch-fid 0.3.0)"
_INCEPTION = "pool3 (2048) of pytorch-fid's Inception, whose weights are checked by hash."
_OTHER = "the network named beside the number; "

_UNPAIRED = (
    "Share of real and completed images that a linear SVM (squared hinge, l2, C 1), fitted to the features of both, "
    "puts on the wrong side; judged on the images it was fitted to, so it depends on their number. Features: "
)
_PAIRED = (
    "Share of completed images that lie further on the real side of U-IDS's plane than their own original; "
    "a tie counts for the original. Features: "
)
_SVM = "sklearn.svm.LinearSVC(dual=False) as in zsyzzsoft/co-mod-gan, metrics/inception_discriminative_score.py"


def _frechet(name: str, features: str) -> Metric:
    return Metric(
        name=name,
        label=name,
        unit="",
        better="lower",
        per_image=False,
        bounds=(0, None),
        definition=_FRECHET + features,
        reference=_FRECHET_REFERENCE,
        tolerance=1e-6,
    )


def _discriminative(name: str, upper: float, definition: str) -> Metric:
    return Metric(
        name=name,
        label=name.replace("_", "-"),
        unit="",
        better="higher",
        per_image=False,
        bounds=(0, upper),
        definition=definition,
        reference=_SVM,
        tolerance=1e-12,
    )


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="L1_percent",
            label="L1 (%)",
            unit=_PERCENT,
            better="lower",
            per_image=True,
            bounds=(0, 100),
            definition="100 times the mean absolute difference over all pixels and RGB channels, divided by "
            "255, averaged over images.",
            reference="numpy: 100 * abs(a - b).mean() / 255",
            tolerance=1e-9,
            compute=lambda completed, truth, mask: l1_percent(completed, truth),
        ),
        _frechet("FID", _INCEPTION),
        _frechet("FD", _OTHER + "not comparable with any FID."),
        Metric(
            name="PSNR",
            label="PSNR",
            unit="dB",
            better="higher",
            per_image=True,
            bounds=(0, None),
            definition="20 log10(255 / RMSE) of each image over all RGB values, averaged over images; "
            f"identical images count as {PSNR_CAP:g} dB.",
            reference="skimage.metrics.peak_signal_noise_ratio(data_range=255)",
            tolerance=1e-9,
            compute=lambda completed, truth, mask: psnr(completed, truth),
        ),
        Metric(
            name="SSIM",
            label="SSIM",
            unit="",
            better="higher",
            per_image=True,
            bounds=(-1, 1),
            definition="Wang et al. 2004: Gaussian window 11 x 11, sigma 1.5, population covariance, K1 .01, "
            "K2 .03, range 255, per RGB channel, mean over the pixels whose window lies inside the image, "
            "averaged over images.",
            reference="skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, "
            "use_sample_covariance=False, channel_axis=-1, data_range=255)",
            tolerance=1e-6,
            colour="per RGB channel, averaged",
            window=_GAUSSIAN,
            smallest_side=WINDOW,
            differs="torchmetrics 1.9.0 and kornia 0.9.0 (but for padding='valid') also average the windows that reach "
            "over the border, which they mirror: 0.745 where this has 0.641 for a face of 64 x 64 with its middle "
            "quarter filled by its mean colour, 0.818 for 0.802 at 256 x 256; the order of two fills can turn. The "
            "`ssim` of pyiqa 0.1.16 is of the luma: 0.584 for 0.447 with noise of 20 levels.",
            compute=lambda completed, truth, mask: ssim(completed, truth),
        ),
        Metric(
            name="L1_hole_percent",
            label="L1 in the hole (%)",
            unit=_PERCENT,
            better="lower",
            per_image=True,
            bounds=(0, 100),
            definition="L1_percent over the pixels of the hole only, averaged over images.",
            reference="numpy: 100 * abs(a - b)[hole].mean() / 255",
            tolerance=1e-9,
            region="hole",
            compute=l1_hole_percent,
        ),
        Metric(
            name="PSNR_hole",
            label="PSNR in the hole",
            unit="dB",
            better="higher",
            per_image=True,
            bounds=(0, None),
            definition="PSNR over the RGB values of the hole's pixels only, averaged over images; a hole that is "
            f"filled without any error counts as {PSNR_CAP:g} dB.",
            reference="skimage.metrics.peak_signal_noise_ratio(a[hole], b[hole], data_range=255)",
            tolerance=1e-9,
            region="hole",
            compute=psnr_hole,
        ),
        Metric(
            name="SSIM_edgeconnect",
            label="SSIM (EdgeConnect)",
            unit="",
            better="higher",
            per_image=True,
            bounds=(-1, 1),
            definition="SSIM as scripts/metrics.py of knazeri/edge-connect computes it: gray images (.2125 R + .7154 G "
            "+ .0721 B) in [0, 1], uniform window 51 x 51, sample covariance, K1 .01, K2 .03, mean over the pixels "
            "whose window lies inside the image, averaged over images; float64 throughout.",
            reference="skimage.metrics.structural_similarity(rgb2gray(a), rgb2gray(b), win_size=51, data_range=1)",
            tolerance=1e-6,
            data_range="0 to 1",
            colour="gray: .2125 R + .7154 G + .0721 B",
            window=f"uniform {EDGECONNECT_WINDOW} x {EDGECONNECT_WINDOW}, windows inside the image only",
            smallest_side=EDGECONNECT_WINDOW,
            compute=lambda completed, truth, mask: ssim_edgeconnect(completed, truth),
        ),
        Metric(
            name="MS_SSIM",
            label="MS-SSIM",
            unit="",
            better="higher",
            per_image=True,
            bounds=(0, 1),
            definition="Wang, Simoncelli and Bovik 2003: the product over five scales, each half as large as the one "
            "before by 2 x 2 means, of the mean contrast-structure term to the power of the scale's weight, with "
            "luminance at the coarsest scale; a negative mean counts as 0. SSIM's window, K1, K2 and range; per RGB "
            "channel, averaged over channels, then over images. "
            "What ExGAN prints under this name falls with quality, as 1 - MS-SSIM does.",
            reference="the same formula by scipy.ndimage.gaussian_filter(sigma=1.5, truncate=3.5) and numpy, with "
            "skimage.metrics.structural_similarity at the coarsest scale",
            tolerance=1e-6,
            colour="per RGB channel, averaged",
            window=f"{_GAUSSIAN}, at each of {len(SCALE_WEIGHTS)} scales",
            weights=f"scales, fine to coarse: {', '.join(map(str, SCALE_WEIGHTS))}",
            smallest_side=MS_SSIM_SMALLEST_SIDE,
            differs="pytorch-msssim 1.0.0 pads odd sides with zeros when it halves them: 0.639 where this has 0.652 "
            "for a face of 178 x 178 with its middle quarter filled by its mean colour; equal where every scale is "
            "even, as at 256 x 256. torchmetrics 1.9.0 averages the mirrored border at the coarsest scale: 0.622 for "
            "0.537 at 256 x 256. The `ms_ssim` of pyiqa 0.1.16 is of the luma: 0.920 for 0.869 with noise of 20.",
            compute=lambda completed, truth, mask: ms_ssim(completed, truth),
        ),
        Metric(
            name="LPIPS",
            label="LPIPS",
            unit="",
            better="lower",
            per_image=True,
            bounds=(0, None),
            definition="Zhang et al. 2018, version 0.1, by the lpips package: weighted squared distance of unit-"
            "normalised features of five layers of the trunk named beside the number, averaged over positions, "
            "summed over layers, averaged over images; float32.",
            reference="lpips.LPIPS(net=..., version='0.1') of lpips 0.1.4 with the same trunk",
            tolerance=1e-6,
            data_range="-1 to 1",
            weights="the trunk's file as published by torchvision, checked by hash; linear layers of the package",
        ),
        _discriminative("U_IDS", 0.5, _UNPAIRED + _INCEPTION),
        _discriminative("P_IDS", 1, _PAIRED + _INCEPTION),
        _discriminative("U_DS", 0.5, _UNPAIRED + _OTHER + "not comparable with any U-IDS."),
        _discriminative("P_DS", 1, _PAIRED + _OTHER + "not comparable with any P-IDS."),
    )
}
