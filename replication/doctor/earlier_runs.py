"""What the doctor says of earlier trainings, finished or to be gone on with, and of notebooks that failed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import paths
from replication.doctor.findings import NOTE, OK, Finding
from replication.errors import counted
from replication.settings import plain
from replication.training.checkpoint import first_differences

if TYPE_CHECKING:
    from replication.config import Parameters


def earlier_runs(parameters: Parameters) -> Iterable[Finding]:
    """Trainings in .state, and failed notebooks."""
    newest: dict[Path, int] = {}
    for manifest in paths.STATE.rglob("step-*.json"):
        digits = manifest.stem.removeprefix("step-")
        if digits.isdecimal():
            newest[manifest.parent] = max(newest.get(manifest.parent, 0), int(digits))
    finished, others, resumable, ended, begun = 0, 0, [], {}, set()
    for folder, step in sorted(newest.items()):
        name = folder.parent.relative_to(paths.STATE)
        try:
            config = json.loads((folder / "config.json").read_bytes())
            steps, differing = config["fit"]["steps"], _differences(parameters, name, config)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            steps, differing = None, []
        if differing == []:
            begun.add(name)
        if differing != []:
            others += 1
            if differing and step >= steps:
                ended[name] = differing
        elif steps is not None and step >= steps:
            finished += 1
        else:
            resumable.append(f"{name.as_posix()} at step {step:,} of {steps if steps is None else format(steps, ',')}")
    if not newest:
        yield Finding("earlier run", OK, "none: everything begins anew")
    else:
        text = f"{counted(finished, 'finished training')} in .state"
        if resumable:
            text += f"; to go on with: {', '.join(resumable[:4])}" + (" ..." if len(resumable) > 4 else "")
        if others:
            text += f"; {others} of another size or other settings, which this profile does not go on with"
        yield Finding("earlier run", OK, text)
    anew = [f"{name.as_posix()} ({'; '.join(why)})" for name, why in ended.items() if name not in begun]
    if anew:
        text = f"finished, and would begin from zero with what is changed: {', '.join(anew[:4])}"
        mend = "nothing, or take the change back; the earlier weights are kept until the new ones are stored"
        yield Finding("earlier run", NOTE, text + (f" and {len(anew) - 4} more" if len(anew) > 4 else ""), mend)
    failed = sorted(Path("reports/failed").rglob("*.ipynb"))
    if failed:
        yield Finding(
            "earlier run", NOTE, f"{failed[0]} failed ({len(failed)} such)", "read it; `make repro` retries it"
        )


def _differences(parameters: Parameters, name: Path, config: dict[str, Any]) -> list[str] | None:
    """How an earlier training of this name (run/part/seed_k) differs from that of this profile, in image size and
    settings: in words, none if in nothing; None where the profile has no such training. Its data and code are not
    looked at."""
    run, part, *_ = name.parts
    if run not in parameters.run_names():
        return None
    method, dataset = parameters.method_of(run), parameters.run(run).dataset
    size = parameters.image_size if dataset is None else parameters.image_size_of(dataset)
    parts = {one.name: one for one in method.run_parts}
    if part not in parts:
        return None
    settings = plain(parameters.settings_of(run))
    ours = {"image_size": size, "settings": {key: settings[key] for key in parts[part].settings or settings}}
    return first_differences(ours, {key: config.get(key) for key in ours})
