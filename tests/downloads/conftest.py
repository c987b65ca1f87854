"""A server that errs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from replication.downloads.transfer import _opener

sys.path.insert(0, str(Path(__file__).parent))  # for `import fault_server`


@pytest.fixture(scope="session")
def fault_server():
    """The server of `fault_server.py`, healthy until told otherwise."""
    from fault_server import FaultServer

    server = FaultServer()
    yield server
    server.stop()


@pytest.fixture
def no_proxy(monkeypatch):
    """Requests to the loopback address go there, whatever proxy the machine has."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    _opener.cache_clear()  # it has read the environment


@pytest.fixture
def place(fault_server, no_proxy, tmp_path):
    """A source of one file on the fault server, and how to fetch it; see `download_campaign.py`."""
    from download_campaign import Campaign

    return Campaign(fault_server, tmp_path)
