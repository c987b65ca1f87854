"""Published weight files: verified by hash, read without pickle's code execution, never downloaded here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from replication.errors import InputError


def read_published_weights(path: str | Path, *, name: str, sha256: str) -> tuple[dict[str, Tensor], str]:
    """Read a published state dict.

    Args:
        path: where the file lies.
        name: the name under which it is published, for messages.
        sha256: its hash or a prefix of it (torchvision's names carry the first 8 digits).

    Returns:
        The state dict on the CPU and the file's whole sha256.

    Raises:
        InputError: no such file, or its hash is another one.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; the published weights {name} are needed here.")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(sha256):
        raise InputError(
            f"{path}: its sha256 begins with {found[:8]}, that of {name} with {sha256[:8]}: "
            "this is another or a damaged file."
        )
    return torch.load(path, map_location="cpu", weights_only=True), found
