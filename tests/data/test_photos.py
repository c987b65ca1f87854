from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from replication.data.disjoint_splits import prove_disjoint, split_summary
from replication.data.labels import CLASSES_14, G_MASK, LABELS
from replication.data.photos import PhotoFolder
from replication.data.store import FaceStore, write_store
from replication.errors import InputError


def gradient(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A smooth picture: red grows to the right, green downwards, blue tells pictures apart."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, np.full_like(x, 7 * seed % 256)], axis=-1).round().astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """12 PNG photos of 32x32."""
    path = tmp_path / "photos"
    path.mkdir()
    for k in range(12):
        Image.fromarray(gradient(32, 32, k)).save(path / f"{k:03d}.png")
    return path


def read(folder, **options):
    photos = PhotoFolder(folder, size=options.pop("size", 16), **options)
    chunks = list(photos.chunks())
    rows = pd.concat([c.rows for c in chunks], ignore_index=True)
    return np.concatenate([c.images for c in chunks]), rows, chunks, photos.source


def table(path, text):
    file = path.parent / "table.csv"
    file.write_text(text)
    return file


def test_formats_sizes_and_folders(tmp_path):
    path = tmp_path / "p"
    (path / "sub").mkdir(parents=True)
    Image.fromarray(gradient(40, 40)).save(path / "b.JPG", quality=95)
    Image.fromarray(gradient(40, 24)).save(path / "a.webp", lossless=True)
    Image.fromarray(gradient(20, 50)[..., 0]).save(path / "sub" / "c.png")
    (path / "notes.txt").write_text("no photo")
    images, rows, _, source = read(path)
    assert rows["id"].tolist() == ["a.webp", "b.JPG", "sub/c.png"]
    assert images.shape == (3, 16, 16, 3) and images.dtype == np.uint8
    # a.webp is 40x24: the central 24 columns are kept, red from 8/39 to 31/39 of 255
    assert images[0, 8, 0, 0] == pytest.approx(255 * 8.25 / 39, abs=4)
    assert images[0, 8, -1, 0] == pytest.approx(255 * 30.75 / 39, abs=4)
    assert source["photos_found"] == 3


def test_a_photo_of_the_target_size_is_kept_bit_for_bit(folder):
    images, *_ = read(folder, size=32)
    assert np.array_equal(images[5], gradient(32, 32, 5))


def test_reduction_is_antialiased(tmp_path):
    path = tmp_path / "p"
    path.mkdir()
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(path / "s.png")
    images, *_ = read(path)
    assert abs(images.astype(int) - 128).max() < 30  # without a filter it would be all 0 or all 255


def stripes(width: int) -> np.ndarray:
    """Columns of 255, 0, 0, 0 and so on: 4 to 1 is 63.75 exactly, where a filter looks at nothing else."""
    picture = np.zeros((width, width, 3), np.uint8)
    picture[:, ::4] = 255
    return picture


def test_the_filter_of_resizing_is_chosen(folder):
    Image.fromarray(stripes(64)).save(folder / "004.png")
    text = table(folder, "file\n004.png\n")
    images, _, _, source = read(folder, table=text, resize="box")
    assert set(np.unique(images)) == {64} and source["resize"].startswith("central square, box with antialiasing")
    lanczos, _, _, source = read(folder, table=text)
    expected = Image.fromarray(stripes(64)).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.array_equal(lanczos[0], np.asarray(expected)) and not np.array_equal(lanczos, images)
    assert source["resize"].startswith("central square, Lanczos with antialiasing")
    with pytest.raises(InputError, match="resize='bicubic': allowed are lanczos, box"):
        PhotoFolder(folder, size=16, resize="bicubic")


def test_a_box_enlarges_nothing(folder):
    """It would leave squares: what is enlarged is enlarged by Lanczos, whatever makes others small."""
    options = {"size": 48, "allow_upscaling": True}
    assert np.array_equal(read(folder, resize="box", **options)[0], read(folder, **options)[0])


@pytest.mark.parametrize(
    ("size", "large", "words"),
    [
        (16, 0, "Lanczos (Pillow, antialiased)"),
        (32, 0, "resized elsewhere, filter unknown"),
        (48, 0, "resized elsewhere, filter unknown"),
        (32, 3, "Lanczos (Pillow, antialiased); 9 of 12 photos resized elsewhere, filter unknown"),
    ],
)
def test_the_card_says_which_filter_made_the_faces_small(folder, tmp_path, size, large, words):
    """The photos have 32 pixels: what made them small before is unknown where they are not made smaller here."""
    for k in range(large):
        Image.fromarray(gradient(64, 64, k)).save(folder / f"{k:03d}.png")
    photos = PhotoFolder(folder, size=size, allow_upscaling=True)
    store = write_store(tmp_path / "s", name="p", size=size, chunks=photos.chunks(), source=photos.source)
    assert store.card["source"]["resize_filter"] == words
    photos = PhotoFolder(folder, size=size, allow_upscaling=True, resize="box")
    list(photos.chunks())
    assert photos.source["resize_filter"] == words.replace("Lanczos", "box")


def test_exif_orientation_turns_the_photo_upright(tmp_path):
    path = tmp_path / "p"
    path.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    Image.fromarray(gradient(32, 32)).save(path / "t.jpg", exif=exif, quality=95)
    images, *_ = read(path)
    assert images[0, 2, 8, 0] < 60 and images[0, -3, 8, 0] > 195  # red now grows downwards


def test_csv_of_photos_with_short_landmark_names(folder):
    head = "file,identity,split,leyex,leyey,reyex,reyey,nosex,nosey,lmouthx,lmouthy,rmouthx,rmouthy\n"
    lines = "000.png,17,train,7,11,23.5,11.5,15.5,17,10,24,21,24\n003.png,9,val,8,12,24,12,16,17,10,24,21,24\n"
    _, rows, *_ = read(folder, table=table(folder, head + lines))
    assert rows["id"].tolist() == ["000.png", "003.png"]
    assert rows["split"].tolist() == ["train", "test"] and rows["identity"].tolist() == ["17", "9"]
    assert rows["left_eye_x"][0] == 3.5 and rows["left_eye_y"][0] == 5.5 and rows["right_eye_x"][0] == 11.75


def test_landmarks_follow_the_crop(tmp_path):
    path = tmp_path / "p"
    path.mkdir()
    Image.fromarray(gradient(48, 32)).save(path / "w.png")
    columns = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    head = "file," + ",".join(f"{c}_{a}" for c in columns for a in "xy")
    _, rows, *_ = read(path, table=table(path, head + "\nw.png,24,16,1,1,1,1,1,1,1,1\n"))
    assert (rows["left_eye_x"][0], rows["left_eye_y"][0]) == (8, 8)  # the centre stays the centre


def test_attributes_of_both_kinds_and_all_other_columns(folder):
    text = "image_id,Male,attr_Young,Wearing_Hat\n001.png,-1,1,1\n002.png,1,0,0\n"
    _, rows, *_ = read(folder, table=table(folder, text))
    assert rows["attr_Male"].tolist() == [0, 1]
    assert rows["attr_Young"].tolist() == [1, 0] and rows["attr_Wearing_Hat"].tolist() == [1, 0]


def test_parsing_maps_palette_or_grey_at_their_own_resolution(folder, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    labels = np.repeat(np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4), 16, 0), 16, 1)  # 64x64
    for k in range(12):
        picture = Image.fromarray(labels, "L")
        if k % 2:
            picture.putpalette([v for i in range(256) for v in (i, 255 - i, i // 2)])
        picture.save(maps / f"{k:03d}.png")
    *_, chunks, _ = read(folder, parsing_folder=maps)
    parsing = np.concatenate([c.parsing for c in chunks])
    assert parsing.shape == (12, 16, 16)
    expected = np.repeat(np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4), 4, 0), 4, 1)
    assert all(np.array_equal(p, expected) for p in parsing)


def test_the_order_of_labels_is_translated_and_a_wrong_one_noticed(folder, tmp_path):
    for order, hair, skin in (("g_mask", 13, 1), ("bisenet", 17, 1)):
        maps = tmp_path / order
        maps.mkdir()
        labels = np.full((32, 32), skin, np.uint8)
        labels[:10] = hair
        for k in range(12):
            Image.fromarray(labels).save(maps / f"{k:03d}.png")
        *_, chunks, source = read(folder, parsing_folder=maps, parsing_order=order)
        assert set(np.unique(chunks[0].parsing)) == {1, 17} and chunks[0].parsing[0, 0, 0] == 17
        assert source["parsing_order_read"] == order
        other = {"g_mask": "bisenet", "bisenet": "g_mask"}[order]
        with pytest.raises(InputError, match=rf"'{other}' does not fit .* hair would cover 0% .* '{order}' 31%"):
            PhotoFolder(folder, size=16, parsing_folder=maps, parsing_order=other)
    with pytest.raises(InputError, match="parsing_order='hq': allowed are bisenet, g_mask"):
        PhotoFolder(folder, size=16, parsing_folder=maps, parsing_order="hq")


def save_maps(folder, *labels):
    """12 maps of 32x32 in columns of these labels."""
    folder.mkdir(exist_ok=True)
    columns = np.repeat(np.array(labels, np.uint8), 32 // len(labels))
    for k in range(12):
        Image.fromarray(np.tile(columns, (32, 1))).save(folder / f"{k:03d}.png")
    return folder


FACE = {"skin": 3, "nose": 1, "hair": 3, "neck": 1}
"""Label -> columns of 8; all else is background."""


@pytest.mark.parametrize("order", ["bisenet", "g_mask"])
def test_maps_reduced_to_14_classes_are_no_maps_of_19_labels_in_either_order(folder, tmp_path, order):
    numbers = {"bisenet": LABELS, "g_mask": G_MASK}[order]
    face = [numbers.index(label) for label, columns in FACE.items() for _ in range(columns)]
    assert read(folder, parsing_folder=save_maps(tmp_path / "whole", *face), parsing_order=order)
    reduced = [CLASSES_14.index(label) for label, columns in FACE.items() for _ in range(columns)]
    save_maps(tmp_path / "reduced", *reduced)
    with pytest.raises(
        InputError, match=r"none of 12 parsing maps in .*reduced has a label above 13, and 10 covers 38%"
    ):
        PhotoFolder(folder, size=16, parsing_folder=tmp_path / "reduced", parsing_order=order)


@pytest.mark.parametrize("order", ["bisenet", "g_mask"])
def test_maps_of_the_inner_face_alone_are_accepted(folder, tmp_path, order):
    """Skin, brow, nose and mouth in parts as faces have them: no label above 13, and yet no 14 classes."""
    numbers = {"bisenet": LABELS, "g_mask": G_MASK}[order]
    inner = [numbers.index("skin")] * 27 + [
        numbers.index(label) for label in ("nose", "nose", "u_lip", "l_lip", "mouth")
    ]
    assert read(folder, parsing_folder=save_maps(tmp_path / "maps", *inner), parsing_order=order)


def test_single_maps_without_skin_are_named(folder, tmp_path):
    maps = save_maps(tmp_path / "maps", 1, 17)
    for name in ("003", "007"):
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(maps / f"{name}.png")
    photos = PhotoFolder(folder, size=16, parsing_folder=maps)
    store = write_store(tmp_path / "s", name="p", size=16, chunks=photos.chunks(), source=photos.source)
    assert store.card["source"]["maps_without_skin"] == ["003.png", "007.png"]
    photos.source["disjoint"] = prove_disjoint(photos.manifest, store.images, "refuse", "p")[1]
    told = split_summary(FaceStore(store.path, store.images, None, store.index, {"source": photos.source}))
    assert "label maps without skin: 2 (003.png, 007.png)" in told


SPLIT_TABLE = "file,split\n" + "".join(
    f"{k:03d}.png,{'Val ' if k < 3 else 'test' if k < 5 else 'train'}\n" for k in range(12)
)


@pytest.mark.parametrize(
    ("splits", "train", "test", "told"),
    [
        (None, 7, 5, "as in the table (train is train, test is test, val is test)"),
        (
            {"train": "train", "val": "train", "test": "test"},
            10,
            2,
            "as in the table (train is train, val is train, test",
        ),
        ({"train": "train", "val": "test", "test": "unused"}, 7, 3, "(train is train, val is test, test is unused)"),
    ],
)
def test_what_each_split_of_a_table_becomes_is_chosen_and_told(folder, splits, train, test, told):
    photos = PhotoFolder(folder, size=16, table=table(folder, SPLIT_TABLE), splits_become=splits)
    assert (photos.count("train"), photos.count("test"), len(photos)) == (train, test, train + test)
    assert told in photos.source["split"]["rule"]
    val = (splits or {"val": "test"})["val"]
    assert photos.source["split"]["of_the_table"]["val"] == {"becomes": val, "photos": 3}


def test_splits_of_other_names_and_photos_of_an_unused_split(folder):
    """CelebA's own list has 0, 1 and 2. What is not used need not be there, nor have attributes."""
    text = "file,split,Hat\n000.png,0,1\n001.png,2,0\n002.png,1,-1\ngone.png,1,0\n"
    with pytest.raises(
        InputError, match=r"split of '000\.png' is '0'; allowed are 'train', .* \(the key splits may say"
    ):
        PhotoFolder(folder, size=16, table=table(folder, text))
    become = {"0": "train", "1": "unused", "2": "test"}
    _, rows, *_ = read(folder, table=table(folder, text), splits_become=become)
    assert rows[["id", "split", "attr_Hat"]].to_numpy().tolist() == [["000.png", "train", 1], ["001.png", "test", 0]]
    with pytest.raises(InputError, match="has no column split, and splits says what becomes"):
        PhotoFolder(folder, size=16, table=table(folder, "file\n000.png\n"), splits_become=become)


def test_split_by_identity_keeps_people_together_and_ignores_order(folder):
    lines = [f"{k:03d}.png,p{k // 3}" for k in range(12)]
    _, one, *_ = read(folder, table=table(folder, "\n".join(["file,identity", *lines])), test_fraction=0.4)
    _, two, *_ = read(folder, table=table(folder, "\n".join(["file,identity", *lines[::-1]])), test_fraction=0.4)
    assert one.equals(two)
    assert one.groupby("identity")["split"].nunique().max() == 1
    assert set(one["split"]) == {"train", "test"}


def test_split_by_content_keeps_copies_together_and_ignores_names(folder):
    _, before, *_ = read(folder, test_fraction=0.4)
    for k in range(12):
        Image.fromarray(gradient(32, 32, k)).save(folder / f"copy{k:03d}.png")
    _, after, *_ = read(folder, test_fraction=0.4)
    split = after.set_index("id")["split"]
    assert all(split[f"{k:03d}.png"] == split[f"copy{k:03d}.png"] for k in range(12))
    assert before["split"].tolist() == split[:12].tolist()
    assert before["split"].nunique() == 2


def test_every_split_gets_a_photo_even_at_a_tiny_fraction(folder):
    _, rows, *_ = read(folder, test_fraction=1e-6)
    assert (rows["split"] == "test").sum() == 1


def test_limits_are_nested(folder):
    text = table(folder, "file,split\n" + "\n".join(f"{k:03d}.png,{'test' if k > 8 else 'train'}" for k in range(12)))
    _, few, *_ = read(folder, table=text, limit_train=3, limit_test=1)
    _, more, *_ = read(folder, table=text, limit_train=6, limit_test=2)
    assert few["split"].value_counts().to_dict() == {"train": 3, "test": 1}
    assert set(few["id"]) < set(more["id"]) and few["id"].is_monotonic_increasing


def test_processes_change_nothing(folder, tmp_path):
    stores = [PhotoFolder(folder, size=16, workers=w) for w in (0, 2)]
    written = [
        write_store(tmp_path / f"s{k}", name="p", size=16, chunks=p.chunks(), source=p.source)
        for k, p in enumerate(stores)
    ]
    assert written[0].card == written[1].card


def corrupt(folder):
    data = (folder / "004.png").read_bytes()
    (folder / "004.png").write_bytes(data[: len(data) // 2])
    (folder / "005.png").write_bytes(b"not a picture")


def test_corrupt_photos_stop_or_are_skipped_and_listed(folder, tmp_path):
    corrupt(folder)
    with pytest.raises(InputError, match=r"photo .*004\.png cannot be read .*skip_corrupt"):
        read(folder)
    photos = PhotoFolder(folder, size=16, skip_corrupt=True)
    store = write_store(tmp_path / "s", name="p", size=16, chunks=photos.chunks(), source=photos.source)
    assert len(store) == 10
    assert store.card["source"]["photos_skipped_as_corrupt"] == ["004.png", "005.png"]


def test_small_photos_stop_or_are_enlarged_and_counted(folder):
    Image.fromarray(gradient(40, 20)).save(folder / "002.png")
    with pytest.raises(InputError, match=r"002\.png is 40x20, smaller than the target of 32 pixels"):
        read(folder, size=32)
    images, _, _, source = read(folder, size=32, allow_upscaling=True)
    assert images.shape[1:] == (32, 32, 3) and source["photos_upscaled"] == 1


def test_bad_folders(tmp_path, folder):
    with pytest.raises(InputError, match="does not exist"):
        PhotoFolder(tmp_path / "nowhere", size=16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        PhotoFolder(tmp_path / "empty", size=16)
    with pytest.raises(InputError, match="test_fraction=1"):
        PhotoFolder(folder, size=16, test_fraction=1)
    with pytest.raises(InputError, match="limit_train=0"):
        PhotoFolder(folder, size=16, limit_train=0)


BAD_TABLES = {
    "file,identity\n000.png,1\n099.png,2\n": r"names '099\.png', which is not in",
    "file,identity\n000.png,1\n000.png,2\n": r"names '000\.png' more than once",
    "name,identity\n000.png,1\n": "no column of file names; allowed are file",
    "file,split\n000.png,dev\n": r"split of '000\.png' is 'dev'; allowed are 'train', 'test'",
    "file,Hat\n000.png,2\n": r"column 'Hat' is '2' for '000\.png'; attributes are 0/1 or -1/1",
    "file,Hat\n000.png,\n": r"column 'Hat' is '' for",
    "file,Hat\n000.png,0\n001.png,-1\n": "mixes 0 and -1",
    "file,leyex\n000.png,3\n": "'left_eye_x' but no 'left_eye_y'",
    "file,Hat,Hat \n000.png,1,1\n": "the column 'Hat' twice",
}


@pytest.mark.parametrize("text", BAD_TABLES)
def test_bad_tables(folder, text):
    with pytest.raises(InputError, match=BAD_TABLES[text]):
        PhotoFolder(folder, size=16, table=table(folder, text))


def test_bad_landmark_value(folder):
    columns = "leyex,leyey,reyex,reyey,nosex,nosey,lmouthx,lmouthy,rmouthx,rmouthy"
    with pytest.raises(InputError, match=r"nose_x of '000\.png' is 'x', not a number"):
        PhotoFolder(folder, size=16, table=table(folder, f"file,{columns}\n000.png,1,2,3,4,x,6,7,8,9,10\n"))


def test_bad_parsing_maps(folder, tmp_path):
    maps = tmp_path / "maps"
    with pytest.raises(InputError, match=r"folder of parsing maps .* does not exist"):
        PhotoFolder(folder, size=16, parsing_folder=maps)
    maps.mkdir()
    for k in range(11):
        Image.fromarray(np.full((32, 32), (1, 17)[k % 2], np.uint8)).save(maps / f"{k:03d}.png")
    with pytest.raises(InputError, match=r"photo '011\.png' has no parsing map"):
        PhotoFolder(folder, size=16, parsing_folder=maps)
    Image.fromarray(np.full((32, 32), 19, np.uint8)).save(maps / "011.png")
    with pytest.raises(InputError, match=r"011\.png has label 19; allowed are 0 to 18"):
        read(folder, parsing_folder=maps)
    Image.fromarray(gradient(32, 32)).save(maps / "011.png")
    with pytest.raises(InputError, match=r"011\.png has mode RGB"):
        read(folder, parsing_folder=maps)
    Image.fromarray(np.zeros((32, 20), np.uint8)).save(maps / "011.png")
    with pytest.raises(InputError, match="20x32, its photo 32x32: not the same shape"):
        read(folder, parsing_folder=maps)


def test_sixteen_bit_photos_are_refused_by_name(folder):
    Image.fromarray(np.full((32, 32), 40000, np.uint16)).save(folder / "003.png")
    with pytest.raises(InputError, match=r"003\.png has mode I;16"):
        read(folder)
