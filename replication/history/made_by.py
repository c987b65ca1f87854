"""What made a result: profile, data, sizes, seed, code. Carried by every result file."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from replication.config import Parameters

INPUTS_VARIABLE = "REPLICATION_INPUTS"
"""Environment of a stage's notebook: the digest of all inputs of the stage, see `records`."""

COMMIT_VARIABLE = "REPLICATION_COMMIT"
"""The same for the commit at which the stage began."""

CODE = ("replication", "notebooks", "params.yaml", "dvc.yaml", "requirements.txt")


@functools.cache
def code_commit() -> str:
    """The last commit that touched the code or the parameters, with `+changes` if the checkout differs from it.

    Not HEAD: committing the results themselves must not make them out of date.
    """

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    if COMMIT_VARIABLE in os.environ:
        return os.environ[COMMIT_VARIABLE]
    try:
        commit = git("log", "-1", "--format=%h", "--", *CODE)
        changed = git("status", "--porcelain", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return (commit or "none") + ("+changes" if changed else "")


@functools.cache
def source_digest(parts: tuple[str, ...]) -> str:
    """SHA-256 of source files of the package: an edited loss is another run, not one to be resumed.

    Args:
        parts: folders ("losses") and files ("methods/pconv.py") below `replication/`.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for part in parts:
        files = sorted((package / part).glob("*.py")) if (package / part).is_dir() else [package / part]
        for path in files:
            digest.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def stamp(parameters: Parameters, **more: Any) -> dict[str, Any]:
    """The block `made_by` of a result file."""
    return {
        "profile": parameters.profile,
        "comparable": parameters.comparable,
        "note": parameters.note,
        "image_size": parameters.image_size,
        "seed": parameters.seed,
        "commit": code_commit(),
        "inputs": os.environ.get(INPUTS_VARIABLE),
    } | more
