"""A download that is killed at a named point: nothing partial is taken for whole, and the next run completes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_archives import GOOD, make_zip

from replication.downloads.archives import CARD

CONTENT = make_zip({**GOOD, "set/filling": bytes(range(256)) * 4000}, method=0)


def ends_at_rename(name: str, *, done: bool) -> str:
    """Statements that end the process at the rename to a name that ends so, before it or once it is done."""
    return f"""
real = os.replace
def replace(a, b):
    if str(b).endswith({name!r}):
        if {done}:
            real(a, b)
        os._exit(9)
    real(a, b)
os.replace = replace"""


# Point -> statements that make the process end there at once, as if the power went; `raw` is data/raw.
POINTS = {
    "before the first byte": "transfer.PartialFile.write = lambda part, block: os._exit(9)",
    "after the card, before the first byte": """
real = transfer.write_json
def write_json(*arguments):
    real(*arguments)
    os._exit(9)
transfer.write_json = write_json""",
    "mid-write": """
real = os.write
def write(descriptor, view):
    real(descriptor, view[: len(view) // 3])
    os._exit(9)
transfer.os.write = write""",
    "after the second block": """
real, blocks = transfer.PartialFile.write, []
def write(part, block):
    real(part, block)
    blocks.append(block)
    if len(blocks) == 2:
        os._exit(9)
transfer.PartialFile.write = write""",
    "before the check": "download.check_file = lambda *arguments: os._exit(9)",
    "before the record": "file_checks.HashRecord.add = lambda *arguments: os._exit(9)",
    "before the rename": ends_at_rename("set.zip", done=False),
    "after the rename": ends_at_rename("set.zip", done=True),
    "before unpacking": "download.unpack_archive = lambda *arguments, **options: os._exit(9)",
    "mid-unpacking": """
real, members = archives._write, []
def write(member, target):
    if members:
        target.write_bytes(b"ha")
        os._exit(9)
    members.append(member)
    real(member, target)
archives._write = write""",
    "before the folder's rename": ends_at_rename("out", done=False),
    "after the folder's rename": ends_at_rename("out", done=True),
    "by a limit of file size": """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))""",
}

SCRIPT = """
import os, sys
from pathlib import Path
from replication.downloads import archives, download, file_checks, transfer
from replication.downloads.sources import Place, RemoteFile, Source, Unpack
os.sync = lambda: None
address, raw = sys.argv[1], Path(sys.argv[2])
file = RemoteFile("archives/set.zip", "zip", None, None, None, (Place("http", address),), Unpack("set/img", "out", 2))
source = Source("set", "data", "a set", "http://home", None, "none", False, "x", None, (file,))
{point}
download.download(["set"], raw, sources={{"set": source}}, say=lambda line: None)
"""


def run(address: str, raw: Path, point: str = "") -> int:
    script = SCRIPT.format(point=point)
    done = subprocess.run([sys.executable, "-c", script, address, str(raw)], capture_output=True, text=True, timeout=60)
    return done.returncode


@pytest.mark.parametrize("name", POINTS)
def test_killed(fault_server, no_proxy, tmp_path, name):
    fault_server.reset(CONTENT)
    raw = tmp_path / "raw"
    code = run(fault_server.base + "/set.zip", raw, POINTS[name])
    assert code == (1 if "limit" in name else 9)
    target, folder = raw / "archives/set.zip", raw / "out"
    assert not target.exists() or target.read_bytes() == CONTENT
    assert not folder.exists() or {p.name for p in folder.iterdir()} == {CARD, "0.png", "1.png"}
    asked = len(fault_server.requests)
    assert run(fault_server.base + "/set.zip", raw) == 0
    assert (folder / "0.png").read_bytes() == GOOD["set/img/0.png"]
    assert {p.name for p in raw.iterdir()} == {"archives", "out", "hashes.json", ".download.lock"}
    assert {p.name for p in target.parent.iterdir()} == {"set.zip"} and target.read_bytes() == CONTENT
    entry = json.loads((raw / "hashes.json").read_text())["files"]["archives/set.zip"]
    assert entry["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    again = [headers.get("range") for _, headers in fault_server.requests[asked:]]
    if name in ("mid-write", "after the second block", "by a limit of file size"):
        assert len(again) == 1 and again[0] is not None, "resumed"
    elif name in ("before the first byte", "after the card, before the first byte"):
        assert again == [None]
    else:
        assert again == [], "what was complete is not asked for again"
