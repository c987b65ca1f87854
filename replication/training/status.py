"""What a run says while it trains: one line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import torch

from replication.device import peak_memory_mb


class Status:
    """Prints a line when `every_s` seconds have passed: rewritten in place on a terminal, appended elsewhere.

    Args:
        name: of the run.
        steps: of the whole run.
        every_s: seconds between lines.
        device: whose peak memory is shown beside the process's own.
        speak: False for ranks that have nothing to say.
    """

    def __init__(self, name: str, steps: int, every_s: float, device: torch.device, speak: bool = True):
        self.name, self.steps, self.every_s, self.device, self.speak = name, steps, every_s, device, speak
        self._in_place = sys.stdout.isatty()
        self._open_line = False
        self._at, self._step, self._waited = time.perf_counter(), None, 0.0

    def start(self, step: int) -> None:
        """Count speed from here."""
        self._at, self._step, self._waited = time.perf_counter(), step, 0.0

    def due(self) -> bool:
        return self.speak and time.perf_counter() - self._at >= self.every_s

    def show(self, step: int, images_seen: int, scalars: Mapping[str, float], waited: float) -> None:
        """Print step, images, speed, memory, time left and scalars.

        Args:
            step: steps done.
            images_seen: images of all ranks.
            scalars: the latest.
            waited: seconds spent waiting for batches since the start.
        """
        # Speed and waiting are of the time since the last line, so that a slow start or a busy hour shows where it
        # was and does not distort all lines after it.
        now = time.perf_counter()
        took, steps = now - self._at, step - (self._step or 0)
        pace = took / max(steps, 1)
        parts = [
            f"{self.name}: step {step}/{self.steps}",
            f"{images_seen} images",
            f"{images_seen / max(step, 1) / pace:.1f} images/s",  # images of a step, over seconds of a step
            f"{100 * (waited - self._waited) / took:.0f} % waiting for data",
            memory(self.device),
            f"{duration((self.steps - step) * pace)} left",
        ]
        line = ", ".join(parts) + " | " + " ".join(f"{k} {v:.4g}" for k, v in scalars.items())
        if self._in_place:
            print(f"\r\033[K{line}", end="", flush=True)  # back to the left edge, and clear the line before
            self._open_line = True
        else:
            print(line, flush=True)
        self._at, self._step, self._waited = now, step, waited

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        if self.speak:
            print(("\n" if self._open_line else "") + sentence, flush=True)
            self._open_line = False


def memory(device: torch.device) -> str:
    """Peak memory in words: of this process, and of its GPU."""
    text = f"{peak_memory_mb(torch.device('cpu')):.0f} MB"
    return f"{text} + {peak_memory_mb(device):.0f} MB on the GPU" if device.type == "cuda" else text


def duration(seconds: float) -> str:
    """Seconds for a reader: "42 s", "12 min", "3 h 05 min", "2 d 04 h"."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"
