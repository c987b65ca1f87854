"""Unpacking: what a good archive becomes, and malformed and hostile ones as data."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import struct
import tarfile
import warnings
import zipfile

import pytest

from replication.downloads import archives
from replication.downloads.archives import CARD, judge_archive, unpack_archive
from replication.downloads.download import download
from replication.downloads.file_checks import WrongFileError
from replication.downloads.sources import Place, RemoteFile, Source, Unpack
from replication.downloads.transfer import Patience
from replication.errors import InputError

GOOD = {"set/img/0.png": b"zero" * 30, "set/img/1.png": b"one" * 40, "set/readme.txt": b"read me"}


def make_zip(members: dict[str, bytes], change=lambda info: None, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that occur twice are part of the tests
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            change(info)
            packed.writestr(info, content)
    return out.getvalue()


def make_tar(members: dict[str, bytes], mode: str = "w:gz", odd: tarfile.TarInfo | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        if odd is not None:
            packed.addfile(odd)
    return out.getvalue()


def odd(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_link(name: str) -> bytes:
    def change(info):
        if info.filename == name:
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16

    return make_zip({**GOOD, name: b"/etc/passwd"}, change)


def zip_twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in (b"a", b"b"):
            packed.writestr("set/img/0.png", content)
    return out.getvalue()


def flag_encrypted() -> bytes:
    data = bytearray(make_zip(GOOD))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(signature, at + 4)
    return bytes(data)


def unknown_method() -> bytes:
    data = bytearray(make_zip(GOOD))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset : at + offset + 2] = struct.pack("<H", 77)
            at = data.find(signature, at + 4)
    return bytes(data)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def lying_size() -> bytes:
    """The directory says 3 bytes of a member that has more."""
    data = bytearray(make_zip({"set/img/0.png": b"long" * 30, "set/img/1.png": b"x"}, method=zipfile.ZIP_STORED))
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 3)
    return bytes(data)


def renamed(old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return make_zip(GOOD).replace(old, new)


IMG = Unpack("set/img", "out", 2)
# name: (kind, bytes, words of the refusal)
MALFORMED = {
    "absolute name": ("zip", make_zip({**GOOD, "/evil": b"x"}), "unsafe name"),
    "name that leaves the folder": ("zip", make_zip({**GOOD, "set/../../evil": b"x"}), "leaves its folder"),
    "name with backslashes": ("zip", make_zip({**GOOD, "set\\..\\evil": b"x"}), "unsafe name"),
    "name of a Windows drive": ("zip", make_zip({**GOOD, "C:/evil": b"x"}), "unsafe name"),
    "name with a null byte": ("zip", renamed(b"set/readme.txt", b"set/readme\x00txt"), "unsafe name"),
    "symbolic link in a zip": ("zip", zip_link("set/img/link"), "link or device"),
    "encrypted member": ("zip", flag_encrypted(), "encrypted"),
    "two members of one name": ("zip", zip_twice(), "two members"),
    "two members that differ in case": ("zip", make_zip({"set/img/a.png": b"1", "set/img/A.png": b"2"}), "two members"),
    "a member that is file and folder": (
        "zip",
        make_zip({"set/img/a": b"1", "set/img/a/b": b"2"}),
        "both file and folder",
    ),
    "a bomb": ("zip", make_zip({"set/img/0.png": bytes(32 << 20), "set/img/1.png": b""}), "200 times"),
    "too few files": ("zip", make_zip({"set/img/0.png": b"1"}), "1 file below 'set/img', not 2"),
    "too many files": ("zip", make_zip({**GOOD, "set/img/2.png": b"2"}), "3 files below 'set/img', not 2"),
    "another layout": ("zip", make_zip({"other/0.png": b"1", "other/1.png": b"2"}), "no files below 'set/img'"),
    "no members": ("zip", make_zip({}), "no files"),
    "cut off": ("zip", make_zip(GOOD)[:-30], "damaged"),
    "a flipped bit in the content": ("zip", flipped(make_zip(GOOD, method=zipfile.ZIP_STORED), 60), "damaged"),
    "a flipped bit in the compressed content": ("zip", flipped(make_zip(GOOD), 48), "damaged"),
    "an unknown compression": ("zip", unknown_method(), "damaged"),
    "a size that is not true": ("zip", lying_size(), "damaged"),
    "not an archive": ("zip", b"PK\x03\x04 and then nothing of the kind" * 9, "damaged"),
    "a zip that calls itself tar": ("tar", make_zip(GOOD), "damaged"),
    "absolute name in a tar": ("tar", make_tar({**GOOD, "/etc/evil": b"x"}), "unsafe name"),
    "tar member that leaves the folder": ("tar", make_tar({**GOOD, "../evil": b"x"}), "leaves its folder"),
    "symbolic link": ("tar", make_tar(GOOD, odd=odd("set/img/l", tarfile.SYMTYPE, "/etc/passwd")), "link or device"),
    "symbolic link within": ("tar", make_tar(GOOD, odd=odd("set/img/l", tarfile.SYMTYPE, "0.png")), "link or device"),
    "hard link": ("tar", make_tar(GOOD, odd=odd("set/img/l", tarfile.LNKTYPE, "set/img/0.png")), "link or device"),
    "device": ("tar", make_tar(GOOD, odd=odd("set/img/d", tarfile.CHRTYPE)), "link or device"),
    "named pipe": ("tar", make_tar(GOOD, odd=odd("set/img/f", tarfile.FIFOTYPE)), "link or device"),
    "cut off tar": ("tar", make_tar(GOOD)[:-60], "damaged"),
    "damaged compression of a tar": ("tar", flipped(make_tar(GOOD), 40), "damaged"),
}


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch):
    monkeypatch.setattr(os, "sync", lambda: None)  # would wait for whatever else the machine writes


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(tmp_path, name):
    kind, data, words = MALFORMED[name]
    path = tmp_path / "in" / "archive"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(WrongFileError, match=words):
        unpack_archive(path, kind, IMG, tmp_path / "in" / "out", sha256="")
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "archive"]


@pytest.mark.parametrize("kind, data", [("zip", make_zip(GOOD)), ("tar", make_tar(GOOD)), ("tar", make_tar(GOOD, "w"))])
def test_a_good_archive(tmp_path, kind, data):
    (tmp_path / "archive").write_bytes(data)
    judge_archive(tmp_path / "archive", kind, IMG)
    assert unpack_archive(tmp_path / "archive", kind, IMG, tmp_path / "out", sha256="ab") == 2
    assert (tmp_path / "out" / "0.png").read_bytes() == GOOD["set/img/0.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [CARD, "0.png", "1.png"]
    assert json.loads((tmp_path / "out" / CARD).read_text()) == {"archive": "archive", "sha256": "ab", "files": 2}


def test_folders_left_out_and_what_systems_leave(tmp_path):
    data = make_zip({**GOOD, "__MACOSX/set/img/._0.png": b"", "set/.DS_Store": b"", "set/mask/0.png": b"m"})
    (tmp_path / "archive").write_bytes(data)
    unpack = Unpack("set", "out", None, without=("img",))
    assert unpack_archive(tmp_path / "archive", "zip", unpack, tmp_path / "out", sha256="") == 2
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")) == [
        CARD,
        "mask",
        "mask/0.png",
        "readme.txt",
    ]


def test_more_files_than_any_set_has(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    (tmp_path / "archive").write_bytes(make_zip(GOOD))
    with pytest.raises(WrongFileError, match="more than 2 files"):
        judge_archive(tmp_path / "archive", "zip", IMG)


# From the server to the folder


class Set:
    """A source whose archive lies on the fault server."""

    def __init__(self, server, raw) -> None:
        self.server, self.raw, self.zip, self.folder = server, raw, raw / "archives/set.zip", raw / "out"

    def fetch(self, consent=("faces",), *, consent_needed: bool = True) -> None:
        places = tuple(Place("http", self.server.base + path) for path in ("/set.zip", "/mirror.zip"))
        file = RemoteFile("archives/set.zip", "zip", None, None, None, places, IMG)
        source = Source(
            "faces", "data", "faces", "http://home", None, "Research only.", consent_needed, "x", None, (file,)
        )
        patience = Patience(attempts=2, first_wait_s=0.01, timeout_s=0.3, least_bytes=16)
        download(
            ["faces"],
            self.raw,
            consent=consent,
            patience=patience,
            say=lambda line: None,
            sources={"faces": source},
        )

    def check_whole(self) -> None:
        assert sorted(p.name for p in self.folder.iterdir()) == [CARD, "0.png", "1.png"]
        assert {p.name for p in self.raw.iterdir()} <= {"archives", "out", "hashes.json", ".download.lock"}


@pytest.fixture
def faces(fault_server, no_proxy, tmp_path):
    fault_server.reset(make_zip(GOOD))
    return Set(fault_server, tmp_path / "raw")


def test_fetch_and_unpack_then_nothing_to_do(faces):
    faces.fetch()
    faces.check_whole()
    faces.zip.unlink()  # may be removed once it is unpacked
    asked = len(faces.server.requests)
    faces.fetch()
    assert len(faces.server.requests) == asked


def test_consent_is_needed_and_named(faces):
    with pytest.raises(InputError) as caught:
        faces.fetch(consent=())
    assert "add faces to the list `consent`" in str(caught.value) and "Research only; see http://home" in str(
        caught.value
    )
    assert faces.server.requests == []
    with pytest.raises(InputError, match="'face' is no source; did you mean 'faces'"):
        faces.fetch(consent=("face",))
    faces.zip.parent.mkdir(parents=True, exist_ok=True)
    faces.zip.write_bytes(make_zip(GOOD))  # whoever has the file has agreed with its owner
    faces.fetch(consent=())
    faces.check_whole()


@pytest.mark.parametrize("name", [name for name, fault in MALFORMED.items() if fault[0] == "zip"])
def test_a_malformed_archive_from_a_server_is_not_kept(faces, name):
    faces.server.reset(MALFORMED[name][1])
    with pytest.raises(InputError):
        faces.fetch()
    assert not faces.folder.exists() and not faces.zip.exists()
    faces.server.reset(make_zip(GOOD))
    faces.fetch()
    faces.check_whole()
    digest = hashlib.sha256(make_zip(GOOD)).hexdigest()
    assert json.loads((faces.raw / "hashes.json").read_text())["files"]["archives/set.zip"]["sha256"] == digest


@pytest.mark.parametrize("name", ["symbolic link in a zip", "too few files", "name that leaves the folder", "a bomb"])
def test_after_a_malformed_archive_the_next_place_is_tried(faces, name):
    faces.server.reset(make_zip(GOOD), by_path={"/set.zip": [{"version": MALFORMED[name][1], "always": True}]})
    faces.fetch()
    faces.check_whole()


@pytest.mark.parametrize("name", ["cut off", "a flipped bit in the content", "symbolic link in a zip", "too few files"])
def test_a_malformed_archive_by_hand_stays_and_is_not_unpacked(faces, name):
    faces.zip.parent.mkdir(parents=True)
    faces.zip.write_bytes(MALFORMED[name][1])
    with pytest.raises(InputError, match="move it away"):
        faces.fetch()
    assert faces.zip.read_bytes() == MALFORMED[name][1] and not faces.folder.exists()
    faces.zip.unlink()
    faces.fetch()
    faces.check_whole()


def test_a_folder_put_there_by_hand_is_counted(faces):
    faces.folder.mkdir(parents=True)
    (faces.folder / "0.png").write_bytes(b"0")
    with pytest.raises(InputError, match="has 1 file, not 2; complete it, or move it away"):
        faces.fetch()
    (faces.folder / "1.png").write_bytes(b"1")
    faces.fetch(consent=())
    assert faces.server.requests == []


def test_an_unpacked_folder_that_lost_a_file_is_noticed(faces):
    faces.fetch()
    (faces.folder / "0.png").unlink()
    with pytest.raises(InputError, match="has 1 file, not 2"):
        faces.fetch()


def test_a_damaged_card_of_a_folder(faces):
    faces.fetch()
    (faces.folder / CARD).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        faces.fetch()


def test_an_empty_folder_is_filled(faces):
    faces.folder.mkdir(parents=True)
    faces.fetch()
    faces.check_whole()


def test_a_link_to_another_disk_is_followed(faces, tmp_path):
    (tmp_path / "disk/faces").mkdir(parents=True)
    faces.raw.mkdir(parents=True)
    faces.folder.symlink_to(tmp_path / "disk/faces")
    faces.fetch()
    faces.check_whole()
    assert faces.folder.is_symlink() and (tmp_path / "disk/faces/0.png").is_file()
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["faces"]


def test_what_cannot_be_replaced_is_refused_before_the_download(faces, tmp_path, monkeypatch):
    faces.raw.mkdir(parents=True)
    faces.folder.symlink_to(tmp_path / "disk")
    with pytest.raises(InputError, match="out is a link that leads nowhere; make the folder that it names"):
        faces.fetch()
    (tmp_path / "disk").mkdir()
    with monkeypatch.context() as patch, pytest.raises(InputError, match="out is a whole disk, whose name"):
        patch.setattr(archives.Path, "is_mount", lambda path: path == tmp_path / "disk")
        faces.fetch()
    assert faces.server.requests == [] and faces.folder.is_symlink()
    faces.fetch()
    faces.check_whole()


def test_an_archive_is_not_called_damaged_for_a_link(tmp_path):
    (tmp_path / "archive").write_bytes(make_zip(GOOD))
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="leads nowhere"):
        unpack_archive(tmp_path / "archive", "zip", IMG, tmp_path / "out", sha256="")


def test_what_systems_leave_is_not_counted(faces):
    faces.fetch()
    (faces.folder / "Thumbs.db").write_bytes(b"")
    faces.fetch()


def test_only_what_a_killed_unpacking_left_is_removed(faces):
    kept = [f".{faces.folder.name}.{name}" for name in ("mine", "k3x_0a9z", "unfinished.mine")]
    for name in (*kept, f".{faces.folder.name}.unfinished"):
        (faces.folder.parent / name).mkdir(parents=True)
    faces.fetch()
    assert sorted(p.name for p in faces.folder.iterdir()) == [CARD, "0.png", "1.png"]
    assert all((faces.folder.parent / name).is_dir() for name in kept)
    assert not (faces.folder.parent / f".{faces.folder.name}.unfinished").exists()


def test_a_link_in_the_place_of_the_unfinished_folder_is_not_followed(faces, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("a")
    faces.folder.parent.mkdir(parents=True)
    (faces.folder.parent / f".{faces.folder.name}.unfinished").symlink_to(tmp_path / "mine")
    faces.fetch()
    faces.check_whole()
    assert (tmp_path / "mine" / "a.txt").read_text() == "a"


def test_a_disk_that_fills_while_unpacking(faces, monkeypatch):
    def full(member, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(archives, "_write", full)
        with pytest.raises(OSError) as caught:
            faces.fetch()
    assert caught.value.filename == str(faces.folder) and not faces.folder.exists()
    faces.fetch()
    faces.check_whole()
    assert len(faces.server.requests) == 1, "the archive is not fetched again"
