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

    Not HEAD: committing the results themselves must not make them out of date. Without an answer of git "unknown: "
    and git's own reason, such as another owner of the folder.
    """

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    if COMMIT_VARIABLE in os.environ:
        return os.environ[COMMIT_VARIABLE]
    try:
        commit = git("log", "-1", "--format=%h", "--", *CODE)
        changed = git("status", "--porcelain", "--", *CODE)
    except OSError:
        return "unknown: git is not installed"
    except subprocess.CalledProcessError as error:
        return f"unknown: git says: {git_reason(error.stderr)}"
    return (commit or "none") + ("+changes" if changed else "")


def refusal() -> str | None:
    """Why git does not answer in the current folder, in its own words; None if it does."""
    run = subprocess.run(["git", "rev-parse", "--git-dir"], capture_output=True, text=True)
    return git_reason(run.stderr) if run.returncode else None


def git_reason(stderr: str | bytes) -> str:
    """Why git refused, in its own words: one line, with the command that it proposes for a folder of another owner."""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "nothing")
    mend = next((f"; `{line}` allows it" for line in lines if line.startswith("git config ")), "")
    return first.removeprefix("fatal: ").removeprefix("error: ") + mend
