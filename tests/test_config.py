"""Parameters: the packaged profiles, and what is refused with which words."""

from __future__ import annotations

import copy

import pytest
import yaml

from replication.config import PROFILES, activate_profile, load_parameters, profile_names
from replication.errors import InputError


def profile(name: str) -> dict:
    return yaml.safe_load((PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def refuse(tmp_path):
    """Load the demo profile with `path` set to `value`; the one sentence of the refusal."""
    demo = profile("demo")

    def attempt(path: str, value, drop: bool = False) -> str:
        data = copy.deepcopy(demo)
        *parents, last = path.split(".")
        inner = data
        for key in parents:
            inner = inner.setdefault(key, {})
        if drop:
            del inner[last]
        else:
            inner[yaml.safe_load(last)] = value
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(data))
        with pytest.raises(InputError) as caught:
            load_parameters(file)
        sentence = str(caught.value)
        assert "\n" not in sentence
        return sentence

    return attempt


def load(tmp_path, change=lambda data: None, name: str = "demo"):
    data = profile(name)
    change(data)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(data))
    return load_parameters(tmp_path / "params.yaml")


# Profiles


def test_the_four_profiles():
    assert profile_names() == ["demo", "paper", "photos", "smoke"]


@pytest.mark.parametrize("name", ["demo", "paper", "photos", "smoke"])
def test_profiles_load_and_carry_their_name(name):
    parameters = load_parameters(PROFILES / f"{name}.yaml")
    assert parameters.profile == name
    assert parameters.comparable == (name == "paper")


def keys(data: dict, path: str = "") -> set[str]:
    """Dotted keys, but not inside data sets and schedules, whose keys depend on their source and unit."""
    found = set()
    for key, value in data.items():
        here = f"{path}.{key}" if path else key
        found.add(here)
        if isinstance(value, dict) and path != "data" and key != "schedule":
            found |= keys(value, here)
    return found


@pytest.mark.parametrize("name", ["paper", "photos", "smoke"])
def test_profiles_are_complete(name):
    """Whatever can be set in `demo` stands in every profile, so that nobody has to know a default."""
    optional = {"parser.output_stride", "parser.schedule"} if name == "paper" else set()  # published weights fix them
    assert keys(profile("demo")) - keys(profile(name)) - optional == set()


@pytest.mark.parametrize("name", ["demo", "paper", "photos", "smoke"])
def test_every_row_of_the_papers_tables_is_an_experiment(name):
    parameters = load_parameters(PROFILES / f"{name}.yaml")
    assert set(parameters.experiments) == {
        "full",
        "no_mrem_no_dmm",
        "no_mrem",
        "no_semantic",
        "no_intra",
        "no_inter",
        "slots_32",
        "slots_64",
        "slots_256",
        "slots_512",
        "shared_memory",
        "full_ffhq",
    }
    assert {key: b.dataset for key, b in parameters.baselines.items()} == {"pconv": "celebahq", "pconv_ffhq": "ffhq"}
    assert {e.dataset for key, e in parameters.experiments.items() if key != "full_ffhq"} == {"celebahq"}
    slots = {key: parameters.mdrnet_of(key).memory.slots for key in parameters.experiments if "slots" in key}
    assert slots == {"slots_32": 32, "slots_64": 64, "slots_256": 256, "slots_512": 512}
    off = parameters.mdrnet_of("no_mrem_no_dmm"), parameters.mdrnet_of("no_mrem")
    assert [(m.dmm, m.mcm) for m in off] == [(False, False), (True, False)]
    assert parameters.mdrnet_of("shared_memory").memory.shared and not parameters.mdrnet.memory.shared
    for term in ("semantic", "intra", "inter"):
        losses = parameters.mdrnet_of(f"no_{term}").losses
        assert getattr(losses, term) == 0 and losses.reconstruction == 1
    assert parameters.mdrnet_of("full") == parameters.mdrnet_of("full_ffhq") == parameters.mdrnet


def test_the_profile_paper_states_the_papers_recipe():
    p = load_parameters(PROFILES / "paper.yaml")
    assert p.image_size == 256
    schedules = {"mdrnet": (p.mdrnet.schedule, 45), "coarse": (p.coarse.schedule, 100)}
    for schedule, epochs in (*schedules.values(), (p.reconstruction.schedule, 30)):
        assert (schedule.batch_size, schedule.lr, schedule.betas) == (8, 2e-4, (0.9, 0.99))
        assert (schedule.epochs, schedule.images, schedule.decay) == (epochs, None, "constant")
    assert p.mdrnet.schedule.steps(28_000) == 157_500 and p.mdrnet.schedule.steps(68_000) == 382_500
    assert p.coarse.schedule.steps(28_000) == 350_000 and p.reconstruction.schedule.steps(28_000) == 105_000
    memory = p.mdrnet.memory
    assert (memory.slots, memory.decay, memory.temperature, memory.read) == (128, 0.99, 1.0, "softmax")
    size = p.mdrnet.size
    widths = (size.channels, size.style_width, size.width, size.blocks, size.spade_hidden, size.patch)
    assert widths == (512, 32, 64, 4, 128, 8)
    assert (p.coarse.width, p.coarse.levels, p.coarse.for_ffhq, p.coarse.paste) == (64, 7, "celebahq", True)
    assert (p.mdrnet.discriminator_width, p.reconstruction.width, p.parser.width, p.parser.upscale) == (64, 64, 64, 2)
    assert p.perceptual.source == "vgg" and p.evaluation.extractor == "inception" and p.parser.source == "published"
    assert p.mdrnet.bank_pairs == 0 and p.mdrnet.discriminator_lr_ratio == 1
    losses = p.mdrnet.losses
    assert (losses.reconstruction, losses.perceptual, losses.style, losses.adversarial) == (1, 0.1, 250, 0.1)
    assert losses.apply_to == "raw"


# Refusals


def test_an_unknown_key_is_named_with_its_path_and_a_suggestion(refuse):
    sentence = refuse("mdrnet.memory.slot", 64)
    assert sentence.startswith("mdrnet.memory.slot: unknown key; did you mean 'slots'?")
    assert "slots, decay, shared, temperature, read" in sentence
    assert refuse("imagesize", 64).startswith("imagesize: unknown key; did you mean 'image_size'?")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("image_size", "64", "image_size: must be a whole number, got '64'"),
        ("image_size", 64.0, "image_size: must be a whole number, got 64.0"),
        ("seed", True, "seed: must be a whole number, got True"),
        ("mdrnet.memory.shared", 1, "mdrnet.memory.shared: must be true or false, got 1"),
        ("mdrnet.schedule.lr", "2e-3", "mdrnet.schedule.lr: must be a finite number, got '2e-3'"),
        ("mdrnet.schedule.betas", [0.9], "mdrnet.schedule.betas: must be a list of 2 numbers, got [0.9]"),
        ("mdrnet.memory", 128, "mdrnet.memory: must be a mapping, got 128"),
        ("experiments", ["full"], "experiments: must be a mapping, got ['full']"),
        ("profile", 3, "profile: must be a text, got 3"),
        ("run.device", "gpu", "run.device: must be one of auto, cpu, cuda, mps, got 'gpu'"),
        ("mdrnet.losses.semantic_classes", 15, "mdrnet.losses.semantic_classes: must be one of 19, 14, got 15"),
        ("image_size", 16, "image_size: must be from 32 to 512, got 16"),
        ("mdrnet.memory.decay", 1.01, "mdrnet.memory.decay: must be from 0 to 1, got 1.01"),
        ("mdrnet.memory.slots", 0, "mdrnet.memory.slots: must be from 1 to 65536, got 0"),
        ("mdrnet.losses.style", -1.0, "mdrnet.losses.style: must be at least 0, got -1.0"),
        ("mdrnet.schedule.lr", float("nan"), "mdrnet.schedule.lr: must be a finite number, got nan"),
        ("mdrnet.schedule.betas", [0.9, 1.5], "mdrnet.schedule.betas[1]: must be from 0 to 0.99999, got 1.5"),
        ("experiments.full.dataset", "celeba", "experiments.full.dataset: must be one of celebahq, ffhq, got 'celeba'"),
    ],
)
def test_wrong_types_and_values_out_of_range(refuse, path, value, sentence):
    assert refuse(path, value) == sentence


def test_a_missing_key_is_named(refuse):
    assert refuse("masks.train", None, drop=True) == "masks: missing key 'train'"
    assert refuse("mdrnet", None, drop=True) == "params: missing key 'mdrnet'"


@pytest.mark.parametrize("section", ["coarse", "parser", "reconstruction", "attributes", "mdrnet"])
def test_exactly_one_of_epochs_and_images(refuse, section):
    words = f"{section}.schedule: give exactly one of epochs and images"
    assert refuse(f"{section}.schedule.epochs", 3) == words
    assert refuse(f"{section}.schedule.images", None, drop=True) == words


def test_yaml_reads_on_as_true(refuse, tmp_path):
    """`on: composite` arrives as the key True: refused like any unknown key, instead of being overlooked."""
    sentence = refuse("mdrnet.losses.on", "composite")
    assert sentence.startswith("mdrnet.losses.True: unknown key") and "apply_to" in sentence


def test_rules_over_several_values(refuse, tmp_path):
    with pytest.raises(InputError, match="image_size: 36 must be a multiple of 8"):
        load(tmp_path, lambda data: (data.update(image_size=36), data["coarse"].update(levels=2)))
    assert refuse("image_size", 72).startswith("image_size: 72 must be a multiple of 2^coarse.levels = 32")
    assert refuse("mdrnet.size.patch", 3).startswith("mdrnet.size.patch: must divide the feature grid 32")
    assert refuse("mdrnet.size.channels", 20) == "mdrnet.size.channels: must be a multiple of 8, got 20"
    assert refuse("parser.source", "published").startswith("parser.width: the published parser")
    assert refuse("perceptual.source", "vgg").startswith("perceptual.vgg19: both")
    assert refuse("evaluation.extractor", "inception").startswith("evaluation.inception_weights: needed")
    assert refuse("masks.source", "nvidia").startswith("masks.test_folder: needed")
    assert refuse("data.celebahq.source", "photos").startswith("data.celebahq.folder: needed")
    photos = {"title": "p", "source": "photos", "folder": "p", "align": "ffhq"}
    assert refuse("data.celebahq", photos) == "data.celebahq.table: needed with landmarks when align is ffhq"
    for key, allowed in (("align", "none, ffhq, celebahq"), ("duplicates", "refuse, drop, allow")):
        assert refuse("data.celebahq", photos | {key: "x"}) == f"data.celebahq.{key}: must be one of {allowed}, got 'x'"
    assert refuse("data.ffhq.test", 0).startswith("data.ffhq.test: at least 2")
    assert refuse("baselines.full", {"method": "pconv", "dataset": "ffhq"}).startswith("baselines.full: the name is")


def test_a_file_that_is_missing_or_no_yaml(tmp_path):
    with pytest.raises(InputError, match=r"params\.yaml does not exist; make it with"):
        load_parameters(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: 1\nb: [1\n")
    with pytest.raises(InputError, match=r"params\.yaml is not valid YAML at line"):
        load_parameters(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(InputError, match="params: must be a mapping, got None"):
        load_parameters(tmp_path / "params.yaml")


# Experiments


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"memori": {}}, "experiments.mine.change.memori: unknown key; did you mean 'memory'?"),
        ({"memory": {"slotz": 1}}, "experiments.mine.change.memory.slotz: unknown key; did you mean 'slots'?"),
        ({"memory": 64}, "experiments.mine.change.memory: must be a mapping of slots, decay"),
        ({"memory": {"slots": "64"}}, "experiments.mine.change.memory.slots: must be a whole number, got '64'"),
        ({"memory": {"decay": 2}}, "experiments.mine.change.memory.decay: must be from 0 to 1, got 2"),
        ({"schedule": {"epochs": 1}}, "experiments.mine.change.schedule: give exactly one of epochs and images"),
        ({"size": {"patch": 5}}, "mdrnet.size.patch: must divide the feature grid 32"),
    ],
)
def test_a_change_is_checked_with_its_own_path(refuse, change, sentence):
    assert refuse("experiments.mine", {"dataset": "ffhq", "change": change}).startswith(sentence)


def test_changes_are_merged_into_the_section_and_nothing_else_moves(tmp_path):
    change = {"memory": {"slots": 7}, "losses": {"style": 0.0, "regions": "mask"}, "dmm": False}

    def add(data):
        data["experiments"]["mine"] = {"dataset": "ffhq", "seeds": 3, "change": change}

    p = load(tmp_path, add)
    mine = p.mdrnet_of("mine")
    assert (mine.memory.slots, mine.losses.style, mine.losses.regions, mine.dmm) == (7, 0.0, "mask", False)
    assert mine.memory.decay == p.mdrnet.memory.decay and mine.losses.intra == p.mdrnet.losses.intra
    assert (mine.size, mine.schedule, mine.mining) == (p.mdrnet.size, p.mdrnet.schedule, p.mdrnet.mining)
    assert (
        p.mdrnet_of("full") == p.mdrnet
        and p.experiment("mine").seeds == p.seeds_of("mine") == 3
        and p.seeds_of("full") == 1
    )


def test_a_schedule_can_change_from_images_to_epochs(tmp_path):
    change = {"schedule": {"images": None, "epochs": 2}}
    p = load(tmp_path, lambda data: data["experiments"].update(mine={"dataset": "ffhq", "change": change}))
    assert p.mdrnet_of("mine").schedule.total_images(100) == 200


def test_an_experiment_that_does_not_exist(tmp_path):
    p = load(tmp_path)
    for lookup in (p.experiment, p.mdrnet_of):
        with pytest.raises(InputError, match=r"experiment 'slot_64' does not exist; did you mean 'slots_64'\?"):
            lookup("slot_64")
    with pytest.raises(InputError, match=r"experiment 'xyz' does not exist \(allowed: full, "):
        p.experiment("xyz")


def test_a_schedule_has_at_least_one_step(tmp_path):
    p = load(tmp_path, lambda data: data["mdrnet"]["schedule"].update(images=3, batch_size=8))
    assert p.mdrnet.schedule.steps(1000) == 1


# Activating


def test_activating_is_idempotent(tmp_path):
    file = tmp_path / "params.yaml"
    assert activate_profile("smoke", file) is True
    before = file.stat().st_mtime_ns
    assert activate_profile("smoke", file) is False
    assert file.stat().st_mtime_ns == before and file.read_bytes() == (PROFILES / "smoke.yaml").read_bytes()
    assert activate_profile("demo", file) is True and load_parameters(file).profile == "demo"
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_activating_keeps_an_edited_file_beside(tmp_path):
    file = tmp_path / "params.yaml"
    activate_profile("smoke", file)
    edited = file.read_text().replace("seed: 0", "seed: 9", 1)
    file.write_text(edited)
    assert activate_profile("demo", file) is True
    assert (tmp_path / "params.edited.yaml").read_text() == edited
    again = file.read_text().replace("seed: 0", "seed: 7", 1)
    file.write_text(again)
    activate_profile("demo", file)
    assert (tmp_path / "params.edited.yaml").read_text() == edited
    assert (tmp_path / "params.edited-2.yaml").read_text() == again


PAPER_CONDITIONS = {
    "image_size": 128,
    "parser.source": "train",
    "perceptual.source": "parser",
    "evaluation.pairs_per_bucket": 200,
    "mdrnet.schedule.lr": 1e-3,
    "mdrnet.schedule.batch_size": 64,
    "mdrnet.schedule.decay": "cosine",
    "coarse.for_ffhq": "ffhq",
    "mdrnet.memory.slots": 32,
    "coarse.schedule.epochs": 10,
    "reconstruction.schedule.betas": [0.5, 0.999],
    "experiments.full.change": {"schedule": {"epochs": 1}},
}


@pytest.mark.parametrize("key", PAPER_CONDITIONS)
def test_only_the_papers_conditions_are_comparable(tmp_path, key):
    def change(data: dict) -> None:
        *path, last = key.split(".")
        for part in path:
            data = data[part]
        data[last] = PAPER_CONDITIONS[key]

    named = ".".join(key.split(".")[: 3 if "memory" in key or "change" in key else 2])
    if key == "parser.source":
        change_parser = change

        def change(data: dict) -> None:
            change_parser(data)
            data["parser"]["schedule"] = {"batch_size": 16, "lr": 2e-3, "betas": [0.9, 0.99], "images": 16000}

    with pytest.raises(InputError, match=f"comparable: may be true only .*, but {named}[a-z. ()]* is not "):
        load(tmp_path, change, "paper")
    load(tmp_path, lambda data: (change(data), data.update(comparable=False)), "paper")


@pytest.mark.parametrize("name", ["parser", "coarse_ffhq", "no semantic", "../x", "Full", ""])
def test_names_of_experiments(tmp_path, name):
    with pytest.raises(InputError, match=r"^experiments\..*: a name is made of a-z, 0-9 and _"):
        load(tmp_path, lambda data: data["experiments"].update({name: {"dataset": "celebahq"}}))


def test_a_profile_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"profile 'smok' does not exist; did you mean 'smoke'\?"):
        activate_profile("smok", tmp_path / "params.yaml")
    assert not (tmp_path / "params.yaml").exists()


def test_architecture_tells_the_sizes_of_the_profiles():
    lines = (PROFILES.parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()
    table = {cells[1].strip(): cells[2:] for line in lines if len(cells := line.split("|")) == 7}
    for column, name in enumerate(("smoke", "demo", "photos")):
        p = load_parameters(PROFILES / f"{name}.yaml")
        faces, size = p.data.celebahq, f"{p.image_size}, "
        sizes = size + (f"{faces.train} / {faces.test}" if name != "photos" else f"yours / up to {faces.test}")
        assert table["size, train / test per set"][column].strip() == sizes
        assert table["MDRNet sees"][column].strip().removesuffix(" images") == f"{p.mdrnet.schedule.images:,}"
        assert table["bank"][column].strip().removesuffix(" pairs") == f"{p.mdrnet.bank_pairs:,}"
