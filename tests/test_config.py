"""Parameters: what the profiles hold, and what is refused with which words."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml

from replication.config import load_parameters, parameters_of
from replication.errors import InputError
from replication.profile_files import load_profile, profile_names, profile_text
from replication.settings import merge
from replication.yaml_files import parse_yaml

PROFILES = ["demo", "paper", "photos", "smoke"]


def profile(name: str) -> dict[str, Any]:
    return parse_yaml(profile_text(name), name)


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set the value of a dotted key, whose mappings are made where they are missing."""
    *parents, last = path.split(".")
    for key in parents:
        data = data.setdefault(key, {})
    data[last] = value


def faults(change, name: str = "demo") -> list[str]:
    """The lines of the refusal of a profile that `change` was applied to, without the header of several."""
    data = profile(name)
    change(data)
    with pytest.raises(InputError) as caught:
        parameters_of(data)
    first, *more = str(caught.value).split("\n  ")
    if more:
        assert first == f"{len(more)} faults in params.yaml:"
    return more or [first]


def refuse(path: str, value: Any, name: str = "demo") -> str:
    """The only sentence of the refusal of a profile with `path` set to `value`."""
    (sentence,) = faults(lambda data: put(data, path, value), name)
    return sentence


def load(change=lambda data: None, name: str = "demo"):
    data = profile(name)
    change(data)
    return parameters_of(data)


# Profiles


def test_the_four_profiles():
    assert profile_names() == PROFILES


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_load_and_carry_their_name(name):
    parameters = load_profile(name)
    assert parameters.profile == name
    assert parameters.comparable == (name == "paper")


def keys(data: dict, path: str = "") -> set[str]:
    """Dotted keys, but not inside data sets, runs and schedules, whose keys depend on their source and unit."""
    found = set()
    for key, value in data.items():
        here = f"{path}.{key}" if path else key
        found.add(here)
        if isinstance(value, dict) and path not in ("data", "runs") and key != "schedule":
            found |= keys(value, here)
    return found


@pytest.mark.parametrize("name", ["paper", "photos", "smoke"])
def test_profiles_are_complete(name):
    """Whatever can be set in `demo` stands in every profile, so that nobody has to know a default."""
    # Published weights fix these.
    optional = {"methods.parser.output_stride", "methods.parser.schedule"} if name == "paper" else set()
    assert keys(profile("demo")) - keys(profile(name)) - optional == set()


@pytest.mark.parametrize("name", PROFILES)
def test_every_row_of_the_papers_tables_is_a_run(name):
    p = load_profile(name)
    controls = {"class_mean", "uniform_attention", "low_temperature", "cosine_mining", "acting_modules"}
    added = {"demo": controls, "paper": controls | {"random_start"}}.get(name, set())
    ours = [run for run in p.run_names("mdrnet") if run not in added]
    assert set(p.run_names("mdrnet")) == added | {
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
    assert {run: p.run(run).dataset for run in p.run_names("pconv")} == {"pconv": "celebahq", "pconv_ffhq": "ffhq"}
    assert {p.run(run).dataset for run in ours if run != "full_ffhq"} == {"celebahq"}
    assert p.run("full_ffhq").dataset == "ffhq"
    assert p.measured_runs() == [*p.run_names("pconv"), *p.run_names("mdrnet")]
    assert {p.run(run).protocol for run in p.measured_runs()} == {"irregular"}
    slots = {run: p.settings_of(run).memory.slots for run in ours if "slots" in run}
    assert slots == {"slots_32": 32, "slots_64": 64, "slots_256": 256, "slots_512": 512}
    off = p.settings_of("no_mrem_no_dmm"), p.settings_of("no_mrem")
    assert [(m.dmm, m.mcm) for m in off] == [(False, False), (True, False)]
    section = p.methods.mdrnet
    assert p.settings_of("shared_memory").memory.shared and not section.memory.shared
    for term in ("semantic", "intra", "inter"):
        losses = p.settings_of(f"no_{term}").losses
        assert getattr(losses, term) == 0 and losses.reconstruction == 1
    assert p.settings_of("full") == p.settings_of("full_ffhq") == section


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_controls_of_the_modules_are_runs(name):
    p = load_profile(name)
    section = p.methods.mdrnet
    assert (section.memory.start, section.memory.temperature, section.mining.similarity) == ("data", 1.0, "dot")
    assert (section.memory.read, section.mining.attention) == ("softmax", "softmax")
    changes = {
        "class_mean": {"memory": {"read": "class_mean"}},
        "uniform_attention": {"mining": {"attention": "uniform"}},
        "low_temperature": {"memory": {"temperature": 0.1}},
        "cosine_mining": {"mining": {"similarity": "cosine"}},
        "acting_modules": {"memory": {"temperature": 0.1}, "mining": {"similarity": "cosine"}},
    } | ({"random_start": {"memory": {"start": "random"}}} if name == "paper" else {})
    for run, change in changes.items():
        assert p.settings_of(run) == merge(section, change, path="change") != section
        assert p.run(run).dataset == "celebahq"


def test_the_profile_paper_states_the_papers_recipe():
    p = load_profile("paper")
    m = p.methods
    assert p.image_size == 256
    for schedule, epochs in ((m.mdrnet.schedule, 45), (m.pconv.schedule, 100), (m.reconstruction.schedule, 30)):
        assert (schedule.batch_size, schedule.lr, schedule.betas) == (8, 2e-4, (0.9, 0.99))
        assert (schedule.epochs, schedule.images, schedule.decay) == (epochs, None, "constant")
    assert m.mdrnet.schedule.steps(28_000) == 157_500 and m.mdrnet.schedule.steps(68_000) == 382_500
    assert m.pconv.schedule.steps(28_000) == 350_000 and m.reconstruction.schedule.steps(28_000) == 105_000
    memory = m.mdrnet.memory
    assert (memory.slots, memory.decay, memory.temperature, memory.read) == (128, 0.99, 1.0, "softmax")
    size = m.mdrnet.size
    widths = (size.channels, size.style_width, size.width, size.blocks, size.spade_hidden, size.patch)
    assert widths == (512, 32, 64, 4, 128, 8)
    coarse = m.mdrnet.coarse
    assert (m.pconv.width, m.pconv.levels, coarse.run, coarse.for_ffhq, coarse.paste) == (64, 7, "pconv", "pconv", True)
    assert (m.mdrnet.discriminator_width, m.reconstruction.width, m.parser.width, m.parser.upscale) == (64, 64, 64, 2)
    assert m.mdrnet.perceptual.source == m.pconv.perceptual.source == "vgg" and m.parser.source == "published"
    assert p.evaluation.features == "inception" and p.method_of("inception").name == "inception"
    assert m.mdrnet.first_stage.pairs == 0 and m.mdrnet.discriminator_lr_ratio == 1
    losses = m.mdrnet.losses
    assert (losses.reconstruction, losses.perceptual, losses.style, losses.adversarial) == (1, 0.1, 250, 0.1)
    assert losses.apply_to == "raw"


# Refusals


def test_an_unknown_key_is_named_with_its_path_and_a_suggestion():
    sentence = refuse("methods.mdrnet.memory.slot", 64)
    assert sentence == (
        "methods.mdrnet.memory.slot: unknown key; did you mean 'slots'? (allowed: slots, decay, shared, temperature, "
        "read, start)"
    )
    assert refuse("imagesize", 64).startswith("imagesize: unknown key; did you mean 'image_size'?")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("image_size", "64", "image_size: must be a whole number, got '64'"),
        ("image_size", 64.0, "image_size: must be a whole number, got 64.0"),
        ("seed", True, "seed: must be a whole number, got True"),
        ("methods.mdrnet.memory.shared", 1, "methods.mdrnet.memory.shared: must be true or false, got 1"),
        ("methods.mdrnet.schedule.lr", "2e-3", "methods.mdrnet.schedule.lr: must be a finite number, got '2e-3'"),
        (
            "methods.mdrnet.schedule.betas",
            [0.9],
            "methods.mdrnet.schedule.betas: must be a list of 2 numbers, got [0.9]",
        ),
        ("methods.mdrnet.memory", 128, "methods.mdrnet.memory: must be a mapping, got 128"),
        ("runs", ["full"], "runs: must be a mapping, got ['full']"),
        ("runs.mdrnet", ["full"], "runs.mdrnet: must be a mapping, got ['full']"),
        ("runs.mdrnet.full", None, "runs.mdrnet.full: must be a mapping, got None"),
        ("profile", 3, "profile: must be a text, got 3"),
        ("compute.device", "gpu", "compute.device: must be one of auto, cpu, cuda, mps, got 'gpu'"),
        (
            "methods.mdrnet.losses.semantic_classes",
            15,
            "methods.mdrnet.losses.semantic_classes: must be one of 19, 14, got 15",
        ),
        ("image_size", 16, "image_size: must be from 32 to 512, got 16"),
        ("methods.mdrnet.memory.decay", 1.01, "methods.mdrnet.memory.decay: must be from 0 to 1, got 1.01"),
        ("methods.mdrnet.memory.slots", 0, "methods.mdrnet.memory.slots: must be from 1 to 65536, got 0"),
        ("methods.mdrnet.losses.style", -1.0, "methods.mdrnet.losses.style: must be at least 0, got -1.0"),
        ("methods.mdrnet.schedule.lr", float("nan"), "methods.mdrnet.schedule.lr: must be a finite number, got nan"),
        (
            "methods.mdrnet.schedule.betas",
            [0.9, 1.5],
            "methods.mdrnet.schedule.betas[1]: must be from 0 to 0.99999, got 1.5",
        ),
        ("methods.mdrnet.size.channels", 20, "methods.mdrnet.size.channels: must be a multiple of 8, got 20"),
        ("evaluation.pairs_per_bucket", 1, "evaluation.pairs_per_bucket: must be at least 2, got 1"),
        ("masks.source", "nvidia", "masks: missing key 'test_folder', needed when source is nvidia"),
        (
            "data.celebahq.folder",
            "photos",
            "data.celebahq.folder: belongs to source photos; source here is drawn",
        ),
    ],
)
def test_wrong_types_and_values_out_of_range(path, value, sentence):
    assert refuse(path, value) == sentence


def test_a_missing_key_is_named():
    assert faults(lambda data: data["masks"].pop("train")) == [
        "masks: missing key 'train', needed when source is drawn"
    ]
    assert faults(lambda data: data["methods"].pop("mdrnet")) == ["methods: missing key 'mdrnet'"]
    assert faults(lambda data: data["runs"].pop("mdrnet")) == ["runs: missing key 'mdrnet'"]
    assert faults(lambda data: data.pop("methods")) == ["params.yaml: missing key 'methods'"]


@pytest.mark.parametrize("section", ["pconv", "parser", "reconstruction", "attributes", "mdrnet"])
def test_exactly_one_of_epochs_and_images(section):
    words = f"methods.{section}.schedule: give exactly one of epochs and images"
    assert refuse(f"methods.{section}.schedule.epochs", 3) == words
    assert faults(lambda data: data["methods"][section]["schedule"].pop("images")) == [words]


def edited(tmp_path, old: str, new: str) -> str:
    """The refusal of the profile demo as a file in which the first `old` is replaced."""
    text = profile_text("demo")
    assert old in text
    file = tmp_path / "params.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_parameters(file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        (
            "seed: 0 ",
            "seed: 010 ",
            "seed",
            "010 is read here, by YAML 1.1, as 8, and by DVC, by YAML 1.2, as 10",
        ),
        ("\nnote: Drawn", "\nnote: 1:30\n#", "note", "1:30 is read here, by YAML 1.1, as 90, and by DVC, by YAML 1.2"),
        ("comparable: false", "comparable: no", "comparable", "no is read here, by YAML 1.1, as false, and by DVC"),
        ("log_every_s: 10 ", "log_every_s: .5e3 ", "compute.log_every_s", ".5e3 is read here, by YAML 1.1, as 500.0"),
        (
            "slots: 128",
            "slots: 0o10",
            "methods.mdrnet.memory.slots",
            "0o10 is read here, by YAML 1.1, as the text",
        ),
        ("apply_to: raw", "on: composite", "methods.mdrnet.losses.on", "a name must be a text, and on is read as true"),
    ],
)
def test_what_dvc_reads_otherwise_is_refused_by_its_key(tmp_path, old, new, key, words):
    text = edited(tmp_path, old, new)
    assert text.startswith(f"{key}: {words}") and re.search(r" \(line \d+\)$", text) and "\n" not in text


def test_all_that_dvc_reads_otherwise_is_told_at_once(tmp_path):
    text = edited(tmp_path, "seeds: 1 ", "seeds: 0o1\nconsent: [yes]\n# ")
    head, *lines = text.split("\n  ")
    assert head == f"2 faults in {tmp_path}/params.yaml:"
    assert [line.partition(":")[0] for line in lines] == ["seeds", "consent[0]"]


def test_a_date_without_quotes_is_refused_with_its_line(tmp_path):
    text = edited(tmp_path, "\nnote: ", "\nnote: 2024-05-01\n#")
    assert text == f"{tmp_path}/params.yaml: note, line 7: 2024-05-01 is read as a date; put it in quotes"


@pytest.mark.parametrize(
    ("typed", "read"), [("null", "null"), ("true", "true"), ("no", "false or the text 'no'"), ("12", "the number 12")]
)
def test_a_run_is_not_called_like_what_is_no_text(tmp_path, typed, read):
    text = edited(tmp_path, "\n    slots_32: ", f"\n    {typed}: ")
    start = f"runs.mdrnet.{typed}: a name must be a text, and {typed} is read as {read}; take another name (line "
    assert text.startswith(start)


@pytest.mark.parametrize("name", ["null", "true", "false", "yes", "no", "on", "off"])
def test_quotes_do_not_help_such_a_name(name):
    words = f"{name} without quotes, as the commands of dvc.yaml have it, is no text in YAML; take another name"
    run = {"dataset": "celebahq", "protocol": "irregular"}
    assert faults(lambda data: data["runs"]["mdrnet"].update({name: run})) == [f"runs.mdrnet.{name}: {words}"]


def test_values_that_do_not_fit_the_image_size():
    assert refuse("image_size", 72) == (
        "methods.pconv.levels: image_size 72 must be a multiple of 2^5 = 32; take another size, or fewer levels"
    )
    assert faults(lambda data: data.update(image_size=36)) == [
        "methods.reconstruction: image_size 36 must be a multiple of 8: the autoencoder halves images three times",
        "methods.pconv.levels: image_size 36 must be a multiple of 2^5 = 32; take another size, or fewer levels",
    ]
    # Once, though every run without a change of its own has it.
    assert refuse("methods.mdrnet.size.patch", 3) == (
        "methods.mdrnet.size.patch: must divide the feature grid 32 = image_size/2, got 3"
    )
    # A data set's own size counts for the runs on it.
    assert refuse("data.ffhq.image_size", 72).startswith("methods.pconv.levels: image_size 72 must be a multiple")


def test_rules_of_the_parsers_two_sources():
    assert faults(lambda data: data["methods"]["parser"].update(source="published")) == [
        "methods.parser: missing key 'weights', needed when source is published",
        "methods.parser.schedule: belongs to source train; source here is published",
    ]
    published = {"source": "published", "weights": "x.pth", "upscale": 1}
    words = "methods.parser.width: the published parser has width 64 and output_stride 8"
    assert refuse("methods.parser", published | {"width": 12}) == words
    assert refuse("methods.parser", published | {"width": 64, "output_stride": 4}) == words
    assert load(lambda data: put(data, "methods.parser", published | {"width": 64})).methods.parser.weights == "x.pth"
    assert refuse("methods.parser.schedule.decay", "cosine") == (
        "methods.parser.schedule.decay: must be constant; the parser's training has a polynomial decay of its own"
    )


def test_rules_of_the_perceptual_features():
    assert refuse("methods.mdrnet.perceptual", {"source": "vgg"}) == (
        "methods.mdrnet.perceptual: missing key 'weights', needed when source is vgg"
    )
    assert refuse("methods.pconv.perceptual.weights", "x.pth") == (
        "methods.pconv.perceptual.weights: belongs to source vgg; source here is parser"
    )


def test_rules_of_photos():
    photos = {"title": "p", "source": "photos", "folder": "p", "align": "ffhq"}
    assert refuse("data.celebahq", photos) == "data.celebahq.table: needed with landmarks when align is ffhq"
    for key, allowed in (("align", "none, ffhq, celebahq"), ("duplicates", "refuse, drop, allow")):
        assert refuse("data.celebahq", photos | {key: "x"}) == f"data.celebahq.{key}: must be one of {allowed}, got 'x'"
    assert faults(lambda data: data["data"]["celebahq"].update(source="photos")) == [
        "data.celebahq: missing key 'folder', needed when source is photos",
        "data.celebahq.distribution: belongs to source drawn; source here is photos",
    ]


def test_finetuning_is_a_part_of_the_epochs():
    assert refuse("methods.pconv.finetune_epochs", 3.0) == "methods.pconv.finetune_epochs: needs schedule.epochs"
    assert refuse("methods.pconv.finetune_epochs", 101.0, "paper").endswith("must not exceed schedule.epochs")


def test_faults_of_several_places_are_told_at_once():
    def change(data):
        data["image_size"] = 16
        data["methods"]["mdrnet"]["memory"]["slots"] = 0
        data["data"]["ffhq"]["folder"] = "photos"
        data["runs"]["pconv"]["pconv"]["data"] = "celebahq"

    assert faults(change) == [
        "image_size: must be from 32 to 512, got 16",
        "data.ffhq.folder: belongs to source photos; source here is drawn",
        "methods.mdrnet.memory.slots: must be from 1 to 65536, got 0",
        "runs.pconv.pconv.data: unknown key; did you mean 'dataset'? (allowed: dataset, protocol, seeds, change)",
    ]


def test_faults_between_sections_are_told_at_once():
    def change(data):
        data["evaluation"]["features"] = "atributes"
        data["runs"]["mdrnet"]["full"]["dataset"] = "celeba"
        data["methods"]["mdrnet"]["coarse"]["run"] = "pcon"
        data["data"]["ffhq"]["test"] = 1

    first, second, third, fourth = faults(change)
    assert first == "data.ffhq.test: at least 2 test images are needed to evaluate"
    assert second.startswith("evaluation.features: 'atributes' is no run; did you mean 'attributes'? (allowed: ")
    assert third == (
        "runs.mdrnet.full.dataset: 'celeba' is no data set; did you mean 'celebahq'? (allowed: celebahq, ffhq, "
        "parsing, attributes)"
    )
    assert fourth == (
        "methods.mdrnet.coarse.run: mdrnet needs the run 'pcon' of pconv, which is not there; did you mean 'pconv'? "
        "(allowed: pconv, pconv_ffhq)"
    )


# Files


def written(tmp_path, content: str | bytes) -> str:
    """The refusal of a params.yaml with this content."""
    file = tmp_path / "params.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load_parameters(file)
    return str(caught.value).replace(str(tmp_path), "")


def test_a_file_that_is_missing_or_no_yaml(tmp_path):
    with pytest.raises(InputError, match=r"params\.yaml does not exist; make it with `python -m replication profile"):
        load_parameters(tmp_path / "params.yaml")
    assert written(tmp_path, "a: 1\nb: [1\n").startswith("/params.yaml is not valid YAML at line 3: ")
    assert written(tmp_path, "") == "/params.yaml must hold a mapping; it holds nothing"


def test_a_key_given_twice_is_refused_with_its_lines(tmp_path):
    text = profile_text("demo")
    line = next(k for k, each in enumerate(text.splitlines(), 1) if each.startswith("seed: 0"))
    assert written(tmp_path, text.replace("seeds: 1 ", "seed: 1 ", 1)) == (
        f"/params.yaml: seed is given twice, at lines {line} and {line + 1}"
    )
    second = text.replace("    full_ffhq: {", "    full: {")  # a run is no less lost
    assert "runs.mdrnet.full is given twice, at lines " in written(tmp_path, second)


def test_a_file_that_is_no_utf8_is_one_sentence(tmp_path):
    text = profile_text("demo").replace("Any laptop", "Jeder f\xfcr sich")
    sentence = written(tmp_path, text.encode("latin-1"))
    assert sentence == "/params.yaml is not UTF-8: byte 0xfc at line 2; save it as UTF-8"


@pytest.mark.parametrize("number", ["1e-05", "2e-3", "1E-4", "0.001"])
def test_numbers_as_dvc_writes_them(tmp_path, number):
    file = tmp_path / "params.yaml"
    file.write_text(profile_text("demo").replace("lr: 2.0e-3", f"lr: {number}"), encoding="utf-8")
    assert load_parameters(file).methods.mdrnet.schedule.lr == float(number)


def test_a_file_written_by_a_program_reads_the_same(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(profile("demo")), encoding="utf-8")
    assert load_parameters(tmp_path / "params.yaml") == load_profile("demo")


# Runs


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"memori": {}}, "runs.mdrnet.mine.change.memori: unknown key; did you mean 'memory'?"),
        ({"memory": {"slotz": 1}}, "runs.mdrnet.mine.change.memory.slotz: unknown key; did you mean 'slots'?"),
        ({"memory": 64}, "runs.mdrnet.mine.change.memory: must be a mapping of slots, decay"),
        ({"memory": {"slots": "64"}}, "runs.mdrnet.mine.change.memory.slots: must be a whole number, got '64'"),
        ({"memory": {"decay": 2}}, "runs.mdrnet.mine.change.memory.decay: must be from 0 to 1, got 2"),
        ({"schedule": {"epochs": 1}}, "runs.mdrnet.mine.change.schedule: give exactly one of epochs and images"),
        ({"size": {"patch": 5}}, "runs.mdrnet.mine.change.size.patch: must divide the feature grid 32"),
        (
            {"first_stage": {"pairs": 9}},
            "runs.mdrnet.mine.change.first_stage: is the same for all runs; change it in methods.mdrnet",
        ),
        (
            {"coarse": {"run": "pconv_ffhq"}},
            "runs.mdrnet.mine.change.coarse: is the same for all runs; change it in methods.mdrnet",
        ),
    ],
)
def test_a_change_is_checked_with_its_own_path(change, sentence):
    assert refuse("runs.mdrnet.mine", {"dataset": "ffhq", "protocol": "irregular", "change": change}).startswith(
        sentence
    )


def test_all_faults_of_a_change_at_once():
    change = {"first_stage": {"pairs": 9}, "memory": {"slots": 0}, "dmm": 1}
    assert faults(
        lambda data: put(data, "runs.mdrnet.mine", {"dataset": "ffhq", "protocol": "irregular", "change": change})
    ) == [
        "runs.mdrnet.mine.change.first_stage: is the same for all runs; change it in methods.mdrnet",
        "runs.mdrnet.mine.change.dmm: must be true or false, got 1",
        "runs.mdrnet.mine.change.memory.slots: must be from 1 to 65536, got 0",
    ]


def test_changes_are_merged_into_the_section_and_nothing_else_moves():
    change = {"memory": {"slots": 7}, "losses": {"style": 0.0, "regions": "mask"}, "dmm": False}
    p = load(
        lambda data: put(
            data, "runs.mdrnet.mine", {"dataset": "ffhq", "protocol": "irregular", "seeds": 3, "change": change}
        )
    )
    mine, section = p.settings_of("mine"), p.methods.mdrnet
    assert (mine.memory.slots, mine.losses.style, mine.losses.regions, mine.dmm) == (7, 0.0, "mask", False)
    assert mine.memory.decay == section.memory.decay and mine.losses.intra == section.losses.intra
    assert (mine.size, mine.schedule, mine.mining) == (section.size, section.schedule, section.mining)
    assert p.settings_of("full") == section
    assert p.run("mine").seeds == p.seeds_of("mine") == 3 and p.seeds_of("slots_64") == 1


def test_a_run_can_change_the_source_of_its_parser():
    """Its system's settings are a union: a change that names the other member is checked by that."""
    given = {"source": "published", "weights": "x.pth", "upscale": 2}
    run = {"dataset": "parsing", "change": given}
    p = load(lambda data: put(data, "runs.parser.other", run))
    assert p.settings_of("other").model_dump() == given | {"width": 64, "output_stride": 8}
    assert p.settings_of("parser") == p.methods.parser and p.methods.parser.source == "train"
    assert refuse("runs.parser.other", run | {"change": {"source": "published"}}) == (
        "runs.parser.other.change: missing key 'weights', needed when source is published"
    )
    assert refuse("runs.parser.other", run | {"change": {"weights": "x.pth"}}) == (
        "runs.parser.other.change.weights: belongs to source published; source here is train"
    )
    assert refuse("runs.parser.other", run | {"change": {"source": "x"}}) == (
        "runs.parser.other.change.source: must be one of train, published, got 'x'"
    )
    p = load(lambda data: put(data, "runs.parser.other", run | {"change": {"width": 8}}))
    assert (p.settings_of("other").source, p.settings_of("other").width) == ("train", 8)


def test_a_schedule_can_change_from_images_to_epochs():
    run = {"dataset": "ffhq", "protocol": "irregular", "change": {"schedule": {"images": None, "epochs": 2}}}
    p = load(lambda data: put(data, "runs.mdrnet.mine", run))
    assert p.settings_of("mine").schedule.total_images(100) == 200


def test_a_run_that_does_not_exist():
    p = load()
    for lookup in (p.run, p.settings_of, p.method_of, p.seeds_of, p.protocol_of):
        with pytest.raises(InputError, match=r"run 'slot_64' does not exist; did you mean 'slots_64'\? \(allowed: "):
            lookup("slot_64")
    with pytest.raises(InputError, match=r"run 'xyz' does not exist \(allowed: attributes, parser, "):
        p.run("xyz")
    with pytest.raises(InputError, match=r"data set 'celeba' does not exist; did you mean 'celebahq'\?"):
        p.data_set("celeba")
    with pytest.raises(InputError, match=r"run 'parser' is measured by no protocol; give it one in params\.yaml"):
        p.protocol_of("parser")


def test_runs_of_what_does_not_exist():
    allowed = "(allowed: attributes, inception, parser, reconstruction, pconv, mdrnet)"
    assert refuse("runs.mdrnt", {}) == f"runs.mdrnt: unknown key; did you mean 'mdrnet'? {allowed}"
    assert refuse("runs.gfpgan", {"mine": {"dataset": "ffhq"}}) == f"runs.gfpgan: unknown key {allowed}"
    assert refuse("methods.gfpgan", {}) == f"methods.gfpgan: unknown key {allowed}"
    assert refuse("runs.mdrnet.full", {"protocol": "irregular"}) == (
        "runs.mdrnet.full.dataset: needed (allowed: celebahq, ffhq, parsing, attributes)"
    )
    assert refuse("runs.mdrnet.full.protocol", "iregular") == (
        "runs.mdrnet.full.protocol: 'iregular' is no protocol; did you mean 'irregular'? (allowed: irregular)"
    )


def test_rules_of_protocols():
    assert refuse("protocols.irregular.datasets", ["celebhq", "ffhq"]) == (
        "protocols.irregular.datasets: 'celebhq' is no data set; did you mean 'celebahq'? (allowed: celebahq, ffhq, "
        "parsing, attributes)"
    ), "told once, not at every run"
    assert refuse("runs.parser.parser.protocol", "irregular") == (
        "runs.parser.parser.protocol: face parser (BiSeNet) completes no faces, so no protocol measures it"
    )
    assert refuse("protocols.irregular.holes", "box") == (
        "protocols.irregular.holes: must be one of irregular, eye_boxes, regions, got 'box'"
    )
    words = "list them when holes is regions, and only then"
    assert refuse("protocols.irregular.regions", ["mouth"]) == f"protocols.irregular.regions: {words}"
    assert refuse("protocols.irregular.holes", "regions") == f"protocols.irregular.regions: {words}"
    run = {"dataset": "parsing", "protocol": "irregular"}
    assert faults(lambda data: put(data, "runs.mdrnet.mine", run)) == [
        "runs.mdrnet.mine.dataset: protocol irregular pairs no images of parsing (it has: celebahq, ffhq)",
        "runs.mdrnet.mine.dataset: parsing is not among protocols.irregular.datasets (celebahq, ffhq), for which "
        "first_stage is made",
    ]


def test_needs_that_name_a_missing_run():
    assert faults(lambda data: put(data, "runs.parser", {})) == [
        "runs.parser: pconv needs the run 'parser' of parser, which is not there (there are none)",
        "runs.parser: mdrnet needs the run 'parser' of parser, which is not there (there are none)",
    ]
    assert refuse("methods.mdrnet.coarse.for_ffhq", "pconv_fhq") == (
        "methods.mdrnet.coarse.for_ffhq: mdrnet needs the run 'pconv_fhq' of pconv, which is not there; did you mean "
        "'pconv_ffhq'? (allowed: pconv, pconv_ffhq)"
    )


def test_features_come_from_a_run_that_makes_them():
    assert refuse("evaluation.features", "full") == (
        "evaluation.features: 'full' is a run of MDRNets, which makes no features"
    )


def test_two_runs_of_one_name():
    assert refuse("runs.pconv.full", {"dataset": "ffhq", "protocol": "irregular"}) == (
        "runs.mdrnet.full: the name is used by a run of pconv too"
    )


@pytest.mark.parametrize("name", ["no semantic", "../x", "Full", "", "1x"])
def test_names_of_runs_and_data_sets(name):
    words = "a name is made of a-z, 0-9 and _, and begins with a letter"
    found = faults(lambda data: data["runs"]["mdrnet"].update({name: {"dataset": "celebahq", "protocol": "irregular"}}))
    assert found == [f"runs.mdrnet.{name}: {words}"]
    drawn = {"title": "x", "source": "drawn", "train": 3, "test": 3}
    assert faults(lambda data: data["data"].update({name: drawn})) == [f"data.{name}: {words}"]


def test_a_schedule_has_at_least_one_step():
    p = load(lambda data: data["methods"]["mdrnet"]["schedule"].update(images=3, batch_size=8))
    assert p.methods.mdrnet.schedule.steps(1000) == 1


# Comparable with the papers

PAPER_CONDITIONS = {
    "image_size": 128,
    "data.ffhq.image_size": 128,
    "masks": {"source": "drawn", "train": 9, "test_per_bucket": 9},
    "evaluation.features": "attributes",
    "evaluation.pairs_per_bucket": 200,
    "methods.parser": {
        "source": "train",
        "width": 12,
        "schedule": {"batch_size": 16, "lr": 2e-3, "betas": [0.9, 0.99], "images": 16000},
    },
    "methods.mdrnet.perceptual": {"source": "parser"},
    "methods.pconv.perceptual": {"source": "parser"},
    "methods.mdrnet.schedule.lr": 1e-3,
    "methods.mdrnet.schedule.batch_size": 64,
    "methods.mdrnet.schedule.decay": "cosine",
    "methods.mdrnet.coarse.for_ffhq": "pconv_ffhq",
    "methods.mdrnet.memory.slots": 32,
    "methods.pconv.schedule.epochs": 10,
    "methods.reconstruction.schedule.betas": [0.5, 0.999],
    "runs.mdrnet.full.change": {"schedule": {"epochs": 1}},
}
NAMED = {
    "image_size": "image_size (of data.celebahq)",
    "data.ffhq.image_size": "image_size (of data.ffhq)",
    "masks": "masks.source",
    "methods.parser": "methods.parser.source",
    "methods.mdrnet.perceptual": "methods.mdrnet.perceptual.source",
    "methods.pconv.perceptual": "methods.pconv.perceptual.source",
    "runs.mdrnet.full.change": "runs.mdrnet.full.change.schedule",
} | {key: key.rpartition(".")[0] for key in PAPER_CONDITIONS if ".schedule." in key}


@pytest.mark.parametrize("key", PAPER_CONDITIONS)
def test_only_the_papers_conditions_are_comparable(key):
    def change(data: dict) -> None:
        put(data, key, copy.deepcopy(PAPER_CONDITIONS[key]))
        if key == "evaluation.features":
            put(data, "runs.attributes.attributes", {"dataset": "attributes"})

    first = faults(change, "paper")[0]
    words = "comparable: may be true only under the paper's conditions, but"
    assert first.startswith(f"{words} {NAMED.get(key, key)} is not ")
    load(lambda data: (change(data), data.update(comparable=False)), "paper")


def test_what_is_not_comparable_is_said_with_the_papers_value():
    assert refuse("methods.pconv.schedule.epochs", 10, "paper") == (
        "comparable: may be true only under the paper's conditions, but methods.pconv.schedule is not batch_size 8, "
        "lr 0.0002, betas [0.9, 0.99], epochs 100.0, decay constant"
    )
    assert refuse("evaluation.pairs_per_bucket", 200, "paper").endswith("evaluation.pairs_per_bucket is not null")
    drawn = {"title": "x", "source": "drawn", "train": 9, "test": 9}
    assert refuse("data.ffhq", drawn, "paper").endswith("data.ffhq.source is not photos")


def test_every_fault_of_a_profile_that_calls_itself_comparable():
    found = faults(lambda data: data.update(comparable=True))
    assert len(found) > 10 and all(line.startswith("comparable: ") for line in found)


def test_a_run_that_inpaints_needs_a_protocol():
    sentence = "runs.mdrnet.mine.protocol: needed (allowed: irregular)"
    assert refuse("runs.mdrnet.mine", {"dataset": "ffhq"}) == sentence


def test_a_protocol_whose_field_the_data_set_lacks():
    eyes = {"datasets": ["celebahq"], "holes": "eye_boxes"}
    photos = {"title": "p", "source": "photos", "folder": "photos"}

    def change(data):
        data["data"]["celebahq"] = photos
        data["protocols"]["eyes"] = eyes

    words = "protocols.eyes: protocol 'eyes' on data set 'celebahq': needs the field landmarks, which the set lacks"
    assert faults(change) == [f"{words} (it has: image)"]
