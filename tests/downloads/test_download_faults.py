"""The fault campaign of downloads, as data: what a server can do wrong.

After every fault: no wrong file has been accepted, nothing partial is taken for whole, and the next, healthy run
completes. More of the campaign: what a disk does and what lay there before in test_download_disk_faults.py, processes
killed at named points in test_download_killed.py, archives in test_archives.py, readers in test_input_faults.py.
"""

from __future__ import annotations

import json

import pytest
from download_campaign import NAME, OTHER, TRUTH, archive

from replication.downloads import transfer

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
    "a first byte too late": ("all", [{"wait": 1.0}], "fetched"),
    "always too late": ("all", [{"wait": 1.0, "always": True}], "refused"),
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


def test_the_campaign_is_large():
    assert len(SERVER) + len(MIRRORS) >= 60


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


@pytest.mark.parametrize("published", ["none", "hash"])
@pytest.mark.parametrize(
    "answers, said",
    [
        ([{"always": True}], "it offers"),
        ([{"chunked": True, "always": True}], "it sends more than 1,000 bytes"),
        ([{"chunked": "cut", "send": 500}, {"always": True}], "it offers"),  # its length comes with the rest: a 206
    ],
    ids=["length", "chunked", "rest"],
)
def test_a_file_of_unknown_length_may_not_fill_the_disk(place, monkeypatch, published, answers, said):
    place.server.reset(TRUTH, answers)
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "MOST_BYTES", 1000)
        assert said in place.refused(published)
        assert not place.part.exists() or place.part.stat().st_size <= 1000
        place.server.reset(TRUTH)
        place.fetch("size")  # a published size is its own bound
        place.target.unlink()
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
