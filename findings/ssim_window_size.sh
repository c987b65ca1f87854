#!/usr/bin/env bash
# Version: scikit-image 0.26.0 with numpy 2.4.6 and scipy 1.17.1, Python 3.11, Linux.
#
# Guess, written before the run, from the function's own documentation: with `gaussian_weights=True`,
# `structural_similarity` ignores `win_size`, so that every value gives the same number. (A dim memory of the source
# spoke against the documentation; the guess went by what a user is told.) MISSED.
#
# Behaviour: `win_size` leaves the Gaussian window of 11 pixels as it is, but sets how wide a border is left out of the
# mean (and, with the sample covariance, its factor). A damage of 8 rows at the border of a picture of 64 scores 0.935
# with the default, 0.912 with win_size=7 and a perfect 1.000 with win_size=31, which leaves out all of the damaged
# border. win_size=11 equals the default. With `use_sample_covariance=False`, as the paper has it, it is the same. Known
# upstream: scikit-image/scikit-image, issue 7231 (a change that warns is merged, pull request 8162).
#
# Output: win_size None: 0.9354, with 3: 0.8926, with 7: 0.9122, with 11: 0.9354, with 31: 1.0000
# Seen: 2026-11-27, this output, from install to end.
#
# Needs a network for pip, about 300 MB of disk. Exit code 0: as above; 1: the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6 scipy==1.17.1

cat > measure.py <<'PYTHON'
import numpy as np
from skimage.metrics import structural_similarity

y, x = np.mgrid[:64, :64] / 64
one = 0.6 + 0.15 * np.sin(40 * x) * np.cos(31 * y) + 0.2 * np.sin(7 * x + 3 * y)
other = one.copy()
other[:8] = one[:8].mean()


def score(win_size):
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    return structural_similarity(one, other, win_size=win_size, **settings)


print(f"win_size None: {score(None):.4f}, " + ", ".join(f"with {size}: {score(size):.4f}" for size in (3, 7, 11, 31)))
PYTHON
seen=$(venv/bin/python measure.py)
echo "$seen"
expected="win_size None: 0.9354, with 3: 0.8926, with 7: 0.9122, with 11: 0.9354, with 31: 1.0000"
if [ "$seen" != "$expected" ]; then
  echo "The behaviour has changed. Expected:" >&2
  echo "$expected" >&2
  exit 1
fi
