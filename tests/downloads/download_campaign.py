"""The campaign's tools: one small file on the fault server, and what must hold after every fault."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

import pytest

from replication.downloads import file_checks
from replication.downloads.download import download
from replication.downloads.sources import Place, RemoteFile, Source
from replication.downloads.transfer import Patience
from replication.errors import InputError

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.02, timeout_s=0.5, least_bytes=64)
NAME = "weights/net.pth"


def archive(seed: int, length: int = 3000) -> bytes:
    """A torch file's shell: a zip of one stored member of noise; of equal length for every seed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(zipfile.ZipInfo("net/data"), random.Random(seed).randbytes(length))
    return out.getvalue()


TRUTH, OTHER = archive(0), archive(1)


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
