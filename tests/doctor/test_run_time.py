"""The estimate of how long a run takes, from injected speeds; the steps that measure them; and the room on the disk."""

from __future__ import annotations

import dataclasses

import pytest

from replication.config import parameters_of
from replication.doctor import timed_steps
from replication.doctor.amounts import Images, schedules, stage_count
from replication.doctor.disk_space import bytes_needed, gigabytes, sizes_of
from replication.doctor.run_time import Each, Step, Timings, duration, estimate
from replication.doctor.stand_ins import StandIns
from replication.doctor.timed_steps import TimedSteps
from replication.errors import InputError
from replication.graph.stages import load_stages
from replication.methods import Finished
from replication.methods.registry import methods
from replication.profile_files import load_profile, profile_text
from replication.published_weights import STAND_IN
from replication.settings import replace
from replication.yaml_files import parse_yaml

NOTHING = Timings(face=0.0, photo=0.0, mask=0.0, stage=0.0)


def profile(name: str) -> dict:
    return parse_yaml(profile_text(name), name)


@pytest.fixture
def demo():
    """The profile `demo` with sizes of its own and the MDRNets of `smoke`, those of the tables, so that the expected
    counts below outlive a change of the profile.
    """
    data = profile("demo")
    data["runs"]["mdrnet"] = profile("smoke")["runs"]["mdrnet"]
    for name, (train, test) in {
        "celebahq": (4000, 300),
        "ffhq": (4000, 300),
        "parsing": (3000, 200),
        "attributes": (3000, 200),
    }.items():
        data["data"][name] |= {"train": train, "test": test}
    data["masks"] |= {"train": 6000, "test_per_bucket": 300}
    data["evaluation"]["pairs_per_bucket"] = 300
    data["methods"]["mdrnet"]["first_stage"]["pairs"] = 16000
    trained = {
        "pconv": (16, 28000),
        "parser": (16, 16000),
        "reconstruction": (16, 10000),
        "attributes": (32, 16000),
        "mdrnet": (8, 4000),
    }
    for method, (batch_size, images) in trained.items():
        data["methods"][method]["schedule"] |= {"batch_size": batch_size, "images": images}
    return parameters_of(data)


@pytest.fixture
def smoke():
    """The profile `smoke` with a wider parser.

    On CPUs with AVX2 alone, oneDNN writes beyond its memory in the gradient of a strided 1x1 convolution of fewer than
    8 channels in channels-last layout, which `smoke` has (seen with torch 2.15.0).
    """
    data = profile("smoke")
    data["methods"]["parser"]["width"] = 8
    return parameters_of(data)


def images_of(parameters) -> dict[str, Images]:
    return {
        name: Images(data.train, data.test)
        for name, data in parameters.data.items()
        if data.train is not None and data.test is not None
    }


def one_second(parameters, *names: str) -> Timings:
    """A step of each of these systems takes a second, everything else nothing."""
    steps = {}
    for name in names:
        settings = getattr(parameters.methods, name)
        size = parameters.image_size
        steps[name, "network"] = Step(1.0, size, settings.schedule, "schedule")
    return dataclasses.replace(NOTHING, steps=steps)


# Amounts


@pytest.mark.parametrize(
    ("speed", "work", "amount", "seconds"),
    [
        ("face", "drawn faces", "15,000 images", (2 * 4300 + 2 * 3200) / 2),
        ("mask", "masks", "13,800 masks", 2 * (6000 + 900) / 2),
        ("stage", "notebooks and reports", "45 stages", 45),
    ],
)
def test_each_speed_counts_for_its_own_work_only(demo, speed, work, amount, seconds):
    found = estimate(demo, images_of(demo), dataclasses.replace(NOTHING, **{speed: 1.0}), stages=45, workers=2)
    assert [(w.name, w.amount, w.seconds) for w in found] == [(work, amount, pytest.approx(seconds))]


@pytest.mark.parametrize(
    ("method", "work", "steps"),
    [
        ("parser", "face parser (BiSeNet), 1 training", 1000),
        ("reconstruction", "reconstruction autoencoder, 1 training", 625),
        ("attributes", "attribute network, 1 training", 500),
        ("pconv", "PConv, 2 trainings", 2 * 1750),
        ("mdrnet", "MDRNets, 12 trainings", 12 * 500),
    ],
)
def test_steps_of_each_system(demo, method, work, steps):
    (found,) = estimate(demo, images_of(demo), one_second(demo, method), workers=2)
    assert (found.name, found.amount, found.seconds) == (work, f"{steps:,} steps", pytest.approx(steps))


def test_what_is_computed_for_a_data_set_and_what_is_measured(demo):
    items = dataclasses.replace(NOTHING, items={("mdrnet", "first_stage"): Each(1.0, 64)})
    (found,) = estimate(demo, images_of(demo), items)
    assert (found.name, found.amount, found.seconds) == ("MDRNets, first_stage", "32,000 pairs", 2 * 16000)
    completed = dataclasses.replace(NOTHING, completed={"mdrnet": Each(1.0, 64), "pconv": Each(2.0, 64)})
    (found,) = estimate(demo, images_of(demo), completed)
    assert (found.name, found.amount) == ("evaluation", "12,600 completed images")
    assert found.seconds == pytest.approx(12 * (900 + 5) + 2 * (1800 + 5))


def test_other_sizes_batches_and_photos_are_scaled(demo):
    """From what one run was measured with, to what another has."""
    once = {("pconv", "network"): Step(1.0, 32, demo.methods.pconv.schedule, "schedule")}
    (found,) = estimate(demo, images_of(demo), dataclasses.replace(NOTHING, steps=once))
    assert found.seconds == pytest.approx(4 * 2 * 1750), "measured at half the side"
    data = profile("demo")
    data["data"]["ffhq"] |= {"image_size": 128}
    large = parameters_of(data)
    images = {name: Images(100, 10) for name in large.data}
    (found,) = estimate(large, images, dataclasses.replace(NOTHING, face=1.0))
    assert found.seconds == 3 * 110 + 4 * 110
    change = {"schedule": {"batch_size": 16}}
    data["runs"]["mdrnet"] = {"full": {"dataset": "celebahq", "protocol": "irregular", "change": change}}
    double = parameters_of(data)
    (found,) = estimate(double, images, one_second(double, "mdrnet"))
    assert (found.amount, found.seconds) == ("200 steps", 400), "of twice as many images as were measured"


def test_seeds_epochs_and_own_schedules_are_counted():
    paper = load_profile("paper")
    images = {
        "celebahq": Images(28_000, 2_000),
        "ffhq": Images(68_000, 2_000),
        "parsing": Images(100, 100),
        "attributes": Images(100, 100),
    }
    (mdrnets,) = estimate(paper, images, one_second(paper, "mdrnet"))
    on_celebahq = [run for run in paper.run_names("mdrnet") if paper.run(run).dataset == "celebahq"]
    assert mdrnets.seconds == len(on_celebahq) * 28_000 * 45 / 8 + 68_000 * 45 / 8
    thrice = replace(paper, seeds=3)
    assert estimate(thrice, images, one_second(paper, "mdrnet"))[0].seconds == 3 * mdrnets.seconds
    (pconv,) = estimate(thrice, images, one_second(paper, "pconv"))
    assert pconv.seconds == 3 * (28_000 + 68_000) * 100 / 8
    (photos,) = estimate(paper, images, dataclasses.replace(NOTHING, photo=1.0))
    assert photos.name == "photos" and photos.seconds == 100_000
    data = profile("paper") | {"comparable": False}
    data["runs"]["mdrnet"] = {
        "full": {"dataset": "celebahq", "protocol": "irregular", "change": {"schedule": {"epochs": 90}}}
    }
    (one,) = estimate(parameters_of(data), images, one_second(paper, "mdrnet"))
    assert one.seconds == 28_000 * 90 / 8


def test_a_published_network_is_not_trained():
    """Even where a speed of its training is known, as when another run does train it."""
    paper = load_profile("paper")
    images = {name: Images(100, 100) for name in paper.data}
    step = Step(1.0, 256, paper.methods.pconv.schedule, "schedule")
    timings = dataclasses.replace(NOTHING, steps={("parser", "network"): step, ("attributes", "network"): step})
    assert estimate(paper, images, timings) == []


def test_schedules_are_found_wherever_they_stand(demo):
    assert schedules(demo.methods.pconv) == {"schedule": demo.methods.pconv.schedule}
    paper = load_profile("paper")
    assert schedules(paper.methods.parser) == schedules(paper.methods.inception) == {}


def test_stages_are_those_of_the_pipeline(tmp_path, demo):
    (tmp_path / "params.yaml").write_text(profile_text("smoke"), encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  data:\n    foreach: ${data}\n    do: {cmd: 'data ${key}', deps: [a], outs: ['data/${key}']}\n"
        "  train:\n    foreach: ${runs.mdrnet}\n    do: {cmd: 'train ${key} ${item.dataset}', params: [seed]}\n"
        "  site: {cmd: site}\n"
    )
    assert stage_count(demo, tmp_path) == len(load_stages(tmp_path)) == 4 + 12 + 1
    data = profile("smoke")
    data["runs"]["mdrnet"]["mine"] = {"dataset": "ffhq", "protocol": "irregular"}
    assert stage_count(parameters_of(data), tmp_path) == 18, "of the parameters given, not of those in the checkout"
    with pytest.raises(InputError, match=r"dvc\.yaml does not exist"):
        stage_count(demo, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "3 s"), (600, "10 min"), (7200, "2.0 h"), (86400 * 3, "3 days"), (86400 * 365 * 4, "4 years")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


# Steps against the clock


def test_the_smallest_profile_is_timed_without_touching_a_file(tmp_path, monkeypatch, smoke):
    monkeypatch.chdir(tmp_path)
    timings = TimedSteps(smoke, budget_s=0.3).timings()
    assert timings.photo == 0.0 and len(timings.notes) <= 1
    trained = ["attributes", "mdrnet", "parser", "pconv", "reconstruction"]
    assert sorted(timings.steps) == [(name, "network") for name in trained]
    for (name, _), step in timings.steps.items():
        assert (step.key, step.size) == ("schedule", 32) and step.schedule == getattr(smoke.methods, name).schedule
    assert list(timings.items) == [("mdrnet", "first_stage")]
    assert sorted(timings.completed) == ["mdrnet", "pconv"]
    each = [*timings.steps.values(), *timings.items.values(), *timings.completed.values()]
    values = [timings.face, timings.mask, timings.stage, *(one.seconds for one in each)]
    assert all(0 < value < 60 for value in values), values
    total = sum(work.seconds for work in estimate(smoke, images_of(smoke), timings, stages=45, workers=1))
    assert 10 < total < 7200
    assert list(tmp_path.iterdir()) == []


def test_on_a_busy_machine_one_core_is_measured(monkeypatch):
    smoke = load_profile("smoke")
    smoke = replace(smoke, compute=replace(smoke.compute, device="cpu"))
    monkeypatch.setattr(timed_steps.torch, "get_num_threads", lambda: 4)
    threads = []
    monkeypatch.setattr(timed_steps.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(timed_steps, "_busy_percent", lambda: 80.0)
    seen = []
    monkeypatch.setattr(TimedSteps, "_timings", lambda self: seen.append((self.gain, self.clock)))
    busy = TimedSteps(smoke)
    busy.timings()
    assert seen == [(pytest.approx(3.4), timed_steps.time.process_time)] and threads == [1, 4]
    assert busy.notes == [
        "other programs take 80 % of this machine: the processor time of one core was measured, and 4 quiet cores are "
        "counted as 3.4"
    ]
    monkeypatch.setattr(timed_steps, "_busy_percent", lambda: 5.0)
    quiet = TimedSteps(smoke)
    quiet.timings()
    assert seen[1] == (1.0, timed_steps.time.perf_counter) and quiet.notes == []


def test_on_a_cpu_large_images_are_measured_small():
    paper = load_profile("paper")
    reduced = TimedSteps(replace(paper, compute=replace(paper.compute, device="cpu")))
    assert (reduced.side("celebahq"), reduced.reduced("celebahq"), reduced._count(8, "celebahq")) == (128, True, 2)
    assert reduced.notes == ["steps at 128 pixels with 2 images, scaled by pixels and images"]
    deep = profile("paper") | {"comparable": False, "image_size": 512}
    deep["methods"]["pconv"]["levels"] = 8  # which 128 pixels do not allow
    deep["compute"]["device"] = "cpu"
    assert TimedSteps(parameters_of(deep)).side("celebahq") == 256
    smoke = load_profile("smoke")
    whole = TimedSteps(replace(smoke, compute=replace(smoke.compute, device="cpu")))
    assert (whole.side("ffhq"), whole._count(16, "ffhq"), whole.notes) == (32, 16, [])


# Stand-ins


def test_every_part_of_every_profile_is_built_by_its_own_code(tmp_path, monkeypatch):
    """Published weights included, of which no file is here."""
    monkeypatch.chdir(tmp_path)
    paper = load_profile("paper")
    with StandIns(paper, "cpu", size_of=lambda dataset: 128) as stand_ins:
        for one in methods().values():
            for part in one.run_parts if paper.run_names(one.name) else ():
                made = stand_ins.made(paper.run_names(one.name)[0], part)
                assert isinstance(made, Finished) == (one.name in ("parser", "inception")), one.name
        features = stand_ins.opened("inception")
        assert features.sha256 == STAND_IN and features.name == "FD (pt_inception-2015-12-05-6726825d.pth)", "no FID"
    assert list(tmp_path.iterdir()) == []


def test_what_is_computed_for_a_data_set_lies_in_a_folder_that_goes_away(smoke):
    part = methods()["mdrnet"].part("first_stage")
    with StandIns(smoke, "cpu", items=3) as stand_ins:
        folder, items = stand_ins.computed(methods()["mdrnet"], part, "ffhq")
        assert items == 3 and {file.name for file in folder.iterdir()} == {"coarse.npy", "labels.npy"}
        made = stand_ins.made("full_ffhq", methods()["mdrnet"].part("network"))
        assert made.batches["fixed_pairs"] == 3, "the training reads it, as in a run"
        assert stand_ins.computed(methods()["mdrnet"], part, "ffhq") == (folder, 3)
    assert not folder.exists()


def test_random_faces_have_every_field():
    store = StandIns(load_profile("smoke"), "cpu").faces(32)
    store.require(["attributes", "boxes", "identity", "landmarks", "parsing"])
    assert store.images.shape == (32, 32, 32, 3) and store.parsing.max() <= 18
    assert len(store.rows("train")) == 24 and len(store.rows("test")) == 8
    assert (store.boxes[..., 2:] > store.boxes[..., :2]).all()


# Disk


def test_disk_space_of_demo(demo):
    sizes = sizes_of(demo)
    needed = bytes_needed(demo, images_of(demo), sizes)
    faces, masks = (2 * 4300 + 2 * 3200) * 64 * 64 * 4, 2 * 6900 * 64 * 64
    assert needed["prepared data"] == faces + masks
    assert sizes.items == {("mdrnet", "first_stage"): 64 * 64 * 4}  # 3 channels and the labels
    assert needed["computed once"] == 2 * 16000 * 64 * 64 * 4
    mdrnet = sizes.networks["mdrnet", "network"]
    assert mdrnet.trained > mdrnet.stored > 0, "the discriminator is trained, and not kept"
    runs = {"mdrnet": 12, "pconv": 2, "parser": 1, "reconstruction": 1, "attributes": 1}
    stored = sum(count * sizes.networks[name, "network"].stored for name, count in runs.items())
    trained = sum(count * sizes.networks[name, "network"].trained for name, count in runs.items())
    assert needed["networks"] == 4 * stored and needed["checkpoints"] == 2 * 3 * 4 * trained
    assert sum(needed.values()) < 4e9
    assert (gigabytes(1.23e9), gigabytes(63e9)) == ("1.2 GB", "63 GB")


def test_full_size_networks_are_counted():
    sizes = sizes_of(load_profile("paper"))
    stored = {name: numbers.stored for (name, _), numbers in sizes.networks.items()}
    assert sizes.features == 2048 and stored["inception"] == 0 and "attributes" not in stored
    assert stored["mdrnet"] > 20_082_499 and stored["pconv"] > 25_779_796 and stored["parser"] == 13_313_119
    assert sizes.networks["parser", "network"].trained == 0 and sizes.items == {}
