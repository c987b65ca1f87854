"""Whether numbers may stand beside the papers' is decided from what was measured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from replication.config import load_parameters
from replication.data.nvidia_masks import NVIDIA
from replication.profile_files import profile_text
from replication.stages.comparability import reasons_against


@pytest.fixture
def paper(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(profile_text("paper"))
    return load_parameters(path)


class _Faces(SimpleNamespace):
    def rows(self, split: str) -> np.ndarray:
        return np.arange(self.train) if split == "train" else np.arange(self.train, self.train + self.test)

    @property
    def ids(self) -> np.ndarray:
        return np.array(
            [f"{self.prefix}{number:05d}.png" for number in range(self.first, self.first + self.train + self.test)]
        )


def asked(parameters, run: str = "full", **changes) -> list[str]:
    about = {"train": 28_000, "test": 2_000, "size": 256, "first": 0, "prefix": "", "kind": NVIDIA, "files": 12_000}
    about |= {"features": "FID", "images_seen": 45 * 28_000, "measured": 2_000, "settings": None} | changes
    buckets = ("1-20%", "20-40%", "40-60%")
    return reasons_against(
        parameters,
        run,
        faces=_Faces(**{key: about[key] for key in ("train", "test", "size", "first", "prefix")}),
        masks=SimpleNamespace(card={"source": {"kind": about["kind"], "test_files": about["files"]}}),
        pairs=SimpleNamespace(buckets=buckets, bucket=lambda name: range(about["measured"])),
        card={"images_seen": about["images_seen"], "training_images": about["train"]},
        settings=about["settings"] or parameters.settings_of(run),
        features=about["features"],
    )


def test_the_papers_own_setting_is_comparable(paper):
    assert asked(paper) == []
    assert asked(paper, "full_ffhq", train=68_000, images_seen=45 * 68_000) == []
    assert asked(paper, "slots_64") == [] and asked(paper, "pconv", images_seen=100 * 28_000) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": 128}, "faces are 128 pixels wide, those of CelebA-HQ 256"),
        ({"train": 900, "images_seen": 45 * 900}, "there are 900 train faces, of CelebA-HQ 28,000"),
        ({"test": 100}, "there are 100 test faces, of CelebA-HQ 2,000"),
        ({"prefix": "cat"}, "the test faces are not named as those of CelebA-HQ are (0 to 29999)"),
        ({"first": 9_000}, "the test faces are not named as those of CelebA-HQ are (0 to 29999)"),
        ({"kind": "drawn irregular masks"}, "the masks are not those of Liu et al. 2018"),
        ({"measured": 200}, "200 test faces were measured at 1-20%, of 2,000"),
        ({"features": "FD"}, "the Fréchet distance is FD, not FID"),
        ({"images_seen": 28_000}, "the network was trained for 1.0 epochs of 45"),
        ({"files": 9}, "there are 9 files of test masks, of Liu et al. 12,000"),
    ],
)
def test_what_is_other_than_the_papers_is_said(paper, changes, reason):
    assert reason in asked(paper, **changes)


def test_widths_of_two_on_a_folder_of_cats(paper):
    """The case that used to pass."""
    small = paper.methods.mdrnet.model_copy(update={"size": paper.methods.mdrnet.size.model_copy(update={"width": 2})})
    found = asked(paper, settings=small, train=900, test=100, prefix="cat", measured=100)
    assert "size is not as the paper has it" in found and len(found) >= 5


def test_the_key_is_a_permission(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(profile_text("paper").replace("comparable: true", "comparable: false"))
    assert asked(load_parameters(path)) == ["profile paper is no replication of the papers' setting"]
