"""What made a result: profile, data, sizes, seed, code. Carried by every result file."""

from __future__ import annotations

import functools
import subprocess
from typing import Any

from replication.config import Parameters

CODE = ("replication", "notebooks", "params.yaml", "dvc.yaml", "requirements.txt")


@functools.cache
def code_commit() -> str:
    """The last commit that touched the code or the parameters, with `+changes` if the checkout differs from it.

    Not HEAD: committing the results themselves must not make them out of date.
    """

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        commit = git("log", "-1", "--format=%h", "--", *CODE)
        changed = git("status", "--porcelain", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return (commit or "none") + ("+changes" if changed else "")


def stamp(parameters: Parameters, **more: Any) -> dict[str, Any]:
    """The block `made_by` of a result file."""
    return {
        "profile": parameters.profile,
        "comparable": parameters.comparable,
        "note": parameters.note,
        "image_size": parameters.image_size,
        "seed": parameters.seed,
        "commit": code_commit(),
    } | more
