"""The fault campaign of downloads, as data: what a server, a disk or a person can do wrong.

After every fault: no wrong file has been accepted, nothing partial is taken for whole, and the next, healthy run
completes. Malformed archives are in test_archives.py, malformed inputs of readers in test_input_faults.py, processes
killed at named points in test_download_killed.py.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import zipfile
from pathlib import Path

import pytest

from replication.data import download as downloads
from replication.data import file_checks, transfer
from replication.data.download import download
from replication.data.sources import Place, RemoteFile, Source
from replication.data.transfer import Patience
from replication.errors import InputError

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.02, timeout_s=0.25, least_bytes=64)
NAME = "weights/net.pth"


def archive(seed: int, length: int = 3000) -> bytes:
    """A torch file's shell: a zip of one stored member of noise; of equal length for every seed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(zipfile.ZipInfo("net/data"), random.Random(seed).randbytes(length))
    return out.getvalue()


TRUTH, OTHER = archive(0), archive(1)
HALF = {"send": 0.5}
PAGE = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>hello</body></html>"
QUOTA = PAGE.replace("Welcome", "Google Drive - Quota exceeded")
SIGN_IN = PAGE.replace("hello", "Sign in to continue to Google Drive")
GONE = PAGE.replace("hello", "Sorry, the file you have requested does not exist.")
CONFIRM = (
    "<html><head><title>Google Drive - Virus scan warning</title></head><body><form id='download-form' "
    "action='{target}' method='get'><input type='hidden' name='confirm' value='t'>"
    "<input type='hidden' name='uuid' value='1-2'></form></body></html>"
)
HTML = {"content_type": "text/html; charset=utf-8"}
JUNK = b"\x00junk" * 700

# name: (what is published of the file, answers in turn, how it ends). Published: "all" (size and hash), "size", "hash",
# "none". It ends with "fetched", or refused with these words in the message. {"always": True} answers every request.
SERVER = {
    # truncation
    "closes half-way, then honours Range": ("none", [HALF], "fetched"),
    "closes half-way three times, on the way forward": ("none", [HALF, HALF, HALF], "fetched"),
    "closes after one byte": ("all", [{"send": 1}], "fetched"),
    "closes before the last byte": ("none", [{"send": len(TRUTH) - 1}], "fetched"),
    "closes before any byte of the body": ("all", [{"send": 0}], "fetched"),
    "always closes half-way and ignores Range": ("all", [{**HALF, "ranges": "ignore", "always": True}], "closed after"),
    "sends sections shorter than asked for": ("none", [HALF, {"ranges": "short"}], "fetched"),
    "resets the connection": ("all", [{"drop": "before the answer"}], "fetched"),
    "resets every connection": ("all", [{"drop": "before the answer", "always": True}], "broke"),
    "speaks another protocol": ("all", [{"drop": "garbage", "always": True}], "broke"),
    # length
    "claims more bytes than it sends, size published": ("all", [{"length": "+9", "always": True}], "offers"),
    "claims more bytes than it sends, nothing published": ("none", [{"length": "+9", "always": True}], "it changes"),
    "claims fewer bytes than it has, size published": ("size", [{"length": "-9", "always": True}], "offers"),
    "claims fewer bytes than it has, hash published": ("hash", [{"length": "-9", "always": True}], "sha256"),
    "claims fewer bytes than it has, nothing published": ("none", [{"length": "-9", "always": True}], "cut off"),
    "a length below zero": (
        "none",
        [{"headers": {"Content-Length": "-5"}, "length": "none", "always": True}],
        "say how",
    ),
    "a length that is no number": ("size", [{"headers": {"Content-Length": "many"}, "length": "none"}], "fetched"),
    "no length, size published": ("size", [{"length": "none"}], "fetched"),
    "no length, hash published": ("hash", [{"length": "none"}], "fetched"),
    "no length, nothing published": ("none", [{"length": "none", "always": True}], "does not say how long"),
    "no length and cut, size published": ("size", [{"length": "none", **HALF}], "fetched"),
    "no length and cut, hash published": ("hash", [{"length": "none", **HALF, "always": True}], "sha256"),
    "chunked": ("none", [{"chunked": True}], "fetched"),
    "chunked and cut": ("none", [{"chunked": "cut", **HALF}], "fetched"),
    "chunked and always cut": ("none", [{"chunked": "cut", **HALF, "always": True}], "broke"),
    "chunked with more than the published size": ("size", [{"chunked": True, "version": TRUTH * 2}], "more than"),
    "more bytes than it claims": ("all", [{"version": TRUTH + b"tail", "length": len(TRUTH)}], "fetched"),
    "empty body": ("none", [{"body": b"", "always": True}], "nothing"),
    "empty body, size published": ("all", [{"body": b"", "always": True}], "offers 0 bytes"),
    # web pages with status 200
    "a web page": ("none", [{"body": PAGE, **HTML, "always": True}], "a web page instead"),
    "a web page that calls itself data": ("none", [{"body": PAGE, "always": True}], "a web page instead"),
    "a web page when the rest is asked for": ("none", [HALF, {"body": PAGE, **HTML, "always": True}], "a web page"),
    "the quota page of Google Drive": ("none", [{"body": QUOTA, **HTML, "always": True}], "quota"),
    "the quota page with status 403": ("none", [{"body": QUOTA, **HTML, "status": 403, "always": True}], "quota"),
    "the sign-in page of Google Drive": ("none", [{"body": SIGN_IN, **HTML, "always": True}], "sign in"),
    "the no-such-file page of Google Drive": ("none", [{"body": GONE, **HTML, "always": True}], "no such file"),
    "a virus scan warning": ("none", [{"body": CONFIRM.replace("{target}", "/confirmed"), **HTML}], "fetched"),
    "a virus scan warning, then a cut": (
        "none",
        [{"body": CONFIRM.replace("{target}", "/c"), **HTML}, HALF],
        "fetched",
    ),
    "virus scan warnings without end": (
        "none",
        [{"body": CONFIRM.replace("{target}", "/again"), **HTML, "always": True}],
        "confirmation",
    ),
    "a virus scan warning that leads elsewhere": (
        "none",
        [{"body": CONFIRM.replace("{target}", "http://example.org/x"), **HTML, "always": True}],
        "confirmation",
    ),
    "a virus scan warning that leads to a local file": (
        "none",
        [{"body": CONFIRM.replace("{target}", "file:///etc/hostname"), **HTML, "always": True}],
        "confirmation",
    ),
    # status
    "503 twice": ("all", [{"status": 503, "body": b""}] * 2, "fetched"),
    "503 always": ("all", [{"status": 503, "body": b"", "always": True}], "status 503"),
    "503 half-way": ("none", [HALF, {"status": 503, "body": b""}], "fetched"),
    "429 with Retry-After of an hour": ("all", [{"status": 429, "headers": {"Retry-After": "3600"}}], "fetched"),
    "429 with Retry-After that is a date": ("all", [{"status": 429, "headers": {"Retry-After": "Fri"}}], "fetched"),
    "500, then 404": ("all", [{"status": 500}, {"status": 404, "always": True}], "status 404"),
    "404": ("all", [{"status": 404, "always": True}], "status 404"),
    "401": ("all", [{"status": 401, "always": True}], "status 401"),
    "410 half-way": ("none", [HALF, {"status": 410, "always": True}], "status 410"),
    "204, no content": ("all", [{"status": 204, "body": b"", "always": True}], "refused"),
    "206 without being asked": ("none", [{"status": 206, "always": True}], "status 206"),
    # ranges after a cut
    "ignores Range": ("all", [HALF, {"ranges": "ignore"}], "fetched"),
    "ignores Range, nothing published": ("none", [HALF, {"ranges": "ignore"}], "fetched"),
    "sends a shifted range": ("none", [HALF, {"ranges": "shifted"}], "fetched"),
    "states another total in the range": ("none", [HALF, {"ranges": "other total"}], "fetched"),
    "sends a range without saying which": ("none", [HALF, {"ranges": "no header"}], "fetched"),
    "sends the range as multipart": ("none", [HALF, {"ranges": "multipart"}], "fetched"),
    "416 to the rest": ("none", [HALF, {"ranges": "416"}], "fetched"),
    "shifted ranges for ever": ("none", [HALF, *[{"ranges": "shifted"}, HALF] * 9], "changes while"),
    # another version between parts
    "content changes, If-Range honoured": ("none", [{"version": OTHER, **HALF}], "fetched"),
    "content changes, If-Range ignored": ("none", [{"version": OTHER, **HALF}, {"ranges": "unchecked"}], "fetched"),
    "content changes, dates only": (
        "none",
        [{"version": OTHER, **HALF, "etag": "none", "modified": "Mon, 01 Jan 2018 00:00:00 GMT"}],
        "fetched",
    ),
    "content changes, no ETag, nothing published": (
        "none",
        [{"version": OTHER, **HALF, "etag": "none"}, {"etag": "none"}],
        "fetched",
    ),
    "content changes, no ETag, hash published": (
        "all",
        [{"version": OTHER, **HALF, "etag": "none"}, {"etag": "none"}],
        "fetched",
    ),
    "content changes, weak ETag": ("none", [{"version": OTHER, **HALF, "etag": "weak"}, {"etag": "weak"}], "fetched"),
    "content and length change": ("none", [{"version": OTHER + b"x", **HALF}, {"ranges": "unchecked"}], "fetched"),
    "content changes at every request": (
        "hash",
        [{"version": archive(k), "send": 400, "etag": "none"} for k in range(2, 12)],
        "fetched",
    ),
    "no ETag, same content": ("all", [{**HALF, "etag": "none"}, {"etag": "none"}], "fetched"),
    # time
    "a first byte too late": ("all", [{"wait": 0.5}], "fetched"),
    "always too late": ("all", [{"wait": 0.5, "always": True}], "refused"),
    "a byte now and then": ("all", [{"trickle": 0.02, "always": True}], "less than 64 bytes"),
    # redirects
    "a redirect": ("all", [{"redirect": "{base}/elsewhere"}], "fetched"),
    "a redirect half-way": ("none", [HALF, {"redirect": "{base}/elsewhere"}], "fetched"),
    "redirects in a circle": ("all", [{"redirect": "{base}/round", "always": True}], "status 302"),
    "a redirect to a local file": ("all", [{"redirect": "file:///etc/hostname", "always": True}], "not allowed"),
    "a redirect to no address": ("all", [{"redirect": "http://[bad/", "always": True}], "address that is none"),
    "a redirect to ftp": ("all", [{"redirect": "ftp://127.0.0.1/x", "always": True}], "not followed"),
    "a redirect to a web page": ("all", [{"redirect": "{base}/a"}, {"body": PAGE, **HTML, "always": True}], "web page"),
    # content
    "another kind of file": ("none", [{"version": JUNK, "always": True}], "does not begin like"),
    "another file of the same size": ("all", [{"version": OTHER, "always": True}], "sha256"),
    "another file of the same size, once": ("all", [{"version": OTHER}], "sha256"),
    "one bit is wrong": ("all", [{"version": TRUTH[:50] + b"!" + TRUTH[51:], "always": True}], "sha256"),
    "compressed without being asked": (
        "none",
        [{"headers": {"Content-Encoding": "gzip"}, "always": True}],
        "compressed",
    ),
    "the end of a zip is missing": ("none", [{"version": TRUTH[:-40], "always": True}], "cut off"),
}


@pytest.fixture
def place(fault_server, no_proxy, tmp_path):
    """A source of one file on the fault server, and how to fetch it."""
    return Campaign(fault_server, tmp_path)


class Campaign:
    def __init__(self, server, folder: Path) -> None:
        self.server, self.raw = server, folder / "raw"
        self.target = self.raw / NAME
        self.part = self.target.with_name("net.pth.part")
        self.card = self.target.with_name("net.pth.part.json")
        self.record = self.raw / "hashes.json"
        server.reset(TRUTH)

    def source(self, published: str = "all", addresses: tuple[str, ...] = ("/net",)) -> Source:
        sha256 = file_checks.hashlib.sha256(TRUTH).hexdigest()
        file = RemoteFile(
            NAME,
            "torch",
            len(TRUTH) if published in ("all", "size") else None,
            sha256 if published in ("all", "hash") else sha256[:8] if published == "prefix" else None,
            None,
            tuple(Place("http", a if "://" in a else self.server.base + a) for a in addresses),
        )
        return Source("net", "weights", "a net", "http://home", None, "none", False, "x", None, (file,))

    def fetch(self, published: str = "all", **options) -> None:
        source = self.source(published, options.pop("addresses", ("/net",)))
        download(["net"], self.raw, patience=QUICK, say=lambda line: None, sources={"net": source})

    def refused(self, published: str = "all", **options) -> str:
        with pytest.raises(InputError) as caught:
            self.fetch(published, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def check_nothing_wrong(self) -> None:
        """The target is absent or right; the record knows nothing but the truth."""
        assert not self.target.exists() or self.target.read_bytes() == TRUTH
        if self.record.exists():
            entry = json.loads(self.record.read_text())["files"].get(NAME)
            assert entry is None or entry["sha256"] == file_checks.hashlib.sha256(TRUTH).hexdigest()

    def check_completes(self, published: str = "all") -> None:
        """A healthy run after the fault: the file is right, recorded, and alone."""
        self.check_nothing_wrong()
        self.server.reset(TRUTH)
        self.fetch(published)
        self.check_nothing_wrong()
        assert self.target.exists() and NAME in json.loads(self.record.read_text())["files"]
        assert {p.name for p in self.target.parent.iterdir()} == {"net.pth"}


def test_the_campaign_is_large():
    assert len(SERVER) + len(PREPARED) + len(MIRRORS) + len(DISKS) >= 60


@pytest.mark.parametrize("name", SERVER)
def test_server_fault(place, name):
    published, answers, end = SERVER[name]
    place.server.reset(TRUTH, answers)
    if end == "fetched":
        place.fetch(published)
        assert place.target.read_bytes() == TRUTH
    else:
        message = place.refused(published)
        assert end in message or end == "refused"
        assert "127.0.0.1" in message and str(place.target) in message
        assert not place.target.exists()
    place.check_completes(published)


def test_a_cut_download_is_resumed_not_repeated(place):
    place.server.reset(TRUTH, [HALF])
    place.fetch("none")
    (first, second) = place.server.ranges_asked()
    assert first is None and second == f"bytes={len(TRUTH) // 2}-"
    assert place.server.requests[1][1]["if-range"].startswith('"')


def test_what_came_is_kept_for_the_next_run(place):
    place.server.reset(TRUTH, [HALF, {"status": 404, "always": True}])
    place.refused("none")
    assert place.part.read_bytes() == TRUTH[: len(TRUTH) // 2]
    assert json.loads(place.card.read_text())["size"] == len(TRUTH)
    place.server.reset(TRUTH)
    place.fetch("none")
    assert place.server.ranges_asked() == [f"bytes={len(TRUTH) // 2}-"]


# Mirrors. name: (published, answers of the first, of the second place, how it ends)
DEAD = "http://127.0.0.1:9/net"
MIRRORS = {
    "the first is not reachable": ("all", [], [], "fetched", (DEAD, "/b")),
    "the first has no such name": ("all", [], [], "fetched", ("http://nowhere.invalid/net", "/b")),
    "the first sends another file": ("all", [{"version": OTHER, "always": True}], [], "fetched", ("/a", "/b")),
    "the first sends a page": ("none", [{"body": QUOTA, **HTML, "always": True}], [], "fetched", ("/a", "/b")),
    "the first stops half-way": ("all", [HALF, {"status": 404, "always": True}], [], "fetched", ("/a", "/b")),
    "the first stops half-way, nothing published": (
        "none",
        [{"version": OTHER, **HALF}, {"status": 404, "always": True}],
        [],
        "fetched",
        ("/a", "/b"),
    ),
    "the first stops half-way in another version": (
        "all",
        [{"version": OTHER, **HALF}, {"status": 404, "always": True}],
        [],
        "fetched",
        ("/a", "/b"),
    ),
    "both fail": (
        "all",
        [{"status": 404, "always": True}],
        [{"status": 403, "always": True}],
        "status 403",
        ("/a", "/b"),
    ),
    "an address that is none": ("all", [], [], "fetched", ("http://127.0.0.1:99999/net", "/b")),
}


@pytest.mark.parametrize("name", MIRRORS)
def test_mirrors(place, name):
    published, first, second, end, addresses = MIRRORS[name]
    place.server.reset(TRUTH, by_path={"/a": first, "/b": second})
    if end == "fetched":
        place.fetch(published, addresses=addresses)
    else:
        message = place.refused(published, addresses=addresses)
        assert end in message and "status 404" in message
    place.check_completes(published)


def test_offline_one_message_says_where_to_put_the_file(place):
    message = place.refused(addresses=(DEAD,))
    assert message.count("\n") == 0 and DEAD in message and str(place.target) in message and "by hand" in message
    place.target.parent.mkdir(parents=True, exist_ok=True)
    place.target.write_bytes(TRUTH)
    place.fetch(addresses=(DEAD,))
    assert json.loads(place.record.read_text())["files"][NAME]["from"] == "put here by hand"


# What lies there before the run. name: (published, files as bytes or JSON-able values, how it ends)
CARD = {"address": "{base}/net", "etag": None, "modified": None, "size": len(TRUTH)}
PREPARED = {
    "a part without a card": ("none", {"part": TRUTH[:99]}, "fetched"),
    "junk of the right length without a card": ("none", {"part": bytes(len(TRUTH))}, "fetched"),
    "a card without a part": ("none", {"card": CARD}, "fetched"),
    "a card that is no JSON": ("none", {"part": TRUTH[:99], "card": b"{"}, "fetched"),
    "a card without its keys": ("none", {"part": TRUTH[:99], "card": {"size": 3}}, "fetched"),
    "a part of another address": ("none", {"part": OTHER[:99], "card": {**CARD, "address": "http://x/"}}, "fetched"),
    "a part longer than the file": ("all", {"part": TRUTH + b"more", "card": CARD}, "fetched"),
    "a complete part": ("none", {"part": TRUTH, "card": CARD}, "fetched"),
    "a complete part of junk": ("all", {"part": bytes(len(TRUTH)), "card": CARD}, "fetched"),
    "a complete part of another file": ("all", {"part": OTHER, "card": CARD}, "fetched"),
    "a part of junk, hash published": ("all", {"part": bytes(99), "card": CARD}, "fetched"),
    "a part whose card promises another length": (
        "all",
        {"part": TRUTH[:99], "card": {**CARD, "size": 7000}},
        "fetched",
    ),
    "a damaged record of hashes": ("none", {"record": b"{"}, "hashes.json"),
    "a record of another format": ("none", {"record": {"format": 9, "files": {}}}, "hashes.json"),
    "a record of another file": (
        "none",
        {"record": {"format": 1, "files": {NAME: {"sha256": "0" * 64, "size": 1, "from": "x"}}}},
        "first one that was accepted",
    ),
    "a file cut off by hand": ("all", {"target": TRUTH[:-7]}, "bytes, not"),
    "a file cut off by hand, nothing published": ("none", {"target": TRUTH[:-7]}, "cut off"),
    "a web page saved by hand": ("none", {"target": QUOTA.encode()}, "web page"),
    "another file by hand": ("all", {"target": OTHER}, "sha256"),
    "another file by hand, prefix published": ("prefix", {"target": OTHER}, "sha256"),
    "an empty file by hand": ("none", {"target": b""}, "is empty"),
    "a right file by hand": ("all", {"target": TRUTH}, "fetched"),
    "a right file by hand beside an old part": ("all", {"target": TRUTH, "part": OTHER[:9], "card": CARD}, "fetched"),
}


@pytest.mark.parametrize("name", PREPARED)
def test_what_lay_there(place, name):
    published, files, end = PREPARED[name]
    place.target.parent.mkdir(parents=True)
    paths = {"part": place.part, "card": place.card, "record": place.record, "target": place.target}
    for kind, content in files.items():
        if not isinstance(content, bytes):
            content = json.dumps(content).replace("{base}", place.server.base).encode()
        paths[kind].write_bytes(content)
    if end == "fetched":
        place.fetch(published)
    else:
        assert end in place.refused(published)
        if "target" in files:
            assert place.target.read_bytes() == files["target"], "a user's file is not touched"
            place.target.unlink()
        else:
            place.record.unlink()
    place.check_completes(published)


def test_a_complete_part_needs_no_server(place):
    place.server.reset(TRUTH, [HALF])
    place.target.parent.mkdir(parents=True)
    place.part.write_bytes(TRUTH)
    place.card.write_text(json.dumps(CARD).replace("{base}", place.server.base))
    place.fetch("none")
    assert place.server.requests == [] and place.target.read_bytes() == TRUTH


def test_a_later_file_has_to_match_the_first_record(place):
    """Without a published hash the first download sets one."""
    place.fetch("none")
    place.target.unlink()
    place.server.reset(TRUTH, [{"version": OTHER, "always": True}])
    assert "first one that was accepted" in place.refused("none")
    place.check_completes("none")


def test_a_second_process_is_refused(place):
    with downloads._locked(place.raw):
        assert "another process" in place.refused()
    place.check_completes()


def test_a_folder_in_the_place_of_the_file(place):
    place.target.mkdir(parents=True)
    assert "is a folder" in place.refused()
    place.target.rmdir()
    place.check_completes()


def test_a_file_in_the_place_of_a_folder(place):
    place.raw.mkdir()
    place.target.parent.write_text("")
    assert "cannot be written" in place.refused()
    place.target.parent.unlink()
    place.check_completes()


# Disks. name: (module, attribute, error number, at which call)
DISKS = {
    "full at the first block": (transfer.os, "write", errno.ENOSPC, 1),
    "full at the card": (transfer, "write_json", errno.ENOSPC, 1),
    "full at the record": (file_checks, "write_json", errno.ENOSPC, 1),
    "quota of the user": (transfer.os, "write", errno.EDQUOT, 1),
    "file too large for the disk": (transfer.os, "write", errno.EFBIG, 1),
    "full at the rename": (downloads.os, "replace", errno.ENOSPC, 3),
    "no permission to open the part": (transfer.os, "open", errno.EACCES, 2),
    "read-only file system": (transfer.os, "open", errno.EROFS, 2),
    "no permission for the folder": (downloads.os, "open", errno.EACCES, 1),
    "no permission to rename": (downloads.os, "replace", errno.EPERM, 3),
    "no permission to make the folder": (downloads.Path, "mkdir", errno.EACCES, 1),
}


@pytest.mark.parametrize("name", DISKS)
def test_disk_fault(place, name, monkeypatch):
    where, attribute, number, when = DISKS[name]
    real, calls = getattr(where, attribute), []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == when:
            raise OSError(number, os.strerror(number), *(a for a in map(str, arguments[:1]) if "/" in a))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(where, attribute, failing)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            with pytest.raises(OSError) as caught:
                place.fetch("none")
            assert caught.value.errno == errno.ENOSPC
        else:
            assert "cannot be written" in place.refused("none")
    assert len(calls) >= when
    place.check_completes("none")


def test_a_disk_that_fills_half_way_is_resumed(place, monkeypatch):
    real = os.write

    def half(descriptor, view):
        if len(view) < 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, view[: len(view) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(transfer.os, "write", half)
        with pytest.raises(OSError) as caught:
            place.fetch("none")
    assert caught.value.filename == str(place.part)
    kept = place.part.stat().st_size
    assert 0 < kept < len(TRUTH)
    place.server.reset(TRUTH)
    place.fetch("none")
    assert place.server.ranges_asked() == [f"bytes={kept}-"]
    place.check_completes("none")


def test_too_little_space_is_known_before_the_first_byte(place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, len(TRUTH) - 1))
        with pytest.raises(OSError) as caught:
            place.fetch("none")
    assert caught.value.errno == errno.ENOSPC and not place.part.exists()
    place.check_completes("none")
