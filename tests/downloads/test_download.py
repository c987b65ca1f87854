"""Downloads that go well: several sources, tables of splits, states, progress, pages of Google Drive."""

from __future__ import annotations

import dataclasses
import io

import pytest

from replication.downloads.download import download, source_state, write_split
from replication.downloads.drive_pages import confirmed_address, meaning
from replication.downloads.progress import Progress, size_text, time_text
from replication.downloads.sources import (
    Folder,
    LabelMaps,
    Place,
    RemoteFile,
    Source,
    SplitTable,
    Unpack,
    load_sources,
)
from replication.downloads.transfer import Patience
from replication.errors import InputError

QUICK = Patience(attempts=2, first_wait_s=0.01, timeout_s=1)


def source(name: str, *files: RemoteFile, **more) -> Source:
    return Source(name, "data", name, "http://home", None, "none", False, "x", None, tuple(files), **more)


def text_file(base: str, path: str) -> RemoteFile:
    return RemoteFile(path, "text", None, None, None, (Place("http", f"{base}/{path}"),))


def test_one_source_that_fails_does_not_keep_the_others(fault_server, no_proxy, tmp_path):
    bad = [{"status": 404, "always": True}]
    fault_server.reset(b"hello\n", by_path={"/b.txt": bad, "/c.txt": bad})
    sources = {n: source(n, text_file(fault_server.base, f"{n}.txt")) for n in "abc"}
    said = []
    with pytest.raises(InputError, match="2 of 3 sources are not complete: b, c"):
        download("bca", tmp_path, patience=QUICK, say=said.append, sources=sources)
    assert (tmp_path / "a.txt").read_text() == "hello\n" and "a: complete" in said
    assert sum(line.startswith("missing: ") and "status 404" in line for line in said) == 2
    assert [source_state(s, tmp_path) for s in sources.values()] == ["here", "missing", "missing"]


def test_split_of_two_lists(tmp_path):
    table = SplitTable("set.csv", train_list="train.flist", test_list="val.flist")
    (tmp_path / "train.flist").write_text("2.jpg\n0.jpg\n")
    (tmp_path / "val.flist").write_text("1.jpg\n")
    assert write_split(table, tmp_path).read_text() == "file,split\n2.jpg,train\n0.jpg,train\n1.jpg,test\n"
    (tmp_path / "set.csv").write_text("file\nmine.jpg\n")
    assert write_split(table, tmp_path).read_text() == "file\nmine.jpg\n", "a user's table stays"
    (tmp_path / "set.csv").unlink()
    (tmp_path / "val.flist").write_text("2.jpg\n")
    with pytest.raises(InputError, match="name a file twice"):
        write_split(table, tmp_path)


def test_the_last_of_a_folder_are_for_testing(tmp_path):
    for name in ("00/00.png", "00/01.png", "01/02.png"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).write_bytes(b"")
    table = SplitTable("f.csv", folder="f", last_are_test=2)
    assert write_split(table, tmp_path).read_text() == "file,split\n00/00.png,train\n00/01.png,test\n01/02.png,test\n"
    (tmp_path / "f.csv").unlink()
    with pytest.raises(InputError, match="has 3 images; its last 3"):
        write_split(dataclasses.replace(table, last_are_test=3), tmp_path)
    for name in (".thumbnails/00.png", "@eaDir/x.png", ".hidden.png"):
        (tmp_path / "f" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "f" / name).touch()
    assert write_split(table, tmp_path).read_text().count("png") == 3, "hidden files are no part of a set"
    (tmp_path / "f.csv").unlink()
    (tmp_path / "f" / "01" / "03.png").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"photo .*03\.png cannot be read \(a link to nothing\)"):
        write_split(table, tmp_path)
    assert not (tmp_path / "f.csv").exists()


def test_a_folder_that_only_a_person_can_fill(tmp_path):
    table = SplitTable("f.csv", folder="f", last_are_test=1)
    hand = source("s", folders=(Folder("f", ".png", 2, None, "run the owner's script"),), table=table)
    with pytest.raises(InputError, match=r"is missing .*; run the owner's script; then give the command again"):
        download(["s"], tmp_path, sources={"s": hand})
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "0.png").write_bytes(b"")
    assert source_state(hand, tmp_path) == "f: 1 of 2 files"
    with pytest.raises(InputError, match="has 1 of 2 files"):
        download(["s"], tmp_path, sources={"s": hand})
    (tmp_path / "f" / "1.png").write_bytes(b"")
    assert source_state(hand, tmp_path) == "f.csv is not made yet"
    download(["s"], tmp_path, sources={"s": hand})
    assert source_state(hand, tmp_path) == "here"


def test_files_put_there_by_hand_are_said_where_their_number_is_unknown(fault_server, no_proxy, tmp_path):
    place = (Place("http", fault_server.base + "/s.zip"),)
    archive = RemoteFile("archives/s.zip", "zip", None, None, None, place, Unpack(None, "s", None))
    sources = {"s": source("s", archive)}
    (tmp_path / "s").mkdir()
    fault_server.reset(b"", [{"status": 404, "always": True}])
    with pytest.raises(InputError, match="could not be fetched"):  # an empty folder is not taken for the set
        download(["s"], tmp_path, patience=QUICK, say=lambda line: None, sources=sources)
    assert source_state(sources["s"], tmp_path) == "missing"
    (tmp_path / "s" / "a.jpg").write_bytes(b"")
    said = []
    download(["s"], tmp_path, patience=QUICK, say=said.append, sources=sources)
    assert said[0] == f"s: {tmp_path / 's'} has 1 file; how many there should be is not known"


def test_tables_and_label_maps_are_made_and_people_come_last(tmp_path):
    """Everything is there by hand; the two sets are named in the wrong order."""
    from test_celeba_tables import FILES
    from test_celebamaskhq_labels import mask

    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for k in range(3):
        mask(tmp_path / f"celebamaskhq/CelebAMask-HQ-mask-anno/0/{k:05d}_skin.png", slice(0, 4))
    known = load_sources()
    (identities,) = [f for f in known["celeba"].files if f.path == "celeba/identity_CelebA.txt"]
    sources = {
        "celeba": source("celeba", dataclasses.replace(identities, size=None, md5=None), table=known["celeba"].table),
        "celebamaskhq": source(
            "celebamaskhq",
            dataclasses.replace(known["celebamaskhq"].files[0], size=None),
            table=known["celebamaskhq"].table,
            label_maps=LabelMaps("celebamaskhq/CelebAMask-HQ-mask-anno", "celebamaskhq_labels", 3, 24),
        ),
    }
    assert source_state(sources["celebamaskhq"], tmp_path) == (
        "celebamaskhq.csv is not made yet; celebamaskhq_labels is not made yet"
    )
    people = tmp_path / "celeba/identity_CelebA.txt"
    text = people.read_text()
    people.unlink()
    said = []
    download(["celebamaskhq"], tmp_path, say=said.append, sources=sources)
    assert said[-1] == (
        "celebamaskhq: complete, but celebamaskhq.csv names no people: that takes "
        "`python -m replication download celeba celebamaskhq`"
    )
    people.write_text(text)
    said.clear()
    download(["celebamaskhq", "celeba"], tmp_path, say=said.append, sources=sources)
    assert [line for line in said if line.endswith("complete")] == ["celeba: complete", "celebamaskhq: complete"]
    assert (tmp_path / "celebamaskhq.csv").read_text().startswith("file,split,identity,")
    assert (tmp_path / "celebamaskhq_labels/2.png").is_file() and (tmp_path / "celeba.csv").is_file()
    assert {source_state(s, tmp_path) for s in sources.values()} == {"here"}
    people.unlink()
    said.clear()
    download(["celebamaskhq"], tmp_path, say=said.append, sources=sources)
    assert said[-1] == "celebamaskhq: complete", "the table still names them"


def test_state_of_an_unfinished_file(tmp_path):
    file = dataclasses.replace(text_file("http://x", "a.txt"), size=4000)
    (tmp_path / "a.txt.part").write_bytes(bytes(1000))
    assert source_state(source("a", file), tmp_path) == "a.txt: 1 kB of 4 kB fetched"
    (tmp_path / "a.txt").write_bytes(bytes(1000))
    assert source_state(source("a", file), tmp_path) == "a.txt has another size"


@pytest.mark.parametrize(
    "count, text",
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (289_000, "289 kB"), (3_153_930_546, "3.15 GB"), (89.1e9, "89.1 GB")],
)
def test_sizes(count, text):
    assert size_text(count) == text


@pytest.mark.parametrize("seconds, text", [(0, "0 s"), (99, "99 s"), (120, "2 min"), (3600 * 2 + 60, "2 h 01 min")])
def test_times(seconds, text):
    assert time_text(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_says_how_far_how_fast_and_how_long(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("replication.downloads.progress.time.monotonic", lambda: now[0])
    stream = Terminal()
    progress = Progress("set.zip", 4_000_000_000, begun=1_000_000_000, stream=stream)
    now[0] = 110.0
    progress.show(2_000_000_000)
    assert stream.getvalue() == "\rset.zip: 2 GB of 4 GB (50%), 100 MB/s, 20 s left"
    progress.show(2_100_000_000)
    assert stream.getvalue().count("\r") == 1, "not more than twice a second"
    progress.end()
    assert stream.getvalue().endswith("\r")


def test_progress_in_a_log_file_is_rare(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("replication.downloads.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    progress = Progress("unpacking", None, unit="files", stream=stream)
    for second in range(1, 91):
        now[0] = float(second)
        progress.show(second * 10)
    assert stream.getvalue().splitlines() == [f"unpacking: {n} files, 10 files/s" for n in (300, 600, 900)]


def test_pages_of_google_drive():
    form = "<title>Virus scan warning</title><form id='download-form' action='{}'><input name='id' value='a b'>"
    address = "https://drive.usercontent.google.com/download?id=x"
    assert confirmed_address(form.format("/download"), address) == (
        "https://drive.usercontent.google.com/download?id=a+b"
    )
    other = form.format("https://drive.google.com/download?x=1")
    assert confirmed_address(other, address) == "https://drive.google.com/download?x=1&id=a+b"
    for elsewhere in ("https://evilgoogle.com/", "http://drive.google.com/", "https://google.com.evil.org/"):
        assert confirmed_address(form.format(elsewhere), address) is None
    assert confirmed_address("<html>Quota exceeded</html>", address) is None
    assert "quota" in meaning("Too many users have viewed or downloaded this file recently.")
    assert meaning("<html>hello</html>") == "it sent a web page instead of the file"
