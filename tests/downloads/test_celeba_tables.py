"""Tables of CelebA and CelebAMask-HQ, joined of miniature lists in exactly the published formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from replication.data.photo_table import read_photo_table
from replication.downloads.celeba_tables import join_table
from replication.downloads.sources import load_sources
from replication.errors import InputError

CELEBA, HQ = load_sources()["celeba"].table, load_sources()["celebamaskhq"].table
PARTITION, PEOPLE, POINTS, ATTRIBUTES = (
    f"celeba/{name}.txt"
    for name in ("list_eval_partition", "identity_CelebA", "list_landmarks_align_celeba", "list_attr_celeba")
)
TRAIN, TEST = "lists/celebahq_train_shuffled.flist", "lists/celebahq_val_shuffled.flist"
MAPPING, ANNOTATIONS = (
    f"celebamaskhq/{name}.txt" for name in ("CelebA-HQ-to-CelebA-mapping", "CelebAMask-HQ-attribute-anno")
)
# Blanks as in the published files: attributes and landmarks in columns, a blank behind the names, none in the others.
FILES = {
    PARTITION: "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 0\n",
    PEOPLE: "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 8692\n000004.jpg 2880\n",
    POINTS: "4\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y "
    "rightmouth_x rightmouth_y \n"
    "000001.jpg 69  109  106  113   77  142   73  152  108  154\n"
    "000002.jpg 69  110  107  112   81  135   70  151  108  153\n"
    "000003.jpg 76  112  104  106  108  128   74  156   98  158\n"
    "000004.jpg 72  113  108  108  101  138   71  155  101  151\n",
    ATTRIBUTES: "4\n5_o_Clock_Shadow Arched_Eyebrows Young \n"
    "000001.jpg -1  1  1\n000002.jpg -1 -1  1\n000003.jpg -1 -1 -1\n000004.jpg  1 -1  1\n",
    MAPPING: "idx     orig_idx   orig_file\n"
    "0           3      000004.jpg\n1           0      000001.jpg\n2           2      000003.jpg\n",
    ANNOTATIONS: "3\n5_o_Clock_Shadow Arched_Eyebrows Young\n0.jpg  1 -1 1\n1.jpg  -1 1 1\n2.jpg  -1 -1 -1\n",
    TRAIN: "2.jpg\n0.jpg\n",
    TEST: "1.jpg\n",
}


@pytest.fixture
def raw(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def images(raw: Path, table, names) -> None:
    (raw / table.images).mkdir(parents=True)
    for name in names:
        (raw / table.images / name).write_bytes(b"")


def test_celeba_is_what_a_photo_table_reads(raw):
    images(raw, CELEBA, ["000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg", ".unpacked.json"])
    found = read_photo_table(join_table(CELEBA, raw))
    assert found.path == raw / "celeba.csv"
    assert found.files == ["000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg"]
    assert list(found.splits.values()) == ["train", "train", "test", "train"], "validation is for training"
    assert list(found.identities.values()) == ["2880", "2937", "8692", "2880"]
    np.testing.assert_array_equal(found.points[2], [[76, 112], [104, 106], [108, 128], [74, 156], [98, 158]])
    assert found.attributes.to_dict("list") == {
        "attr_5_o_Clock_Shadow": [0, 0, 0, 1],
        "attr_Arched_Eyebrows": [1, 0, 0, 0],
        "attr_Young": [1, 1, 0, 1],
    }


def test_celebahq_has_deepfills_split_and_the_people_of_celeba(raw):
    images(raw, HQ, ["0.jpg", "1.jpg", "2.jpg"])
    text = join_table(HQ, raw).read_text()
    assert text == (
        "file,split,identity,5_o_Clock_Shadow,Arched_Eyebrows,Young\n"
        "0.jpg,train,2880,1,0,1\n1.jpg,test,2880,0,1,1\n2.jpg,train,8692,0,0,0\n"
    )
    found = read_photo_table(raw / "celebamaskhq.csv")
    assert found.identities == {"0.jpg": "2880", "1.jpg": "2880", "2.jpg": "8692"} and found.points is None


def test_people_are_added_once_their_list_is_there(raw):
    (raw / PEOPLE).unlink()
    assert "identity" not in pd.read_csv(join_table(HQ, raw)).columns
    (raw / PEOPLE).write_text(FILES[PEOPLE])
    assert "identity" in pd.read_csv(join_table(HQ, raw)).columns


def test_a_table_with_people_outlives_their_list(raw):
    rich = join_table(HQ, raw).read_text()
    (raw / PEOPLE).unlink()
    assert join_table(HQ, raw).read_text() == rich
    (raw / ANNOTATIONS).write_text(FILES[ANNOTATIONS].replace("1.jpg  -1", "1.jpg   1"))
    assert join_table(HQ, raw).read_text() == rich, "attributes that are others are no reason to lose the people"
    (raw / PEOPLE).write_text(FILES[PEOPLE])
    assert "1.jpg,test,2880,1,1,1" in join_table(HQ, raw).read_text()


def test_a_table_that_is_the_users_stays(raw):
    mine = raw / "celeba.csv"
    mine.write_text("file\n000001.jpg\n")
    join_table(CELEBA, raw)
    assert mine.read_text() == "file\n000001.jpg\n"
    mine.unlink()
    made = join_table(CELEBA, raw).read_text()
    mine.write_text(made.replace("2880", "1"))
    (raw / PEOPLE).write_text(FILES[PEOPLE].replace("8692", "7"))
    assert "8692" in join_table(CELEBA, raw).read_text(), "an edited table is not made anew"
    mine.write_text(made)
    assert "000003.jpg,test,7," in join_table(CELEBA, raw).read_text(), "the one made here is"
    record = json.loads((raw / "hashes.json").read_text())["files"]["celeba.csv"]
    assert record["from"].startswith("made here of lists") and record["size"] == mine.stat().st_size


def test_lists_with_windows_line_ends(raw):
    expected = join_table(CELEBA, raw).read_text()
    (raw / "celeba.csv").unlink()
    for name in (PARTITION, PEOPLE, POINTS, ATTRIBUTES):
        (raw / name).write_bytes(FILES[name].replace("\n", "\r\n").encode() + b"\r\n")
    assert join_table(CELEBA, raw).read_text() == expected


# name: (table, file, text in it, what takes its place, parts of the sentence). None: the file is removed.
FAULTS = {
    "no list": (CELEBA, PEOPLE, None, None, ["identity_CelebA.txt cannot be read (No such file"]),
    "empty": (CELEBA, PARTITION, "", None, ["list_eval_partition.txt names no images"]),
    "binary": (CELEBA, PARTITION, "0", b"\xff\xfe\x00", ["list_eval_partition.txt is not a text file"]),
    "a line is missing": (
        *(CELEBA, PEOPLE, "000002.jpg 2937\n", ""),
        ["identity_CelebA.txt has no line for '000002.jpg'", "list_eval_partition.txt, line 2, names"],
    ),
    "several lines are missing": (
        *(CELEBA, PEOPLE, FILES[PEOPLE][16:], ""),
        ["no line for '000002.jpg'", "line 2, names (the first of 3 such)"],
    ),
    "a line too many": (
        *(CELEBA, PEOPLE, "000004.jpg 2880\n", "000004.jpg 2880\n000005.jpg 1\n"),
        ["identity_CelebA.txt, line 5: '000005.jpg' has no line in", "list_eval_partition.txt"],
    ),
    "a line twice": (
        *(CELEBA, PARTITION, "000003.jpg 2\n", "000003.jpg 2\n000002.jpg 1\n"),
        ["list_eval_partition.txt, line 4: '000002.jpg' is in line 2 already"],
    ),
    "a partition that is none": (CELEBA, PARTITION, "jpg 2", "jpg 3", ["line 3: split of '000003.jpg' cannot be '3'"]),
    "a person that is none": (CELEBA, PEOPLE, "8692", "x", ["line 3: identity of '000003.jpg' cannot be 'x'"]),
    "a line cut off": (CELEBA, PEOPLE, " 2937", "", ["line 2: '000002.jpg' has 0 values instead of 1"]),
    "landmarks cut off": (CELEBA, POINTS, "  101  151", "", ["line 6: '000004.jpg' has 8 values instead of 10"]),
    "a landmark that is none": (CELEBA, POINTS, "  142 ", "  nan ", ["line 3: nose_y of '000001.jpg' cannot be 'nan'"]),
    "landmarks of another order": (
        *(CELEBA, POINTS, "lefteye_x lefteye_y righteye_x", "righteye_x lefteye_y lefteye_x"),
        ["line 2: must be lefteye_x"],
    ),
    "no count": (CELEBA, ATTRIBUTES, "4\n", "", ["line 1: must be the number of images, got '5_o_Clock"]),
    "another count": (CELEBA, ATTRIBUTES, "4\n5", "5\n5", ["line 1: says 5 images, but 4 follow"]),
    "no names": (
        *(CELEBA, ATTRIBUTES, "5_o_Clock_Shadow Arched_Eyebrows Young \n", ""),
        ["line 2: must be names of attributes, each once, got '1 1'"],
    ),
    "a name twice": (CELEBA, ATTRIBUTES, "Arched_Eyebrows Young", "Young Young", ["line 2: must be names", "'Young"]),
    "a name of another column": (CELEBA, ATTRIBUTES, "Young", "split", ["line 2: must be names", "got 'split'"]),
    "an attribute of 0": (CELEBA, ATTRIBUTES, "jpg  1", "jpg  0", ["line 6: 5_o_Clock_Shadow of '000004.jpg'", "'0'"]),
    "an attribute too many": (CELEBA, ATTRIBUTES, "jpg  1", "jpg  1 1", ["line 6: ", "has 4 values instead of 3"]),
    "no header in the mapping": (HQ, MAPPING, "idx     orig_idx   orig_file\n", "", ["line 1: must be 'idx orig_idx"]),
    "a short line in the mapping": (HQ, MAPPING, "0      000001.jpg", "0", ["line 3: must be an index"]),
    "an index twice": (HQ, MAPPING, "2           2", "0           2", ["line 4: '0.jpg' is in line 2 already"]),
    "a person of nobody": (
        *(HQ, PEOPLE, "000001.jpg 2880\n", ""),
        ["no line for '000001.jpg', which", "mapping.txt, line 3"],
    ),
    "an image in both splits": (
        *(HQ, TEST, "1.jpg", "1.jpg\n0.jpg"),
        ["line 2: '0.jpg' is in line 2 of", "train_shuffled"],
    ),
    "an image in no split": (
        *(HQ, TRAIN, "2.jpg\n", ""),
        ["flist has no line for '2.jpg', which", "mapping.txt, line 4, names"],
    ),
    "an image without mapping": (HQ, TRAIN, "2.jpg", "2.jpg\n7.jpg", ["flist, line 2: '7.jpg' has no line in"]),
    "no attributes": (HQ, ANNOTATIONS, "3\n", "2\n", ["line 1: says 2 images, but 3 follow"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_sentence_that_names_file_and_line(raw, name):
    table, file, old, new, parts = FAULTS[name]
    if old is None:
        (raw / file).unlink()
    elif isinstance(new, bytes) or old == "":
        (raw / file).write_bytes(new or b"")
    else:
        assert old in FILES[file]
        (raw / file).write_text(FILES[file].replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        join_table(table, raw)
    sentence = str(caught.value)
    assert all(part in sentence for part in parts), sentence
    assert "\n" not in sentence and not (raw / table.path).exists()
    (raw / file).write_text(FILES[file])
    assert join_table(table, raw).is_file()


def test_photos_and_lines_are_held_against_each_other(raw):
    images(raw, HQ, ["0.jpg", "1.jpg"])
    with pytest.raises(InputError, match=r"mapping\.txt, line 4: '2\.jpg' is not in .*celebahq"):
        join_table(HQ, raw)
    for name in ("2.jpg", "3.jpg"):
        (raw / HQ.images / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"celebahq has '3\.jpg', for which .*mapping\.txt has no line"):
        join_table(HQ, raw)


@pytest.mark.parametrize("people", [True, False])
def test_photos_that_come_later_are_held_against_the_table(raw, people):
    text = join_table(HQ, raw).read_text()
    if not people:
        (raw / PEOPLE).unlink()  # a table that is kept for its people is compared all the same
    images(raw, HQ, [])
    assert join_table(HQ, raw).read_text() == text, "an empty folder is one that is still to be filled"
    for name in ("0.jpg", "1.jpg"):
        (raw / HQ.images / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"line 4: '2\.jpg' is not in .*celebahq"):
        join_table(HQ, raw)
    (raw / HQ.images / "2.jpg").write_bytes(b"")
    assert join_table(HQ, raw).read_text() == text


def test_what_cannot_be_read_is_not_called_unwritable(raw, monkeypatch):
    from replication.downloads import celeba_tables

    def refused(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    for name, sentence in (("os.listdir", "celebahq cannot be read"), ("file_hashes", "txt cannot be read")):
        with monkeypatch.context() as patch, pytest.raises(InputError, match=sentence):
            patch.setattr(f"{celeba_tables.__name__}.{name}", refused)
            join_table(HQ, raw)


def test_a_join_that_is_killed_is_made_again(raw, monkeypatch):
    from replication.downloads import celeba_tables

    def killed(*_):
        raise KeyboardInterrupt

    for point in ("write_text", "HashRecord.add"):
        with monkeypatch.context() as patch:
            patch.setattr(f"{celeba_tables.__name__}.{point}", killed)
            with pytest.raises(KeyboardInterrupt):
                join_table(CELEBA, raw)
        assert not (raw / "celeba.csv").exists()
    assert len(read_photo_table(join_table(CELEBA, raw)).files) == 4
    (raw / PEOPLE).write_text(FILES[PEOPLE].replace("8692", "7"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(celeba_tables, "write_text", killed)
        join_table(CELEBA, raw)
    assert ",7," in join_table(CELEBA, raw).read_text()
