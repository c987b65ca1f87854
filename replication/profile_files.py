"""Profiles: the shared file of each in `profiles/`, and every system's own block of it, put together as one text."""

from __future__ import annotations

import json
import re
from pathlib import Path

from replication.atomic import atomic_file, write_text
from replication.config import Parameters, parameters_model, parameters_of
from replication.errors import InputError
from replication.methods.registry import file_of, methods
from replication.settings import hint, json_schema
from replication.yaml_files import parse_yaml

PROFILES = Path(__file__).parent / "profiles"
SCHEMA = PROFILES / "params.schema.json"
SCHEMA_LINE = "# yaml-language-server: $schema=replication/profiles/params.schema.json"


def profile_names() -> list[str]:
    """All profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def profile_text(name: str) -> str:
    """A whole params.yaml with its comments.

    Raises:
        InputError: no such profile, or a system has no block for it.
    """
    if name not in profile_names():
        raise InputError(f"profile {name!r} does not exist{hint(name, profile_names())}")
    shared = (PROFILES / f"{name}.yaml").read_text(encoding="utf-8")
    settings, runs = [], []
    for one in methods().values():
        block = _block(file_of(one.name, "profiles.yaml"), name)
        settings += _section(one.name, f"  # {one.title}", block["settings"])
        runs += _section(one.name, "", block["runs"])
    parts = [
        SCHEMA_LINE,
        shared.rstrip(),
        "",
        "methods:                   # settings of each system; a run's `change` overrides them",
        *settings,
        "",
        "runs:                      # runs.SYSTEM.NAME: one kind of network to train, and how it is measured",
        *runs,
    ]
    return "\n".join(parts) + "\n"


def load_profile(name: str) -> Parameters:
    """A packaged profile, checked; InputError if there is none."""
    return parameters_of(parse_yaml(profile_text(name), f"the profile {name}"), f"the profile {name}")


def _section(name: str, comment: str, lines: list[str]) -> list[str]:
    """A system's lines below its name; " {}", which stands for none, goes on the name's line."""
    if lines and lines[0].startswith(" {}"):
        own = "" if "#" in lines[0] else comment
        return [f"  {name}:{lines[0]}{own}", *lines[1:]]
    return [f"  {name}:{comment}", *lines]


def _block(path: Path, profile: str) -> dict[str, list[str]]:
    """The lines of `settings` and `runs` of one profile in a system's profiles.yaml, indented as in params.yaml.

    Taken as text, since a reader of YAML would lose the comments.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; every system has its block of each profile there")
    found: dict[str, list[str]] = {}
    here, section = None, None
    for line in path.read_text(encoding="utf-8").splitlines():
        if top := re.match(r"(\w+):\s*(#.*)?$", line):
            here, section = top[1], None
        elif here == profile and (second := re.match(r"  (settings|runs):(\s*\{\}.*)?\s*(#.*)?$", line)):
            section = second[1]
            found[section] = [second[2].rstrip()] if second[2] else []
        elif here == profile and section and line.strip():
            found[section].append(line)
    for wanted in ("settings", "runs"):
        if wanted not in found:
            raise InputError(f"{path}: has no `{wanted}` for the profile {profile}")
    return found


def activate_profile(name: str, path: str | Path = "params.yaml") -> bool:
    """Make a packaged profile the active `params.yaml`; true if the file changed.

    A params.yaml with changes of its own is kept beside it as `params.edited.yaml` (`-2`, `-3` ...): nothing typed
    is lost.

    Raises:
        InputError: no such profile.
    """
    text = profile_text(name)
    load_profile(name)
    path = Path(path)
    if path.is_file():
        before = path.read_bytes()  # what somebody typed need not be UTF-8
        if before == text.encode():
            return False
        if before not in [profile_text(other).encode() for other in profile_names()]:
            kept, number = path.with_name("params.edited.yaml"), 1
            while kept.is_file() and kept.read_bytes() != before:
                number += 1
                kept = path.with_name(f"params.edited-{number}.yaml")
            with atomic_file(kept) as temporary:
                temporary.write_bytes(before)
    write_text(path, text)
    return True


def schema_text() -> str:
    """The JSON schema of params.yaml with the settings of every system, by which editors complete and check it."""
    return json.dumps(json_schema(parameters_model(), "params.yaml"), indent=1, ensure_ascii=False) + "\n"


def write_schema() -> bool:
    """Write the schema beside the profiles; true if the file changed."""
    text = schema_text()
    if SCHEMA.is_file() and SCHEMA.read_text(encoding="utf-8") == text:
        return False
    write_text(SCHEMA, text)
    return True
