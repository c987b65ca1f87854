from __future__ import annotations

import pandas as pd
import pytest

from replication.drawing.curves import Run
from replication.reporting.plot_data import POINTS, write_plot_data


@pytest.fixture
def runs():
    steps = pd.DataFrame({"step": range(1, 601)})
    history = steps.assign(images_seen=8 * steps.step, reconstruction=1 / steps.step, discriminator=2.0)
    return {
        "full": Run("full", history, {"method": "mdrnet"}),
        "slots_32": Run("slots_32", history.head(300), {"method": "mdrnet"}),
        "parser": Run("parser", history, {"method": "bisenet"}),
    }


def test_curves_are_thinned_to_means_and_keep_the_end(runs, tmp_path):
    paths = write_plot_data(runs, {}, tmp_path)
    assert {path.name for path in paths} == {"reconstruction.csv", "discriminator.csv"}  # nothing empty is written
    table = pd.read_csv(tmp_path / "reconstruction.csv")
    assert list(table) == ["images_seen", "full", "slots_32"]
    full = table.dropna(subset="full")
    assert len(full) == POINTS and full.images_seen.iloc[-1] == 4800
    assert full.full.iloc[0] == pytest.approx(sum(1 / step for step in range(1, 11)) / 10, rel=1e-5)
    assert table.images_seen.is_monotonic_increasing and table.images_seen.is_unique


def test_metrics_by_mask_ratio(file_of, tmp_path):
    write_plot_data({}, {"full": file_of("full"), "pconv": file_of("pconv", quality=2)}, tmp_path)
    table = pd.read_csv(tmp_path / "PSNR.csv")
    assert list(table) == ["hole_percent", "full", "pconv"] and list(table.hole_percent) == [10, 30, 50]
    assert table.full.iloc[0] == 37.0
    assert (tmp_path / "frechet.csv").exists() and not list(tmp_path.glob("F*.csv"))


def test_fd_and_fid_share_no_axis(file_of, tmp_path):
    write_plot_data({}, {"full": file_of("full"), "pconv": file_of("pconv", frechet="FID")}, tmp_path)
    assert not (tmp_path / "frechet.csv").exists()
    assert list(pd.read_csv(tmp_path / "FD.csv")) == ["hole_percent", "full"]
    assert list(pd.read_csv(tmp_path / "FID.csv")) == ["hole_percent", "pconv"]
