"""Is a fetched file the one that was asked for? Size, first bytes, completeness, hash; and the record of hashes.

`data/raw/hashes.json` remembers the SHA-256 of every file that was once accepted, by its path below data/raw. Where no
hash is published, the first file sets the record and later ones must match it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from replication.atomic import write_json
from replication.downloads.sources import RemoteFile
from replication.errors import InputError

RECORD = "hashes.json"
_BLOCK = 1 << 20
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<?xml version")


class WrongFileError(Exception):
    """Not the file that was asked for; the message is a clause without subject: "has 3 bytes, not 5"."""


def looks_like_html(head: bytes) -> bool:
    """Whether these first bytes begin a web page: what many servers send instead of a file, with status 200."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML)


def _magic(kind: str, head: bytes) -> bool:
    if kind == "zip":
        return head.startswith(b"PK\x03\x04")
    if kind == "tar":
        return head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")) or head[257:262] == b"ustar"
    if kind == "torch":  # a zip since PyTorch 1.6; before, a pickle that begins with torch's own number
        return head.startswith((b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."))
    if kind == "json" and head.lstrip()[:1] not in (b"{", b"["):
        return False
    return b"\x00" not in head  # text and JSON


def check_head(kind: str, head: bytes) -> None:
    """Raise WrongFileError unless `head` (512 bytes, or the whole file) can begin a file of this kind."""
    if not head:
        raise WrongFileError("is empty")
    if looks_like_html(head):
        raise WrongFileError("is a web page, not the file")
    if not _magic(kind, head):
        raise WrongFileError(f"does not begin like a {kind} file")


def _check_complete(path: Path, kind: str) -> None:
    """Without a size or hash to compare: what the format itself says of its end."""
    try:
        if kind == "zip" or (kind == "torch" and zipfile.is_zipfile(path)):
            with zipfile.ZipFile(path):
                return
        if kind == "torch":
            with path.open("rb") as stream:
                if stream.read(2) == b"PK":
                    raise WrongFileError("is a damaged or cut off torch file")
        if kind == "json":
            json.loads(path.read_text(encoding="utf-8"))
        if kind == "text":
            path.read_text(encoding="utf-8")
    except (zipfile.BadZipFile, ValueError) as error:
        raise WrongFileError(f"is a damaged or cut off {kind} file ({error})") from error


def file_hashes(path: Path) -> dict[str, str]:
    """SHA-256 and MD5 of a file, read once."""
    hashes = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            for one in hashes.values():
                one.update(block)
    return {name: one.hexdigest() for name, one in hashes.items()}


def check_file(path: Path, file: RemoteFile, record: HashRecord) -> str:
    """Check a whole file against all that is known of it.

    Returns:
        Its SHA-256, for the record.

    Raises:
        WrongFileError: its size, beginning, end or hash is another one than published, or than recorded.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise WrongFileError(f"has {size:,} bytes, not {file.size:,}")
    with path.open("rb") as stream:
        check_head(file.kind, stream.read(512))
    hashes = file_hashes(path)
    if file.sha256 and not hashes["sha256"].startswith(file.sha256):
        raise WrongFileError(f"has a sha256 that begins with {hashes['sha256'][:8]}, not {file.sha256[:8]}")
    if file.md5 and hashes["md5"] != file.md5:
        raise WrongFileError(f"has the md5 {hashes['md5']}, not {file.md5}")
    known = record.sha256(file.path)
    if known and hashes["sha256"] != known:
        raise WrongFileError(
            f"has a sha256 that begins with {hashes['sha256'][:8]}, not {known[:8]} as the first one that was "
            f"accepted; if its owner has published another, take it out of {record.path}"
        )
    if not file.has_whole_hash:
        _check_complete(path, file.kind)
    return hashes["sha256"]


class HashRecord:
    """`hashes.json` of a folder: path below it -> sha256, size, and where it came from. Read at each use."""

    def __init__(self, raw: str | Path) -> None:
        self.path = Path(raw) / RECORD

    def entries(self) -> dict[str, dict]:
        """All entries; raises InputError if the file is damaged, as an unread record would accept anything."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path}: cannot be read ({type(error).__name__}); restore it, or remove it to record hashes anew"
            ) from error
        files = data.get("files") if isinstance(data, dict) else None
        good = isinstance(files, dict) and all(
            isinstance(e, dict) and isinstance(e.get("sha256"), str) and len(e["sha256"]) == 64 for e in files.values()
        )
        if not good or data.get("format") != 1:
            raise InputError(f"{self.path}: is not a record of hashes of format 1; remove it to record hashes anew")
        return files

    def sha256(self, name: str) -> str | None:
        return self.entries().get(name, {}).get("sha256")

    def remove(self, name: str) -> None:
        """Forget a file."""
        entries = self.entries()
        if entries.pop(name, None) is not None:
            self._write(entries)

    def _write(self, entries: dict[str, dict]) -> None:
        write_json(self.path, {"format": 1, "files": dict(sorted(entries.items()))})

    def add(self, name: str, sha256: str, size: int, origin: str) -> None:
        """Remember an accepted file; an equal entry is left as it is."""
        entries = self.entries()
        if entries.get(name, {}).get("sha256") == sha256:
            return
        entries[name] = {"sha256": sha256, "size": size, "from": origin}
        self._write(entries)
