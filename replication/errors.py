"""The exceptions that are meant for the user's eyes: one sentence each, printed without a traceback."""


class InputError(ValueError):
    """Something that the user gave (a key, a file, a value) cannot be used.

    The message is one sentence that names the thing and says what is allowed. The command line exits with status 2.
    """


class RunError(RuntimeError):
    """A run failed for a reason that its message tells; nothing is lost. The command line exits with status 1."""
