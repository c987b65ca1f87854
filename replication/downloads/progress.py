"""One line of progress on stderr: done, of how much, how fast, how long still."""

from __future__ import annotations

import sys
import time
from typing import TextIO


def size_text(count: float) -> str:
    """Bytes in decimal units with three digits: 950 B, 1.44 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            return (
                f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}" if count < 1000 else f"{count:,.0f} {unit}"
            )
        count /= 1000
    raise AssertionError


def time_text(seconds: float) -> str:
    """40 s, 5 min, 3 h 20 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


class Progress:
    """Shows how far one piece of work is.

    A terminal gets one line that is written over twice a second, anything else a line every 30 seconds. `begun` is
    what was there before this process started, so that it does not count as speed. total: None if unknown.
    """

    def __init__(self, name: str, total: int | None, *, begun: int = 0, unit: str = "B", stream: TextIO | None = None):
        self.name, self.total, self.begun, self.unit = name, total, begun, unit
        self.stream = stream if stream is not None else sys.stderr
        self.terminal = self.stream.isatty()
        self.started = time.monotonic()
        # Short work stays silent where lines cannot be written over.
        self.shown = self.started if not self.terminal else self.started - 1
        self.width = 0

    def _amount(self, count: float) -> str:
        return size_text(count) if self.unit == "B" else f"{count:,.0f} {self.unit}"

    def text(self, done: int) -> str:
        """The line for `done` of `total`."""
        seconds = time.monotonic() - self.started
        rate = (done - self.begun) / seconds if seconds > 0 else 0.0
        line = f"{self.name}: {self._amount(done)}"
        if self.total:
            line += f" of {self._amount(self.total)} ({done / self.total:.0%})"
        if rate > 0:
            line += f", {self._amount(rate)}/s"
            if self.total and self.total > done:
                line += f", {time_text((self.total - done) / rate)} left"
        return line

    def show(self, done: int) -> None:
        """Show the line if it is time to."""
        now = time.monotonic()
        if now - self.shown < (0.5 if self.terminal else 30):
            return
        self.shown = now
        line = self.text(done)
        if self.terminal:
            self.stream.write("\r" + line.ljust(self.width))
            self.width = len(line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def end(self) -> None:
        """Clear the line of a terminal."""
        if self.terminal and self.width:
            self.stream.write("\r" + " " * self.width + "\r")
            self.stream.flush()
