"""What a profile needs and whether it is here: `python -m replication doctor`.

Every check returns findings, one line each, with the sentence or command that mends what is missing. Nothing is
downloaded or trained, and nothing written but in a temporary folder. The checks work on a machine with nothing: no
data, no git, no DVC, no GPU, even without the packages; so everything heavier than the standard library is imported
where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from replication.doctor import machine
from replication.doctor.findings import MISSING, NOTE, OK, Finding
from replication.errors import InputError

if TYPE_CHECKING:
    from replication.config import Parameters
    from replication.doctor.amounts import Images


def doctor(profile: str | None = None, *, quick: bool = False) -> tuple[str, int]:
    """Look at everything that a profile needs, in the current folder.

    Args:
        profile: a packaged profile; None for the active params.yaml (without one: `demo`, as `make repro` takes).
        quick: do not measure how fast this machine is.

    Returns:
        The report, and an exit code: 0 if the profile can run, 1 if something is missing.

    Raises:
        InputError: no such profile, or a params.yaml that cannot be used.
    """
    findings = _guarded("python", machine.python) + _guarded("packages", machine.packages)
    try:
        parameters, more = _parameters(profile)
    except ImportError as error:
        text = f"the parameters cannot be read without {error.name or error}; nothing else was looked at"
        return report("", [*findings, Finding("profile", MISSING, text, machine.INSTALL)])
    findings += more
    findings += _guarded("consent", _check("data_sets", "consent"), parameters)
    findings += _guarded("device", machine.device, parameters)
    findings += _guarded("notebooks", machine.kernel)
    findings += _guarded("git, DVC", machine.repository)
    images: dict[str, Images] = {}
    for name in parameters.data:
        findings += _guarded(f"data.{name}", _check("data_sets", "faces"), parameters, name, images)
    findings += _guarded("masks", _check("data_sets", "masks"), parameters)
    findings += _guarded("weights", _check("weights", "weights"), parameters)
    findings += _guarded("disk", _disk, parameters, images)
    findings += _guarded("earlier run", _check("earlier_runs", "earlier_runs"), parameters)
    if quick:
        findings.append(Finding("time", OK, "not measured (--quick)"))
    else:
        findings += _guarded("time", _time, parameters, images)
    return report(f"Profile {parameters.profile}: {parameters.note}", findings)


def report(title: str, findings: list[Finding]) -> tuple[str, int]:
    """The lines, aligned, and the exit code."""
    missing = [f for f in findings if f.state == MISSING]
    width = max(len(f.what) for f in findings)
    lines = [title, ""] if title else []
    for finding in findings:
        first, *rest = finding.text.splitlines()
        lines.append(f"{finding.state:<7}  {finding.what:<{width}}  {first}")
        indent = " " * (9 + width + 2)
        lines += [f"{indent}{line}" for line in rest]
        if finding.mend:
            lines.append(f"{indent}-> {finding.mend}")
    if missing:
        lines += ["", f"{len(missing)} of these must be mended before the profile can run."]
    else:
        lines += ["", "Everything that the profile needs is here."]
    return "\n".join(lines) + "\n", 1 if missing else 0


def _check(module: str, function: str) -> Callable[..., Iterable[Finding]]:
    """A check that is imported when it is made, so that a missing package is told by it and ends no other."""

    def check(*arguments) -> Iterable[Finding]:
        return getattr(import_module(f"replication.doctor.{module}"), function)(*arguments)

    return check


def _guarded(what: str, check: Callable[..., Iterable[Finding]], *arguments) -> list[Finding]:
    """The findings of a check; one that cannot be made says so instead of ending the others."""
    try:
        return list(check(*arguments))
    except InputError as error:
        return [Finding(what, MISSING, str(error))]
    except ImportError as error:
        return [Finding(what, NOTE, f"not looked at: {error.name or error} cannot be imported")]
    except Exception as error:  # a doctor that dies of what it finds is of no use
        text = (str(error).splitlines() or [""])[0]
        return [Finding(what, NOTE, f"could not be looked at ({type(error).__name__}: {text})")]


def _parameters(profile: str | None) -> tuple[Parameters, list[Finding]]:
    from replication.config import hint, load_parameters
    from replication.profile_files import load_profile, profile_names

    if profile is not None and profile not in profile_names():
        raise InputError(f"profile {profile!r} does not exist{hint(profile, profile_names())}")
    findings = []
    if profile is None and not Path("params.yaml").is_file():
        profile = "demo"
        text = "there is no params.yaml here; what follows is for the profile demo"
        findings.append(Finding("profile", MISSING, text, "python -m replication profile demo"))
    elif profile is not None and Path("params.yaml").is_file():
        try:
            active = load_parameters().profile
        except InputError as error:
            active = f"unusable ({error})"
        if active != profile:
            mend = f"python -m replication profile {profile}"
            findings.append(Finding("profile", NOTE, f"params.yaml is {active}; {profile} is not active", mend))
    if not Path("dvc.yaml").is_file():
        text = "there is no dvc.yaml here: this is not the root of a checkout"
        findings.append(Finding("checkout", MISSING, text, "run this in the folder of the checkout that has dvc.yaml"))
    return load_parameters() if profile is None else load_profile(profile), findings


def _whole(parameters: Parameters, images: dict[str, Images]) -> dict[str, Images]:
    """What every data set will hold, guessed where it is not here."""
    from replication.doctor.data_sets import assumed

    return {name: images.get(name) or assumed(parameters, name) for name in parameters.data}


def _disk(parameters: Parameters, images: dict[str, Images]) -> Iterable[Finding]:
    from replication.doctor.disk_space import disk

    return disk(parameters, _whole(parameters, images))


def _time(parameters: Parameters, images: dict[str, Images]) -> Iterable[Finding]:
    from replication.doctor.amounts import stage_count
    from replication.doctor.run_time import duration, estimate
    from replication.doctor.timed_steps import TimedSteps
    from replication.processors import usable_processors

    images, timed, notes = _whole(parameters, images), TimedSteps(parameters), []
    try:
        stages = stage_count(parameters)
    except InputError as error:
        stages, notes = 0, [f"notebooks and reports are not counted: {error}"]
    all_of_it = estimate(parameters, images, timed.timings(), stages=stages, workers=usable_processors())
    total = sum(work.seconds for work in all_of_it)
    lines = [f"an estimate: about {duration(total)} from nothing on {timed.device}, made of"]
    for work in sorted(all_of_it, key=lambda work: -work.seconds):
        lines.append(f"{duration(work.seconds):>9}  {work.name}: {work.amount}")
    lines += ["measured just now in a few steps with random weights on random images; other work here inflates it"]
    lines += [*timed.notes, *notes]
    if assumed := [name for name, n in images.items() if n.assumed]:
        lines.append(f"the numbers of images are assumed for {', '.join(assumed)}")
    yield Finding("time", OK, "\n".join(lines))
