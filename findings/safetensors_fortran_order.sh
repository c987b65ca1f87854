#!/usr/bin/env bash
# Version: safetensors 0.8.0 (beside it 0.7.0) with numpy 2.4.6, Python 3.11, Linux.
#
# Guess, written before the run: `safetensors.numpy.save_file` writes an array by its values, so that one in Fortran
# order comes back equal, in C order. MISSED for 0.8.0 (held for 0.7.0).
#
# Behaviour: with 0.8.0 the array comes back with its shape and other values, without a warning or an error: its memory
# is written as it lies and read as C order. An array in Fortran order is contiguous and dense, as the function's
# documentation asks, and as `.T` or scikit-learn's PCA give it. `np.ascontiguousarray` before saving helps. 0.7.0
# brings back the values. Known upstream: safetensors/safetensors, issue 825.
#
# Output: saved: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
#         0.7.0: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
#         0.8.0: [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]]
#         0.8.0, made C order first: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
# Seen: 2026-11-27, this output, from install to end.
#
# Needs a network for pip, about 100 MB of disk. Exit code 0: as above; 1: the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
install="venv/bin/python -m pip install --quiet --disable-pip-version-check"
$install numpy==2.4.6
$install --no-deps --target older safetensors==0.7.0
$install --no-deps --target newer safetensors==0.8.0

cat > there_and_back.py <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

values = np.arange(6, dtype=np.float32).reshape(2, 3)
array = np.asfortranarray(values)
assert array.flags.f_contiguous and np.array_equal(array, values)
if sys.argv[1] == "saved":
    print(array.tolist())
else:
    save_file({"array": np.ascontiguousarray(array) if sys.argv[1] == "C" else array}, "file.safetensors")
    print(load_file("file.safetensors")["array"].tolist())
PYTHON
there_and_back() { PYTHONPATH=$folder/$1 venv/bin/python there_and_back.py "$2"; }

seen="saved: $(there_and_back newer saved)
0.7.0: $(there_and_back older F)
0.8.0: $(there_and_back newer F)
0.8.0, made C order first: $(there_and_back newer C)"
echo "$seen"
expected="saved: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
0.7.0: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
0.8.0: [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]]
0.8.0, made C order first: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]"
if [ "$seen" != "$expected" ]; then
  echo "The behaviour has changed. Expected:" >&2
  echo "$expected" >&2
  exit 1
fi
