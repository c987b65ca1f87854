"""The one exception that is meant for the user's eyes."""


class InputError(ValueError):
    """Something that the user gave (a key, a file, a value) cannot be used.

    The message is one sentence that names the thing and says what is allowed. The command line
    prints it without a traceback and exits with status 2.
    """
