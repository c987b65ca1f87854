"""What the doctor's checks return."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, MISSING = "ok", "note", "MISSING"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is (OK, NOTE or MISSING), in words, and what to do about it."""

    what: str
    state: str
    text: str
    mend: str | None = None
