"""One address -> one `.part` file, resumed where that is safe: HTTP by the standard library.

A `.part` file lies beside a small JSON that says of which address, version (ETag, Last-Modified) and length it is
part. A later request asks for the rest with Range and If-Range; whatever hints at another version starts anew. Nothing
here decides that a file is the right one: see `file_checks`.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from replication.atomic import write_json
from replication.downloads.drive_pages import confirmed_address, meaning
from replication.downloads.file_checks import looks_like_html
from replication.downloads.progress import Progress

MOST_BYTES = 100 * 10**9
"""Of a file whose length nobody has published, more is not taken from the network; the largest set, FFHQ, has 89 GB."""
_BLOCK = 1 << 18
_PAGE = 1 << 18
_RESTARTS = 3
_UNREACHABLE_TRIES = 2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Patience:
    """How long to go on. attempts: in a row that bring less than `least_bytes`. timeout_s: without any byte, and the
    time in which at least `least_bytes` have to come. Waits double from first_wait_s to longest_wait_s."""

    attempts: int = 6
    first_wait_s: float = 2.0
    longest_wait_s: float = 60.0
    timeout_s: float = 60.0
    least_bytes: int = 4096


class PlaceError(Exception):
    """A place does not give the file; the message is a clause such as "status 404 Not Found"."""


class _TryAgainError(Exception):
    def __init__(self, reason: str, *, wait_s: float = 0.0, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.unreachable = wait_s, unreachable


class _StartAnewError(Exception):
    """What is there and what comes are not of one file."""


class PartialFile:
    """The unfinished file of a target and its card (address, etag, modified, size; None if unknown)."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self.card_path = target.with_name(target.name + ".part.json")
        self.joined = False  # whether its bytes came in more than one answer
        self._descriptor = -1

    @property
    def length(self) -> int:
        return os.fstat(self._descriptor).st_size

    def card(self) -> dict[str, Any] | None:
        """The card, or None if there is none that can be read."""
        try:
            card = json.loads(self.card_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return card if isinstance(card, dict) and {"address", "etag", "modified", "size"} <= card.keys() else None

    def begin(self, address: str, etag: str | None, modified: str | None, size: int | None) -> None:
        """Empty the part and say what it will be part of."""
        self.clear()
        write_json(self.card_path, {"address": address, "etag": etag, "modified": modified, "size": size})

    def write(self, block: bytes) -> None:
        """Append; what was written before a full disk stays, and is resumed later."""
        view = memoryview(block)
        try:
            os.lseek(self._descriptor, 0, os.SEEK_END)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            if error.errno in _FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path)) from error
            raise

    def clear(self) -> None:
        """Forget the bytes; the card goes first, so that no byte of the next file can be taken for one of this."""
        self.card_path.unlink(missing_ok=True)
        os.ftruncate(self._descriptor, 0)
        self.joined = False

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.card_path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def opened(self) -> Iterator[PartialFile]:
        """Open the part for one process; an empty one leaves nothing behind."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            yield self
        finally:
            if not self.length:
                self.remove()
            os.close(self._descriptor)
            self._descriptor = -1


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            raise PlaceError(f"it redirects from {old} to {new}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@lru_cache(maxsize=1)
def _opener() -> urllib.request.OpenerDirector:
    """Only HTTP and HTTPS (urllib's own opener would also read file:// and ftp://), with one jar of cookies."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPCookieProcessor(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _seconds(text: str | None) -> float:
    """Retry-After in seconds; 0 for a date or nonsense, where our own wait serves."""
    return float(text) if text and text.strip().isdigit() else 0.0


def _open(address: str, headers: dict[str, str], timeout_s: float) -> http.client.HTTPResponse:
    try:
        return _opener().open(urllib.request.Request(address, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            clause = f"status {error.code} " + " ".join(str(error.reason).split())
            if error.code in (408, 425, 429) or error.code >= 500:
                raise _TryAgainError(clause, wait_s=_seconds(error.headers.get("Retry-After"))) from error
            if error.code == 416 and "Range" in headers:
                raise _StartAnewError(clause) from error
            page = b""
            with contextlib.suppress(OSError, http.client.HTTPException):
                page = error.read(_PAGE)
            said = meaning(page.decode("utf-8", "replace"))
            raise PlaceError(said if "quota" in said else clause) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise PlaceError(f"its certificate is not accepted ({error.reason.verify_message})") from error
        unreachable = isinstance(error.reason, socket.gaierror | ConnectionRefusedError) or (
            isinstance(error.reason, OSError) and error.reason.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
        )
        raise _TryAgainError(f"not reachable ({error.reason})", unreachable=unreachable) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise PlaceError(f"it leads to an address that is none ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(f"the connection broke ({type(error).__name__})") from error


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _TryAgainError(f"the connection broke ({type(error).__name__})") from error


def _declared_length(response: http.client.HTTPResponse) -> int | None:
    """Content-Length, None without a usable one. (`response.length` counts down while the body is read.)"""
    text = response.headers.get("Content-Length", "").strip()
    return int(text) if text.isdigit() and not response.chunked else None


def _strong(etag: str | None) -> str | None:
    """An ETag that promises equal bytes; the weak ones (W/"...") do not."""
    return etag if etag and not etag.startswith("W/") else None


def _resume_from(part: PartialFile, address: str, size: int | None, has_hash: bool) -> tuple[int, dict[str, Any]]:
    """How many bytes of the part may be kept, and its card; 0 and an empty one to begin anew.

    Without ETag and date, or from another address, only the hash of the whole tells whether two parts belong together.
    """
    card, length = part.card(), part.length
    if card is None or not length:
        return 0, {}
    known = card["size"] if card["size"] is not None else size
    if known is None or length > known or (size is not None and known != size):
        return 0, {}
    same = card["address"] == address
    if length == known and (same or has_hash):
        return length, card
    if same and (_strong(card["etag"]) or card["modified"]):
        return length, card
    return (length, {**card, "etag": None, "modified": None}) if has_hash else (0, {})


def _check_range(response: http.client.HTTPResponse, offset: int, card: dict[str, Any]) -> int | None:
    """The whole length that a 206 states; _StartAnewError unless it continues what is there."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if not found or int(found[1]) != offset or int(found[2]) < offset:
        raise _StartAnewError("it sends another range than was asked for")
    total = None if found[3] == "*" else int(found[3])
    if _declared_length(response) not in (None, int(found[2]) - offset + 1):
        raise _StartAnewError("its range and its length differ")
    if total is not None and (int(found[2]) >= total or (card.get("size") and total != card["size"])):
        raise _StartAnewError("the file has another length than before")
    etag = response.headers.get("ETag")
    if card.get("etag") and etag and etag != card["etag"]:
        raise _StartAnewError("the file is another version than before")
    return total if total is not None else card.get("size")


def _once(
    address: str,
    part: PartialFile,
    *,
    size: int | None,
    has_hash: bool,
    patience: Patience,
    name: str,
    confirmed: str | None = None,
) -> None:
    """One request; returns when the part is complete."""
    offset, card = _resume_from(part, address, size, has_hash)
    if offset and offset == (card["size"] if card["size"] is not None else size):
        return
    headers = {"User-Agent": "face-inpainting-replication", "Accept": "*/*", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator := _strong(card["etag"]) or card["modified"]:
            headers["If-Range"] = validator
    with _open(confirmed or address, headers, patience.timeout_s) as response:
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise PlaceError("it sends the file compressed, which was not asked for")
        block = _read(response)
        if "html" in response.headers.get("Content-Type", "") or (not offset and looks_like_html(block)):
            page = block
            while len(page) < _PAGE and (more := _read(response)):
                page += more
            text = page.decode("utf-8", "replace")
            target = None if confirmed else confirmed_address(text, address)
            if target is None:
                raise PlaceError(meaning(text))
        else:
            _receive(response, block, address, part, offset, card, size, has_hash, patience, name)
            return
    _once(address, part, size=size, has_hash=has_hash, patience=patience, name=name, confirmed=target)


def _receive(response, block, address, part, offset, card, size, has_hash, patience, name) -> None:
    """Append the body to the part; its first block has been read. Raises unless the part is complete then."""
    if response.status == 206 and offset:
        total = _check_range(response, offset, card)
        part.joined = True
    elif response.status == 200:
        offset = 0
        total = _declared_length(response)
        if looks_like_html(block):
            raise PlaceError(meaning(block.decode("utf-8", "replace")))
        if total is not None and size is not None and total != size:
            raise PlaceError(f"it offers {total:,} bytes, not {size:,}")
        if total is None and size is None and not has_hash and not response.chunked:
            raise PlaceError("it does not say how long the file is, so a part could not be told from the whole")
        part.begin(address, response.headers.get("ETag"), response.headers.get("Last-Modified"), total or size)
    else:
        raise PlaceError(f"status {response.status} {response.reason}")
    if total is not None and total > MOST_BYTES and size is None:
        part.clear()
        raise PlaceError(f"it offers {total:,} bytes; of a file of unknown length {MOST_BYTES:,} are taken at most")
    total = total if total is not None else size
    if total is not None and shutil.disk_usage(part.path.parent).free < total - offset:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part.path))
    shown = Progress(name, total, begun=offset)
    most = total if total is not None else MOST_BYTES
    done, window, window_began = offset, 0, time.monotonic()
    try:
        while block:
            if done + len(block) > most:
                if total is None:
                    part.clear()  # there is no telling what it is, and it fills the disk
                raise PlaceError(f"it sends more than {most:,} bytes")
            part.write(block)
            done += len(block)
            window += len(block)
            shown.show(done)
            if (now := time.monotonic()) - window_began > patience.timeout_s:
                if window < patience.least_bytes and done != total:
                    raise _TryAgainError(f"it sends less than {patience.least_bytes} bytes in {patience.timeout_s:g} s")
                window, window_began = 0, now
            block = _read(response)
    finally:
        shown.end()
    if total is not None and done < total:
        raise _TryAgainError(f"the connection was closed after {done:,} of {total:,} bytes")
    if not done:
        raise PlaceError("it sends nothing")
    if total is None:  # chunked to its proper end: now the length is known
        write_json(part.card_path, {**(part.card() or {}), "size": done})


def transfer(
    address: str, part: PartialFile, *, size: int | None, has_hash: bool, patience: Patience, name: str
) -> None:
    """Bring the opened part to the full length of what lies at `address`.

    Args:
        size: the published length in bytes, None if unknown.
        has_hash: whether a hash of the whole file will be compared; then parts may be joined that nothing else ties.
        name: for the line of progress.

    Raises:
        PlaceError: this place does not give it; what has come is kept in the part.
        OSError: the disk is full (ENOSPC, with the file's name) or does not let us write.
    """
    failures = restarts = 0
    best = part.length
    while True:
        try:
            return _once(address, part, size=size, has_hash=has_hash, patience=patience, name=name)
        except _StartAnewError as reason:
            restarts += 1
            if restarts > _RESTARTS:
                raise PlaceError(f"it changes while it is fetched ({reason})") from reason
            part.clear()
            best = 0
        except _TryAgainError as reason:
            # A few bytes are no progress: a server that trickles would hold us for days.
            failures = 1 if part.length >= best + patience.least_bytes else failures + 1
            best = max(best, part.length)
            if failures >= (min(_UNREACHABLE_TRIES, patience.attempts) if reason.unreachable else patience.attempts):
                raise PlaceError(str(reason)) from reason
            wait = patience.first_wait_s * 2 ** (failures - 1)
            time.sleep(min(max(wait, reason.wait_s), patience.longest_wait_s))
