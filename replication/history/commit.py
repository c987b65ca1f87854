"""The commit of the code that runs, for records: it stands in no result, since a result does not depend on it."""

from __future__ import annotations

import functools
import os
import subprocess

COMMIT_VARIABLE = "REPLICATION_COMMIT"
"""Environment of a stage's notebook: the commit at which the stage began."""

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
