"""The packaged catalogue: facts that must not drift, and what it provides for the profiles."""

from __future__ import annotations

import re

import pytest

from replication.backbones.perceptual import VGG16Features, VGG19Features
from replication.config import parameters_of
from replication.downloads.sources import check_consent, chosen_sources, load_sources, sources_of
from replication.errors import InputError
from replication.methods.parser.bisenet import PUBLISHED_FILE, PUBLISHED_SHA256
from replication.profile_files import load_profile, profile_text
from replication.yaml_files import parse_yaml

SETS = ["celebahq", "celebahq_split", "ffhq", "celeba", "celebamaskhq", "celeb_id"]
SETS += ["nvidia_masks_test", "nvidia_masks_train"]
WEIGHTS = ["inception", "vgg19", "vgg16", "lpips_alexnet", "face_parser", "face_embedding"]


def test_every_source_that_the_papers_need_is_there():
    sources = load_sources()
    assert [name for name, s in sources.items() if s.what == "data"] == SETS
    assert [name for name, s in sources.items() if s.what == "weights"] == WEIGHTS


def test_hashes_agree_with_those_that_the_networks_check():
    sources = load_sources()
    for name, file_name, sha256 in (
        ("vgg19", VGG19Features.file_name, VGG19Features.sha256_prefix),
        ("vgg16", VGG16Features.file_name, VGG16Features.sha256_prefix),
        ("face_parser", PUBLISHED_FILE, PUBLISHED_SHA256),
    ):
        (file,) = sources[name].files
        assert file.path == f"weights/{file_name}" and file.sha256.startswith(sha256)


@pytest.mark.parametrize("name", [n for n in WEIGHTS if n not in ("face_parser", "face_embedding")])
def test_the_hash_in_a_published_file_name_is_its_beginning(name):
    (file,) = load_sources()[name].files
    assert file.sha256.startswith(re.search(r"-([0-9a-f]{8})\.pth$", file.path)[1])


def test_sets_of_photos_of_people_need_consent():
    assert [name for name, s in load_sources().items() if s.consent] == [
        "celebahq",
        "ffhq",
        "celeba",
        "celebamaskhq",
        "celeb_id",
    ]


def test_the_profile_paper_finds_its_paths(monkeypatch, tmp_path, capsys):
    from replication.downloads.fetch import fetch, list_sources, needed_sources

    paper = load_profile("paper")
    assert needed_sources(paper) == [
        *("celebahq", "celebahq_split", "ffhq", "nvidia_masks_test", "nvidia_masks_train"),
        *("inception", "vgg19", "vgg16", "face_parser"),
    ]
    demo = load_profile("demo")
    assert needed_sources(demo) == []
    monkeypatch.chdir(tmp_path)
    fetch(demo, profile=True)
    assert capsys.readouterr().out == "profile demo needs nothing to be fetched\n"
    assert list_sources().count("missing") == len(SETS + WEIGHTS)


def test_every_place_in_which_a_file_is_named_is_looked_at():
    from replication.downloads.fetch import needed_sources

    def needed(change) -> list[str]:
        data = parse_yaml(profile_text("demo"), "demo")
        change(data)
        return needed_sources(parameters_of(data))

    photos = {"title": "x", "source": "photos", "folder": "mine", "table": "data/raw/celebahq.csv"}
    assert needed(lambda data: data["data"].update(celebahq=photos)) == ["celebahq_split"]
    maps = photos | {"table": None, "parsing_folder": "data/raw/celebamaskhq_labels"}
    assert needed(lambda data: data["data"].update(celebahq=maps)) == ["celebamaskhq"]
    masks = {"source": "nvidia", "train": 9, "test_per_bucket": 9}
    masks["test_folder"] = "data/raw/masks/testing_mask_dataset"
    assert needed(lambda data: data.update(masks=masks)) == ["nvidia_masks_test"]
    alexnet = {"lpips_weights": "data/raw/weights/alexnet-owt-7be5be79.pth"}
    assert needed(lambda data: data["evaluation"].update(alexnet)) == ["lpips_alexnet"]
    vgg = {"source": "vgg", "weights": "data/raw/weights/vgg19-dcbb9e9d.pth"}
    run = {"dataset": "ffhq", "protocol": "irregular", "change": {"perceptual": vgg}}
    assert needed(lambda data: data["runs"]["mdrnet"].update(mine=run)) == ["vgg19"], "of one run alone"
    assert needed(lambda data: data["runs"]["inception"].update(inception={})) == ["inception"], "a default of settings"


def test_what_is_made_of_celeba_and_celebamaskhq_is_found_and_described():
    from replication.downloads.fetch import describe_source

    sources = load_sources()
    files = {"celeba": {file.path for file in sources["celeba"].files}}
    files["celebamaskhq"] = {file.path for file in sources["celebamaskhq"].files} | files["celeba"]
    for name, own in files.items():
        inside = [path for path in sources[name].table.lists() if path not in own]
        assert all(path.startswith("celebamaskhq/") for path in inside), "every list is fetched or unpacked"
    paths = ["data/raw/celebamaskhq.csv", "data/raw/celebahq", "data/raw/celeba.csv", "data/raw/celebamaskhq_labels"]
    assert sources_of(paths, "data/raw", sources) == ["celebahq", "celeba", "celebamaskhq"]
    text = describe_source("celebamaskhq")
    assert "data/raw/celebamaskhq.csv (made here: file, identity, split, attributes; joined by image of" in text
    assert "data/raw/celebamaskhq_labels (30,000 PNG of 512x512 with 19 labels, made here of" in text
    assert "file, identity, split, landmarks, attributes" in describe_source("celeba")


@pytest.mark.parametrize(
    "table, sentence",
    [
        ({"path": "t.csv", "images": "i", "attributes": "a"}, "needs either partition, or train_list and test_list"),
        ({"path": "t.csv", "images": "i", "attributes": "a", "partition": "p", "test_list": "t"}, "needs either"),
        ({"path": "t.csv", "images": "i", "attributes": "a", "partition": "p", "people": "x"}, "people: unknown key"),
        ({"path": "t.csv", "images": "../i", "attributes": "a", "partition": "p"}, "must stay below its folder"),
    ],
)
def test_tables_that_cannot_be_are_refused(table, sentence):
    from replication.downloads.sources import _table

    with pytest.raises(InputError, match=sentence):
        _table(table, "set.table")


def test_paths_and_names():
    sources = load_sources()
    assert sources_of(["data/raw/celebahq", "photos", "data/raw/nothing"], "data/raw", sources) == ["celebahq"]
    assert [s.name for s in chosen_sources(["ffhq", "vgg16"], sources)] == ["ffhq", "vgg16"]
    check_consent(["celeba"], sources)
    with pytest.raises(InputError, match="consent: 'celebaa' is no source; did you mean 'celeba'"):
        check_consent(["celebaa"], sources)


def test_places_become_addresses():
    sources = load_sources()
    drive = sources["face_embedding"].files[0].places[0]
    assert drive.address.endswith("?id=18w_YKb0cLX6LAdY4008vEgCPD-_3RmRE&export=download&confirm=t")
    assert str(drive) == "https://drive.google.com/file/d/18w_YKb0cLX6LAdY4008vEgCPD-_3RmRE/view"
    (hub,) = [p for p in sources["celebahq"].files[0].places if p.kind == "huggingface"]
    assert hub.address == "https://huggingface.co/datasets/liusq/CelebAMask-HQ/resolve/main/CelebAMask-HQ.zip"
