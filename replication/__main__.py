"""`python -m replication VERB ...`: everything that the notebooks do, for clusters, scripts and torchrun."""

from __future__ import annotations

import errno
import logging
import os
import sys

from replication import verbs
from replication.command_line import parser
from replication.errors import InputError, RunError


def main(argv: list[str] | None = None) -> int:
    """Run one verb; its exit code.

    0 on success, 1 when it failed, `diff` found a result that got worse or `doctor` something missing, 2 with one
    sentence for an input that cannot be used, 130 when interrupted.
    """
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("papermill").setLevel(logging.WARNING)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        code = getattr(verbs, arguments.verb.replace("-", "_"))(arguments)
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            f"error: no space left on the disk ({error.filename or 'while writing'}); nothing is lost", file=sys.stderr
        )
        return 1
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "replication").startswith("replication"):
            raise
        print(
            f"error: the package {error.name} is not in this environment; use the project's: `make install`, then "
            "`. .venv/bin/activate`",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt as error:
        print(f"interrupted: {error}" if str(error) else "interrupted", file=sys.stderr)
        return 130
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
