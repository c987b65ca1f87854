"""The fault campaign of downloads, as data: what a disk, an earlier run or a person can do wrong.

After every fault: no wrong file has been accepted, nothing partial is taken for whole, and the next, healthy run
completes.
"""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
from download_campaign import NAME, OTHER, TRUTH

from replication.downloads import download as downloads
from replication.downloads import file_checks, transfer

HALF = {"send": 0.5}
QUOTA = "<html><head><title>Google Drive - Quota exceeded</title></head></html>"

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


def test_a_file_that_cannot_be_read(place, monkeypatch):
    place.target.parent.mkdir(parents=True)
    place.target.write_bytes(TRUTH)

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(file_checks, "file_hashes", refused)
        assert "net.pth cannot be read (Permission denied)" in place.refused()
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
