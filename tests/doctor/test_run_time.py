"""The estimate of how long a run takes, from injected speeds; and the rehearsal that measures them."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from replication.config import PROFILES, load_parameters
from replication.doctor import timed_steps as rehearsal
from replication.doctor.disk_space import bytes_needed, gigabytes, sizes_of
from replication.doctor.run_time import Images, Timings, duration, estimate, stage_count
from replication.doctor.timed_steps import Rehearsal
from replication.graph.stages import load_stages

NOTHING = Timings(**{f.name: 0.0 for f in dataclasses.fields(Timings) if f.name != "notes"})


@pytest.fixture
def demo(tmp_path):
    """The profile `demo` with sizes of its own, so that the expected counts below outlive a change of the profile."""
    data = yaml.safe_load((PROFILES / "demo.yaml").read_text(encoding="utf-8"))
    for role, (train, test) in {
        "celebahq": (4000, 300),
        "ffhq": (4000, 300),
        "parsing": (3000, 200),
        "attributes": (3000, 200),
    }.items():
        data["data"][role] |= {"train": train, "test": test}
    data["masks"] |= {"train": 6000, "test_per_bucket": 300}
    data["evaluation"]["pairs_per_bucket"] = 300
    data["mdrnet"]["bank_pairs"] = 16000
    schedules = {
        "coarse": (16, 28000),
        "parser": (16, 16000),
        "reconstruction": (16, 10000),
        "attributes": (32, 16000),
        "mdrnet": (8, 4000),
    }
    for network, (batch_size, images) in schedules.items():
        data[network]["schedule"] |= {"batch_size": batch_size, "images": images}
    file = tmp_path / "sizes.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return load_parameters(file)


def images_of(parameters) -> dict[str, Images]:
    return {
        role: Images(data.train, data.test)
        for role, data in vars(parameters.data).items()
        if data.train is not None and data.test is not None
    }


@pytest.mark.parametrize(
    ("speed", "part", "seconds"),
    [
        ("face", "drawn faces", (2 * 4300 + 2 * 3200) / 2),
        ("mask", "masks", (6000 + 900) / 2),
        ("parser_step", "network parser", 1000),
        ("reconstruction_step", "network reconstruction", 625),
        ("attributes_step", "network attributes", 500),
        ("coarse_step", "2 coarse networks", 2 * 1750),
        ("priors_image", "banks", 2 * 16000),
        ("mdrnet_step", "12 MDRNets", 12 * 500),
        ("completed_image", "evaluation", 14 * (900 + 5)),
        ("stage", "notebooks and reports", 4 + 1 + 3 + 2 + 2 + 12 + 14 + 7),
    ],
)
def test_each_speed_counts_for_its_own_part_only(demo, speed, part, seconds):
    parts = estimate(demo, images_of(demo), dataclasses.replace(NOTHING, **{speed: 1.0}), workers=2)
    assert [(p.name, p.seconds) for p in parts] == [(part, pytest.approx(seconds))]


def test_stages_are_those_of_the_pipeline(tmp_path, demo):
    root = PROFILES.parents[1]
    for name, source in (("dvc.yaml", root / "dvc.yaml"), ("params.yaml", PROFILES / "demo.yaml")):
        (tmp_path / name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    assert stage_count(demo) == len(load_stages(tmp_path))


def test_seeds_epochs_and_own_schedules_are_counted():
    paper = load_parameters(PROFILES / "paper.yaml")
    images = {
        "celebahq": Images(28_000, 2_000),
        "ffhq": Images(68_000, 2_000),
        "parsing": Images(100, 100),
        "attributes": Images(100, 100),
    }
    steps = dataclasses.replace(NOTHING, mdrnet_step=1.0, parser_step=1.0, attributes_step=1.0)
    (mdrnets,) = estimate(paper, images, steps)  # parser and attributes are not trained in this profile
    assert mdrnets.seconds == 11 * 28_000 * 45 / 8 + 68_000 * 45 / 8
    thrice = dataclasses.replace(paper, seeds=3)
    assert estimate(thrice, images, steps)[0].seconds == 3 * mdrnets.seconds
    (coarse,) = estimate(thrice, images, dataclasses.replace(NOTHING, coarse_step=1.0))
    assert coarse.seconds == 3 * (28_000 + 68_000) * 100 / 8
    (photos,) = estimate(paper, images, dataclasses.replace(NOTHING, photo=1.0))
    assert photos.name == "photos" and photos.seconds == 100_000
    long = {"full": dataclasses.replace(paper.experiments["full"], change={"schedule": {"epochs": 90}})}
    (one,) = estimate(dataclasses.replace(paper, experiments=long), images, steps)
    assert one.seconds == 28_000 * 90 / 8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "3 s"), (600, "10 min"), (7200, "2.0 h"), (86400 * 3, "3 days"), (86400 * 365 * 4, "4 years")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_smallest_profile_is_rehearsed_without_touching_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smoke = load_parameters(PROFILES / "smoke.yaml")
    timings = Rehearsal(smoke, budget_s=0.3).timings()
    values = dataclasses.asdict(timings)
    assert values.pop("photo") == 0.0 and len(values.pop("notes")) <= 1
    assert all(0 < value < 60 for value in values.values()), values
    total = sum(part.seconds for part in estimate(smoke, images_of(smoke), timings, workers=1))
    assert 10 < total < 7200
    assert list(tmp_path.iterdir()) == []


def test_on_a_busy_machine_one_core_is_measured(monkeypatch):
    smoke = load_parameters(PROFILES / "smoke.yaml")
    smoke = dataclasses.replace(smoke, run=dataclasses.replace(smoke.run, device="cpu"))
    monkeypatch.setattr(rehearsal.torch, "get_num_threads", lambda: 4)
    threads = []
    monkeypatch.setattr(rehearsal.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(rehearsal, "_busy_percent", lambda: 80.0)
    seen = []
    monkeypatch.setattr(Rehearsal, "_timings", lambda self: seen.append((self.gain, self.clock)))
    rehearsal_of = Rehearsal(smoke)
    rehearsal_of.timings()
    assert seen == [(pytest.approx(3.4), rehearsal.time.process_time)] and threads == [1, 4]
    assert rehearsal_of.notes == [
        "other programs take 80 % of this machine: the processor time of one core was measured, and 4 quiet cores are "
        "counted as 3.4"
    ]
    monkeypatch.setattr(rehearsal, "_busy_percent", lambda: 5.0)
    quiet = Rehearsal(smoke)
    quiet.timings()
    assert seen[1] == (1.0, rehearsal.time.perf_counter) and quiet.notes == []


def test_on_a_cpu_large_images_are_measured_small(demo):
    large = dataclasses.replace(demo, image_size=256)
    reduced = Rehearsal(dataclasses.replace(large, run=dataclasses.replace(large.run, device="cpu")))
    assert (reduced.side, reduced.area, reduced._count(8)) == (128, 4.0, 2)
    assert "128 pixels" in reduced.notes[0]


def test_disk_space_of_demo(demo):
    sizes = sizes_of(demo)
    needed = bytes_needed(demo, images_of(demo), sizes)
    faces, masks = (2 * 4300 + 2 * 3200) * 64 * 64 * 4, 6900 * 64 * 64
    assert needed["prepared data"] == faces + masks
    assert needed["banks"] == 2 * 16000 * 64 * 64 * 4  # 3 channels and the labels
    assert needed["networks"] > 12 * 4 * sizes.mdrnet
    assert needed["checkpoints"] > 6 * 4 * 12 * (sizes.mdrnet + sizes.discriminator)
    assert sum(needed.values()) < 4e9
    assert (gigabytes(1.23e9), gigabytes(63e9)) == ("1.2 GB", "63 GB")


def test_full_size_networks_are_counted_without_being_made():
    sizes = sizes_of(load_parameters(PROFILES / "paper.yaml"))
    assert sizes.features == 2048 and sizes.attributes == 0
    assert sizes.mdrnet > 20_082_499 and sizes.coarse > 25_779_796
