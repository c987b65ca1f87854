"""The exceptions that are meant for the user's eyes: one sentence each, printed without a traceback; and its nouns."""


class InputError(ValueError):
    """Something that the user gave (a key, a file, a value) cannot be used.

    The message is one sentence that names the thing and says what is allowed. The command line exits with status 2.
    """


class RunError(RuntimeError):
    """A run failed for a reason that its message tells; nothing is lost. The command line exits with status 1."""


def counted(count: int, noun: str) -> str:
    """A number and its noun (one that takes an s): "1 photo", "28,000 photos"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
