#!/usr/bin/env bash
# Version: pytorch-msssim 1.0.0 with torch 2.13.0 (CPU) and numpy 2.4.6, Python 3.11, Linux.
#
# Guess, written before the run: where a side is odd, the halving between two scales leaves out or pads the last row and
# column. (That it pads zeros was claimed beforehand; the guess was where.) MISSED: it is the first row and column.
#
# Behaviour: a side of 178 becomes 89, 45, 23 and 12. From 89 on each odd picture gets zeros on all four sides before
# its pixels are averaged in fours, the zeros are counted, and the last row of zeros finds no partner and falls out:
#   - a flat white picture gets a first row of 0.5, then 0.25, then 0.125; its last row stays white;
#   - MS-SSIM is not what the mean over the real pixels alone gives;
#   - the same two pictures, both turned upside down, score 0.015 otherwise. Most of this is the pairing of rows (it
#     stays with the real pixels alone), not the zeros: whoever averages rows in pairs has one left over, and here it is
#     the first.
# With a side of 256, even at every scale, all three numbers are equal.
#
# Output: first row of white at the scales of 178: 1, 1, 0.5, 0.25, 0.125
#         last row of white at the scales of 178: 1, 1, 1, 1, 1
#         178: MS-SSIM 0.8601, over real pixels 0.8594, upside down 0.8748
#         256: MS-SSIM 0.8570, over real pixels 0.8570, upside down 0.8570
# Seen: 2026-11-27, this output, from install to end.
#
# Needs a network for pip and about 1 GB of disk with torch's wheel for CPUs; on Linux pip takes the one with the
# libraries for GPUs, several GB, unless a folder with the other is named in PIP_FIND_LINKS. The numbers are a CPU's.
# Exit code 0: as above; 1: the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pytorch-msssim==1.0.0 torch==2.13.0 numpy==2.4.6

cat > measure.py <<'PYTHON'
import functools

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim

pool = F.avg_pool2d


def score(one, other, pooling=pool):
    """MS-SSIM with another pooling in place of torch's."""
    F.avg_pool2d = pooling
    try:
        return ms_ssim(one, other, data_range=1).item()
    finally:
        F.avg_pool2d = pool


def pictures(side):
    """A wavy picture, and the same with its upper quarter flattened; float64, 1 x 1 x side x side."""
    y, x = np.mgrid[:side, :side] / side
    one = 0.6 + 0.15 * np.sin(40 * x) * np.cos(31 * y) + 0.2 * np.sin(7 * x + 3 * y)
    other = one.copy()
    other[: side // 4] = one[: side // 4].mean()
    return tuple(torch.from_numpy(picture)[None, None] for picture in (one, other))


rows = [(1.0, 1.0)]


def watched(picture, **settings):
    halved = pool(picture, **settings)
    middle = halved.shape[-1] // 2
    rows.append((halved[0, 0, 0, middle].item(), halved[0, 0, -1, middle].item()))
    return halved


white = torch.ones(1, 1, 178, 178, dtype=torch.float64)
score(white, white, watched)
rows = rows[:1] + rows[1::2]  # each scale halves both pictures
for name, values in zip(("first", "last"), zip(*rows)):
    print(f"{name} row of white at the scales of 178: {', '.join(f'{value:g}' for value in values)}")
for side in (178, 256):
    one, other = pictures(side)
    real = score(one, other, functools.partial(pool, count_include_pad=False))
    turned = score(one.flip(2), other.flip(2))
    print(f"{side}: MS-SSIM {score(one, other):.4f}, over real pixels {real:.4f}, upside down {turned:.4f}")
PYTHON
seen=$(venv/bin/python measure.py)
echo "$seen"
expected="first row of white at the scales of 178: 1, 1, 0.5, 0.25, 0.125
last row of white at the scales of 178: 1, 1, 1, 1, 1
178: MS-SSIM 0.8601, over real pixels 0.8594, upside down 0.8748
256: MS-SSIM 0.8570, over real pixels 0.8570, upside down 0.8570"
if [ "$seen" != "$expected" ]; then
  echo "The behaviour has changed. Expected:" >&2
  echo "$expected" >&2
  exit 1
fi
