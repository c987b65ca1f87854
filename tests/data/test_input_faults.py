"""Malformed inputs, as data: whatever a user can give wrongly is refused by one sentence that names it.

Each fault damages a small good input; the refusal is an `InputError` of one line that holds the given words. The good
input itself is accepted, so that no fault passes for another reason than its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from replication.backbones.perceptual import VGG16Features, VGG19Features
from replication.config import load_parameters
from replication.data.irregular_masks import draw_mask
from replication.data.masks import MaskStore
from replication.data.nvidia_masks import read_mask_store
from replication.data.photo_table import read_photo_table
from replication.data.photos import PhotoFolder
from replication.data.store import FaceStore, write_store
from replication.downloads.sources import SOURCES, read_sources
from replication.errors import InputError
from replication.methods.parser.bisenet import published_parser
from replication.profile_files import profile_text
from replication.yaml_files import parse_yaml


def refusal(action) -> str:
    with pytest.raises(InputError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


# Photo tables

TEN = "leyex,leyey,reyex,reyey,nosex,nosey,lmouthx,lmouthy,rmouthx,rmouthy"
NUMBERS = "1,2,3,4,5,6,7,8,9,10"
TABLES = {
    "empty": ("", "cannot be read"),
    "no column of files": ("name,split\na.png,train\n", "no column of file names"),
    "only a header of another kind": ("<!DOCTYPE html>\n<html></html>\n", "no column of file names"),
    "a file twice": ("file,split\na.png,train\na.png,test\n", "more than once"),
    "a file twice with another slash": ("file\nx/a.png\nx\\a.png\n", "more than once"),
    "an unknown split": ("file,split\na.png,training\n", "split of 'a.png'"),
    "a split that is missing": ("file,split\na.png,\n", "split of 'a.png'"),
    "a column twice": ("file,Hat,Hat,Hat \na.png,1,0,1\n", "twice"),
    "an attribute in words": ("file,Hat\na.png,yes\n", "attributes are 0/1"),
    "an attribute of 2": ("file,Hat\na.png,2\n", "attributes are 0/1"),
    "an attribute that is missing": ("file,Hat\na.png,\n", "attributes are 0/1"),
    "0 and -1 mixed": ("file,Hat\na.png,0\nb.png,-1\n", "mixes 0 and -1"),
    "nine landmark columns": (f"file,{TEN[:-8]}\na.png,{NUMBERS[:-3]}\n", "all ten landmark columns"),
    "a landmark in words": (f"file,{TEN}\na.png,left{NUMBERS[1:]}\n", "not a number"),
    "an infinite landmark": (f"file,{TEN}\na.png,inf{NUMBERS[1:]}\n", "not a number"),
    "a line that is too long": ("file,split\na.png,train\nb.png,test,x,y\n", "cannot be read"),
    "not text": (b"\xff\xfe\x00\x01\x02", "cannot be read"),
    "Latin-1": ("file\nMüller.png\n".encode("latin-1"), "cannot be read"),
    "a quote without end": ('file,split\n"a.png,train\n', "cannot be read"),
}


@pytest.mark.parametrize("name", TABLES)
def test_photo_table(tmp_path, name):
    content, words = TABLES[name]
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(lambda: read_photo_table(path))
    assert words in message and "table.csv" in message


def test_a_photo_table_that_is_missing_or_a_folder(tmp_path):
    assert "does not exist" in refusal(lambda: read_photo_table(tmp_path / "table.csv"))
    assert "does not exist" in refusal(lambda: read_photo_table(tmp_path))


def test_the_good_table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(f"file,split,Hat,{TEN}\na.png,train,1,{NUMBERS}\n")
    assert read_photo_table(path).files == ["a.png"]


# Folders of photos and of parsing maps


def make_photos(folder: Path) -> Path:
    noise = np.random.default_rng(0)
    for k in range(6):
        (folder / "maps").mkdir(parents=True, exist_ok=True)
        (folder / "photos").mkdir(exist_ok=True)
        Image.fromarray(noise.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(folder / "photos" / f"{k}.png")
        stripes([1, 17] if k % 2 else [0, 1]).save(folder / "maps" / f"{k}.png")
    return folder


def grey(value: int, shape=(24, 24), kind=np.uint8):
    return Image.fromarray(np.full(shape, value, kind))


def stripes(labels: list[int]) -> Image.Image:
    """24 pixels wide and high; rows shared among the labels."""
    return Image.fromarray(np.repeat(np.array(labels, np.uint8), 24 * 24 // len(labels)).reshape(24, 24))


def all_maps(*labels: int):
    """Every map becomes one of these labels, in stripes."""
    return lambda f: [stripes(list(labels)).save(path) for path in (f / "maps").iterdir()]


PHOTOS = {
    "no such folder": (lambda f: (f / "photos").rename(f / "gone"), "does not exist"),
    "no images": (lambda f: [p.unlink() for p in (f / "photos").iterdir()], "holds no images"),
    "an empty photo": (lambda f: (f / "photos/3.png").write_bytes(b""), "3.png"),
    "a photo that is cut off": (lambda f: cut(f / "photos/3.png"), "3.png"),
    "a web page as photo": (lambda f: (f / "photos/3.jpg").write_text("<html></html>"), "3.jpg"),
    "a photo that is too small": (lambda f: grey(9, (10, 30)).save(f / "photos/3.png"), "smaller than the target"),
    "a photo of 16 bits": (lambda f: grey(9, kind=np.uint16).save(f / "photos/3.png"), "mode I"),
    "a photo that is transparent in places": (
        lambda f: Image.new("RGBA", (24, 24), (9, 9, 9, 90)).save(f / "photos/3.png"),
        "3.png is transparent in places (mode RGBA)",
    ),
    "no folder of maps": (lambda f: (f / "maps").rename(f / "gone"), "maps"),
    "a map is missing": (lambda f: (f / "maps/3.png").unlink(), "no parsing map"),
    "a map that is cut off": (lambda f: cut(f / "maps/3.png"), "3.png"),
    "a label above 18": (lambda f: grey(19).save(f / "maps/3.png"), "label 19"),
    "a map in colour": (lambda f: grey(9, (24, 24, 3)).save(f / "maps/3.png"), "mode RGB"),
    "a map of another shape": (lambda f: grey(9, (24, 40)).save(f / "maps/3.png"), "not the same shape"),
    "maps in the other order of labels": (
        all_maps(1, 13),
        "maps: hair would cover 0% of them, in the order 'g_mask' 50%",
    ),
    "maps of nothing": (
        all_maps(0),
        "none of 6 parsing maps in {0}/maps shows skin (label 1); the labels in them are 0",
    ),
    "maps without skin": (all_maps(0, 17, 4), "shows skin (label 1); the labels in them are 0, 4, 17"),
    "masks of the face": (all_maps(0, 1), "none of 6 parsing maps in {0}/maps has a label above 1; maps of 19 labels"),
    "maps of 14 classes": (
        all_maps(0, 1, 10, 13, 10, 1, 6, 1),
        "none of 6 parsing maps in {0}/maps has a label above 13, and 10 covers 25%, 6 12.5%, like hair and nose of "
        "maps that were reduced to 14 classes",
    ),
    "maps of 14 classes without hair": (all_maps(0, 1, 1, 1, 1, 1, 13, 6), "reduced to 14 classes"),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def read_photos(folder: Path):
    return list(PhotoFolder(folder / "photos", size=16, parsing_folder=folder / "maps").chunks())


@pytest.mark.parametrize("name", PHOTOS)
def test_photo_folder(tmp_path, name):
    damage, words = PHOTOS[name]
    damage(make_photos(tmp_path))
    assert words.replace("{0}", str(tmp_path)) in refusal(lambda: read_photos(tmp_path))


def test_the_good_photos(tmp_path):
    assert sum(len(chunk.images) for chunk in read_photos(make_photos(tmp_path))) == 6


# Folders of masks


def make_masks(folder: Path) -> Path:
    for kind, white in (("test", 1), ("raw", 0)):
        (folder / kind).mkdir(parents=True)
        for k in range(24):
            mask = draw_mask(size=32, seed=4, index=k) if white else 1 - draw_mask(size=32, seed=5, index=k)
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / kind / f"{k:05d}.png")
    return folder


def inverted(path: Path) -> None:
    with Image.open(path) as picture:
        Image.fromarray(255 - np.asarray(picture)).save(path)


def hole(value: int, kind=np.uint8) -> Image.Image:
    pixels = np.zeros((32, 32), kind)
    pixels[4:20, 4:20] = value
    return Image.fromarray(pixels)


def erased() -> Image.Image:
    """A hole made with an eraser: all black, nothing where it is."""
    return Image.fromarray(np.dstack([np.zeros((32, 32, 3), np.uint8), 255 - np.asarray(hole(255))]))


def rows(count: int) -> Image.Image:
    pixels = np.zeros((32, 32), np.uint8)
    pixels[:count] = 255
    return Image.fromarray(pixels)


MASKS = {
    "no such folder": (lambda f: (f / "test").rename(f / "gone"), "does not exist"),
    "no masks": (lambda f: [p.unlink() for p in (f / "test").iterdir()], "holds no PNG"),
    "an empty file": (lambda f: (f / "test/00003.png").write_bytes(b""), "00003.png cannot be read"),
    "a mask that is cut off": (lambda f: cut(f / "test/00003.png"), "00003.png cannot be read"),
    "a web page": (lambda f: (f / "test/00003.png").write_text("<html></html>"), "00003.png cannot be read"),
    "grey values": (lambda f: grey(90, (32, 32)).save(f / "test/00003.png"), "grey values"),
    "16 bits with 300 in the hole": (
        lambda f: hole(300, np.uint16).save(f / "test/00003.png"),
        "00003.png has mode I;16, more than 8 bits",
    ),
    "raw maps of 16 bits": (lambda f: [hole(40000, np.uint16).save(p) for p in (f / "raw").iterdir()], "mode I;16"),
    "the hole in alpha": (lambda f: erased().save(f / "test/00003.png"), "00003.png is transparent in places"),
    "the hole in alpha of all": (lambda f: [erased().save(p) for p in (f / "test").iterdir()], "mode RGBA"),
    "no holes at all": (
        lambda f: [grey(0, (32, 32)).save(p) for p in (f / "test").iterdir()],
        "test: none of 24 masks has a hole of 1 to 60 % of its pixels; the smallest covers 0.00%, the largest 0.00%",
    ),
    "thin and wide holes": (
        lambda f: [rows(k % 2 * 28).save(p) for k, p in enumerate(sorted((f / "test").iterdir()))],
        "none of 24 masks has a hole of 1 to 60 % of its pixels; the smallest covers 0.00%, the largest 87.50%",
    ),
    "holes of one bucket": (
        lambda f: [rows(k // 3).save(p) for k, p in enumerate(sorted((f / "test").iterdir()))],
        # At 16 pixels 0 to 3 rows are left of 0 to 7 of 32.
        "(3 of 1-20%, 0 of 20-40%, 0 of 40-60%; 24 masks read, 21 left out (6 with a hole outside 1 to 60 %, "
        "15 repeated))",
    ),
    "not square": (lambda f: grey(0, (32, 40)).save(f / "test/00003.png"), "masks are square"),
    "too small": (lambda f: grey(0, (8, 8)).save(f / "test/00003.png"), "smaller than the target"),
    "all hole": (lambda f: grey(255, (32, 32)).save(f / "test/00003.png"), "all hole"),
    "the other polarity": (lambda f: [inverted(p) for p in (f / "test").iterdir()], "does not fit the masks"),
    "the other polarity of raw maps": (
        lambda f: [inverted(p) for p in (f / "raw").iterdir()],
        "does not fit the masks",
    ),
    "no raw maps": (lambda f: [p.unlink() for p in (f / "raw").iterdir()], "holds no PNG"),
    "raw maps without holes": (lambda f: [grey(255, (32, 32)).save(p) for p in (f / "raw").iterdir()], "raw"),
}


def read_all_masks(folder: Path) -> MaskStore:
    return read_mask_store(
        folder / "store", size=16, test_folder=folder / "test", train_folder=folder / "raw", train=6, seed=1
    )


@pytest.mark.parametrize("name", MASKS)
def test_mask_folder(tmp_path, name):
    damage, words = MASKS[name]
    damage(make_masks(tmp_path))
    assert words in refusal(lambda: read_all_masks(tmp_path))
    assert not (tmp_path / "store").exists()


def test_the_good_masks(tmp_path):
    assert len(read_all_masks(make_masks(tmp_path)).train) == 6


# Prepared stores that were damaged later

STORES = {
    "no card": (lambda f, card: (f / card).unlink(), "incomplete"),
    "a card that is no JSON": (lambda f, card: (f / card).write_text("{"), "damaged"),
    "a card of another format": (lambda f, card: (f / card).write_text('{"format": 99}'), "format 99"),
    "a card that is a list": (lambda f, card: (f / card).write_text("[]"), "format"),
    "no index": (lambda f, card: (f / "index.csv").unlink(), "index.csv"),
    "an index that is cut off": (lambda f, card: cut(f / "index.csv"), " store "),
}


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("kind", ["faces", "masks"])
def test_store(tmp_path, chunk, kind, name):
    damage, words = STORES[name]
    if kind == "faces":
        write_store(
            tmp_path / "faces", name="n", size=16, chunks=iter([chunk(0, 8), chunk(8, 4, split="test")]), source={}
        )
        opened, card, array = FaceStore.open, "store.json", "images.npy"
    else:
        make_masks(tmp_path)
        read_all_masks(tmp_path).path.rename(tmp_path / "masks")
        opened, card, array = MaskStore.open, "masks.json", "train.npy"
    opened(tmp_path / kind)
    array = tmp_path / kind / array
    whole = array.read_bytes()
    array.write_bytes(whole[:-9])
    assert "damaged" in refusal(lambda: opened(tmp_path / kind))
    array.write_bytes(whole)
    damage(tmp_path / kind, card)
    assert words in refusal(lambda: opened(tmp_path / kind, verify=True))


# Weight files

WEIGHTS = {
    "missing": (None, "no such file"),
    "empty": (b"", "this is another or a damaged file"),
    "a web page": (b"<!DOCTYPE html><html>Quota exceeded</html>", "is a web page"),
    "a pickle that would run a program": (b"cos\nsystem\n(S'false'\ntR.", "this is another or a damaged file"),
    "a torch file of another network": (b"PK\x03\x04" + bytes(200), "this is another or a damaged file"),
}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("network", [published_parser, VGG19Features, VGG16Features])
def test_weights(tmp_path, network, name):
    content, words = WEIGHTS[name]
    path = tmp_path / "net.pth"
    if content is not None:
        path.write_bytes(content)
    message = refusal(lambda: network(path))
    assert words in message and "net.pth" in message


# Consent in the parameters

CONSENT = {
    "a word instead of a list": ("celebahq", "consent: must be a list"),
    "true": (True, "consent: must be a list"),
    "a list of numbers": ([1], "consent[0]: must be a text"),
    "a mapping": ({"celebahq": True}, "consent: must be a list"),
}


@pytest.mark.parametrize("name", CONSENT)
def test_consent(tmp_path, name):
    value, words = CONSENT[name]
    data = parse_yaml(profile_text("demo"), "demo")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({**data, "consent": value}))
    assert words in refusal(lambda: load_parameters(path))
    path.write_text(yaml.safe_dump({**data, "consent": ["celebahq", "ffhq"]}))
    assert load_parameters(path).consent == ("celebahq", "ffhq")
    path.write_text(yaml.safe_dump(data))
    assert load_parameters(path).consent == ()


# The catalogue of sources

CATALOGUE = {
    "not YAML": ("a: [", "cannot be read"),
    "a list": ("- a", "must be a mapping"),
    "empty": ("", "must be a mapping"),
    "a missing key": ({"licence": ...}, "missing key 'licence'"),
    "an unknown key": ({"license": "MIT"}, "vgg16.license: unknown key; did you mean 'licence'?"),
    "consent in words": ({"consent": "yes please"}, "vgg16.consent: must be true or false"),
    "neither data nor weights": ({"what": "network"}, "vgg16.what: must be data or weights"),
    "an unknown kind of file": ({"files.0.kind": "exe"}, "files[0].kind: must be one of zip"),
    "a path that leaves data/raw": ({"files.0.path": "../../x.pth"}, "files[0].path: must stay below"),
    "an absolute path": ({"files.0.path": "/x.pth"}, "files[0].path: must stay below"),
    "a size of 0": ({"files.0.size": 0}, "files[0].size: must be a whole number"),
    "a size in words": ({"files.0.size": "3 GB"}, "files[0].size: must be a whole number"),
    "a hash that is too short": ({"files.0.sha256": "abc"}, "8 to 64 digits"),
    "a hash in capitals": ({"files.0.sha256": "DCBB9E9D"}, "lower-case hexadecimal"),
    "an md5 that is none": ({"files.0.md5": "dcbb9e9d"}, "32 digits"),
    "no places": ({"files.0.places": []}, "at least one place"),
    "an unknown kind of place": ({"files.0.places.0.kind": "torrent"}, "places[0].kind: must be one of http"),
    "an address of a local file": ({"files.0.places.0.address": "file:///x"}, "must begin with http"),
    "an address without a host": ({"files.0.places.0.address": "https:///x"}, "must begin with http"),
    "an address that is none": ({"files.0.places.0.address": "http://[x"}, "must begin with http"),
    "weights to unpack": ({"files.0.unpack": {"root": None, "to": "x", "count": 1}}, "only zip and tar"),
}


def changed(data: dict, changes: dict) -> dict:
    for path, value in changes.items():
        inner, *_ = [data]
        *parents, last = path.split(".")
        for key in parents:
            inner = inner[int(key) if key.isdigit() else key]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
    return data


@pytest.mark.parametrize("name", CATALOGUE)
def test_catalogue(tmp_path, name):
    change, words = CATALOGUE[name]
    path = tmp_path / "sources.yaml"
    if not isinstance(change, str):
        good = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))["vgg16"]
        path.write_text(json.dumps({"vgg16": good}))
        assert list(read_sources(path)) == ["vgg16"]
        change = json.dumps({"vgg16": changed(good, change)})
    path.write_text(change)
    assert words in refusal(lambda: read_sources(path))


def test_a_file_described_twice_with_different_facts(tmp_path):
    good = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))["vgg16"]
    other = changed(json.loads(json.dumps(good)), {"files.0.size": 5})
    path = tmp_path / "sources.yaml"
    path.write_text(json.dumps({"a": good, "b": other}))
    assert "described twice" in refusal(lambda: read_sources(path))
