from __future__ import annotations

import json

import pytest
import torch

from replication.data.masks import BUCKETS
from replication.errors import InputError
from replication.evaluation.metrics import METRICS
from replication.evaluation.protocol import ALSO, REPORTED, protocol, select

COUNTS = dict.fromkeys(BUCKETS, 9)
RULE = {"name": "irregular", "holes": "irregular", "exemplar": "none", "buckets": {b: [*r] for b, r in BUCKETS.items()}}


class Attributes:
    name = "FD (attribute network)"
    sha256 = "ab" * 32

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean((2, 3))


class Trunk:
    label, weights, smallest_side = "AlexNet", "AlexNet file.pth (sha256 12), linear layers", 31


@pytest.mark.parametrize(
    ("size", "too_small"),
    [
        (16, {"SSIM_edgeconnect", "MS_SSIM", "LPIPS"}),
        (50, {"SSIM_edgeconnect", "MS_SSIM"}),
        (64, {"MS_SSIM"}),
        (175, {"MS_SSIM"}),
        (176, set()),
    ],
)
def test_size_decides_what_is_left_out_and_the_block_says_so(size, too_small):
    selection = select(Attributes(), size, lpips=Trunk())
    assert set(selection.left_out) == too_small
    assert all(f"{size} x {size} pixels are smaller than" in reason for reason in selection.left_out.values())
    block = json.loads(json.dumps(protocol(Attributes(), RULE, COUNTS, selection), allow_nan=False))
    assert block["version"] == 3
    assert {key: block[key] for key in RULE} == RULE
    assert block["images_per_bucket"] == COUNTS
    assert block["left_out"] == selection.left_out
    assert list(block["metrics"]) == list(selection.keys)
    assert len(selection.keys) + len(selection.left_out) == len(REPORTED) + len(ALSO)


def test_nothing_is_left_out_silently():
    selection = select(Attributes(), 256, also=("PSNR_hole",))
    assert selection.keys == ("L1_percent", "FD", "PSNR", "SSIM", "PSNR_hole")
    assert set(selection.left_out) == {"L1_hole_percent", "SSIM_edgeconnect", "MS_SSIM", "LPIPS", "U_DS", "P_DS"}
    assert set(selection.left_out.values()) == {"not asked for"}
    assert "weights" in select(Attributes(), 256).left_out["LPIPS"]
    failed = select(Attributes(), 64).without({"U_DS": "no reason"})
    assert failed.left_out["U_DS"] == "no reason" and "U_DS" not in failed.keys and "P_DS" in failed.keys
    with pytest.raises(InputError, match="no further metric 'KID'"):
        select(Attributes(), 256, also=("KID",))
    with pytest.raises(InputError, match="too small for SSIM"):
        select(Attributes(), 10)


def test_numbers_from_networks_name_the_network():
    block = protocol(Attributes(), RULE, COUNTS, select(Attributes(), 64, lpips=Trunk()))
    labels = {name: metric["label"] for name, metric in block["metrics"].items()}
    assert labels["FD"] == "FD (attribute network)"
    assert labels["U_DS"] == "U-DS (attribute network)"
    assert labels["LPIPS"] == "LPIPS (AlexNet)"
    assert block["metrics"]["LPIPS"]["weights"] == Trunk.weights
    assert block["metrics"]["P_DS"]["weights"] == f"attribute network, sha256 {Attributes.sha256}"
    assert block["metrics"]["SSIM"] == METRICS["SSIM"].data()


def test_only_inception_makes_inception_scores(monkeypatch):
    monkeypatch.setattr("replication.evaluation.protocol.metric_key", lambda extractor: "FID")
    extractor = Attributes()
    extractor.name = "FID"
    selection = select(extractor, 64)
    assert selection.keys[1] == "FID" and selection.keys[-2:] == ("U_IDS", "P_IDS")
    assert protocol(extractor, RULE, COUNTS, selection)["metrics"]["U_IDS"]["label"] == "U-IDS"
