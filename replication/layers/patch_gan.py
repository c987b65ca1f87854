"""PatchGAN: a convolutional discriminator that judges overlapping 70x70 patches (Isola et al. 2017)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from replication.errors import InputError


class PatchGAN(nn.Module):
    """logit(D) = C₅(λ(C₄(λ(C₃(λ(C₂(λ(C₁(x))))))))), one logit per 70x70 patch (Isola et al. 2017, section on PatchGAN).

    The paper describes it in words; the widths and strides are those of its code: C are 4x4 convolutions of strides
    2, 2, 2, 1, 1, λ is LeakyReLU 0.2. D itself is the sigmoid of the logit, which `losses.adversarial` takes in.

    Args:
        in_channels: channels of the judged image.
        width: channels of the first layer (64 in all published versions; then x2, x4, x8).
        norm: "spectral" puts spectral normalisation on all five convolutions (EdgeConnect, CTSDG, ICT);
            "batch" puts BatchNorm after layers 2 to 4 (pix2pix).
        bias: None follows the publications: no bias with "spectral"; with "batch" on the first and last layer
            only. With "spectral", True gives every layer a bias.

    Parameters at width 64: 2,763,776 (spectral), 2,764,737 (spectral with bias), 2,765,633 (batch).
    Weights start from N(0, 0.02), biases from 0.
    """

    def __init__(
        self,
        in_channels: int = 3,
        width: int = 64,
        norm: Literal["spectral", "batch"] = "spectral",
        bias: bool | None = None,
    ):
        super().__init__()
        if norm not in ("spectral", "batch"):
            raise InputError(f"PatchGAN: norm is {norm!r}, allowed are 'spectral' and 'batch'.")
        if norm == "batch" and bias is not None:
            raise InputError("PatchGAN: bias can be chosen with norm='spectral' only.")
        channels = [in_channels, width, 2 * width, 4 * width, 8 * width, 1]
        layers: list[nn.Module] = []
        for index, stride in enumerate((2, 2, 2, 1, 1)):
            outer = index in (0, 4)
            # A batch norm subtracts the mean, and with it any bias before it.
            with_bias = outer if norm == "batch" else bool(bias)
            convolution = nn.Conv2d(channels[index], channels[index + 1], 4, stride, 1, bias=with_bias)
            nn.init.normal_(convolution.weight, 0.0, 0.02)
            if with_bias:
                nn.init.zeros_(convolution.bias)
            # Wrapped after the initialisation, so that the power iteration starts from the weights in use.
            layers.append(spectral_norm(convolution) if norm == "spectral" else convolution)
            if norm == "batch" and not outer:
                layers.append(nn.BatchNorm2d(channels[index + 1]))
                nn.init.normal_(layers[-1].weight, 1.0, 0.02)
            if index < 4:
                layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) in [-1, 1] -> logits (B, 1, H/8 - 2, W/8 - 2); 30x30 at 256 px."""
        return self.layers(images)
