"""The numbers of all runs fit a terminal, and none is lost."""

from __future__ import annotations

import math
import re

from replication.reporting.measured_values import WIDTH, measured_values

NAMES = ("L1_percent", "FD", "PSNR", "SSIM", "L1_hole_percent", "PSNR_hole", "SSIM_edgeconnect", "U_DS", "P_DS")
MORE = ("MS_SSIM", "LPIPS", "U_IDS", "P_IDS")


def content(names, buckets=("1-20%", "20-40%", "40-60%"), start=20.0):
    values = {name: start + number for number, name in enumerate(names)}
    return {bucket: dict(values) for bucket in buckets} | {"made_by": [{"seeds": [0]}]}


def test_three_sizes_of_hole_and_all_metrics_fit():
    for names in (NAMES, (*NAMES, *MORE)):
        text = measured_values({f"run_{number}_with_a_long_name": content(names) for number in range(14)})
        assert max(map(len, text.splitlines())) <= WIDTH == 120
        assert text.count("holes: ") == 3 and all(text.split().count(name) == 3 for name in names)
        assert len(re.findall(r"\d+\.\d{3}\b", text)) == 14 * 3 * len(names)


def test_a_value_that_a_run_does_not_have_is_a_dash():
    files = {
        "full": {"1-20%": {"PSNR": 32.36119, "SSIM": 0.953058}},
        "short": {"1-20%": {"PSNR": math.nan}, "eyes": {"PSNR": 25.0}},
    }
    lines = measured_values(files).splitlines()
    assert [line.split() for line in lines if line] == [
        ["holes:", "1-20%"],
        ["PSNR", "SSIM"],
        ["full", "32.361", "0.9531"],
        ["short", "nan", "-"],
        ["holes:", "eyes"],
        ["PSNR"],
        ["short", "25.000"],
    ]
