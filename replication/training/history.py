"""The scalars of a run, a line per recorded step, that outlive a crash at any point."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path

from replication.atomic import write_text
from replication.errors import InputError

CLOCKS = ("step", "images_seen", "seconds")
"""The first columns. `seconds` is wall-clock time, the one column in which two equal runs differ."""


class History:
    """A JSONL file that is only appended to.

    Each line is an object with `step` (steps done), `images_seen`, `seconds` (of training, over all resumed
    parts) and the scalars. A line that was half-written when the process died has no line end and is ignored.

    Args:
        path: the file; made if absent.
        keep_until: the step of the checkpoint from which the run goes on: later lines are cut off, because
            those steps are done again. 0 starts an empty history.
    """

    def __init__(self, path: str | Path, keep_until: int):
        self.path = Path(path)
        kept = b"".join(_line(row) for row in read(self.path) if row["step"] <= keep_until)
        # Unbuffered: a line that a full disk refused must not be tried again when the file is closed.
        self._file = self.path.open("r+b" if self.path.exists() else "w+b", buffering=0)
        # The kept part is a prefix of the file; cutting is one call and so whole or not done.
        if self._file.read(len(kept)) != kept:
            self._file.seek(0)
            self._file.write(kept)
        self._file.truncate(len(kept))
        self.rows = kept.count(b"\n")

    def append(self, step: int, images_seen: int, seconds: float, scalars: dict[str, float]) -> None:
        """Write one line and hand it to the system; a value that is not finite is written as null.

        Raises:
            InputError: the line could not be written (full disk).
        """
        row = {"step": step, "images_seen": images_seen, "seconds": round(seconds, 3)}
        # JSON has no word for NaN. Null is read by everything, and an empty cell in the CSV is a gap in the curve.
        row |= {name: value if math.isfinite(value) else None for name, value in scalars.items()}
        line = _line(row)
        try:
            whole = self._file.write(line) == len(line)
            reason = "only part of a line fitted"
        except OSError as error:
            whole, reason = False, error.strerror
        if not whole:
            raise InputError(
                f"{self.path} could not be written at step {step} ({reason}); the checkpoints are intact: "
                "free some space and run the same command again"
            )
        self.rows += 1

    def sync(self) -> None:
        """Force the lines to the disk: before a checkpoint that counts on them."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _line(row: dict) -> bytes:
    return (json.dumps(row, allow_nan=False) + "\n").encode()


def read(path: str | Path) -> list[dict]:
    """The whole lines of a history; an absent file has none. A damaged line ends it."""
    # What follows a damaged line is not read either, so that the rows are always an unbroken beginning of the run.
    rows: list[dict] = []
    path = Path(path)
    if not path.exists():
        return rows
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        rows.append(row)
    return rows


def to_csv(history: str | Path, path: str | Path) -> None:
    """Write a JSONL history as CSV: step, images_seen, a column per scalar; empty = not recorded.

    Without `seconds`, so that two equal runs leave equal files.
    """
    rows = read(history)
    # From all rows: a term that begins or ends in mid-run has a column too.
    columns = [c for c in dict.fromkeys([*CLOCKS, *(name for row in rows for name in row)]) if c != "seconds"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())
