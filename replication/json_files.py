"""Reading a JSON file that must hold an object; what is wrong with one is a sentence that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from replication.errors import InputError


def read_object(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        InputError: the file is not JSON, or holds no object.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object, found {type(content).__name__}.")
    return content
