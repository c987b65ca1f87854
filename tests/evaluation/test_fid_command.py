"""The whole FID path, from PNG files to the number, against `python -m pytorch_fid`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from replication.evaluation.frechet import INCEPTION_FILE, InceptionFeatures, frechet_distance


@pytest.fixture(scope="module")
def files(tmp_path_factory, random_inception):
    """Two folders of PNGs and a TORCH_HOME in which the command finds its weights."""
    folder = tmp_path_factory.mktemp("fid")
    (folder / "home/hub/checkpoints").mkdir(parents=True)
    shutil.copy(random_inception, folder / "home/hub/checkpoints" / INCEPTION_FILE)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64][..., None] / 64
    for name, noise in (("completed", 30), ("real", 5)):
        (folder / name).mkdir()
        for i in range(12):
            waves = np.sin(x * rng.uniform(3, 30, 3) + y * rng.uniform(3, 30, 3))
            picture = np.clip(128 + 100 * waves + rng.normal(0, noise, waves.shape), 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / name / f"{i:02}.png")
    return folder


def _command(folder, dims: int) -> float:
    arguments = ["--device", "cpu", "--batch-size", "6", "--num-workers", "0", "--dims", str(dims)]
    run = subprocess.run(
        [sys.executable, "-m", "pytorch_fid", "completed", "real", *arguments],
        cwd=folder,
        # Nothing can be fetched: a missing file would fail at the proxy.
        env={**os.environ, "TORCH_HOME": str(folder / "home"), "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return float(re.search(r"^FID:\s+(\S+)", run.stdout, re.MULTILINE)[1])


# 12 images leave both covariances singular. Most of the long run is the command's square root of a 2048 x 2048 matrix.
@pytest.mark.parametrize("dims", [64, pytest.param(2048, marks=pytest.mark.slow)])
def test_equals_the_pytorch_fid_command(files, random_inception, dims):
    extractor = InceptionFeatures(random_inception, dims=dims)
    sets = []
    for name in ("completed", "real"):
        pictures = [np.asarray(Image.open(path)) for path in sorted((files / name).glob("*.png"))]
        images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
        sets.append(torch.cat([extractor.features(part) for part in images.split(6)]))
    assert sets[0].shape == (12, dims)
    ours = frechet_distance(*sets)
    reference = _command(files, dims)
    assert ours == pytest.approx(reference, rel=1e-6)
