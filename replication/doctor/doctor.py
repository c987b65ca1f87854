"""What a profile needs and whether it is here: `python -m replication doctor`.

Every check returns findings, one line each, with the sentence or command that mends what is missing. Nothing is
written, downloaded or trained. The checks work on a machine with nothing: no data, no git, no DVC, no GPU, even without
the packages; so everything heavier than the standard library is imported where it is used.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.errors import InputError, counted

if TYPE_CHECKING:
    from replication.config import Parameters
    from replication.doctor.run_time import Images

OK, NOTE, MISSING = "ok", "note", "MISSING"
ROLES = ("celebahq", "ffhq", "parsing", "attributes")
PAPER_IMAGES = {"celebahq": (28_000, 2_000), "ffhq": (68_000, 2_000)}
"""Faces of the papers' own sets, for estimates while they are not there."""
SOME_PHOTOS = (1_000, 100)
"""What a folder of the user's own is taken to hold while it is not there."""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is (OK, NOTE or MISSING), in words, and what to do about it."""

    what: str
    state: str
    text: str
    mend: str | None = None


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
    from replication.doctor import machine

    findings = _guarded("python", machine.python) + _guarded("packages", machine.packages)
    try:
        parameters, more = _parameters(profile)
    except ImportError as error:
        text = f"the parameters cannot be read without {error.name or error}; nothing else was looked at"
        return report("", [*findings, Finding("profile", MISSING, text, machine.INSTALL)])
    findings += more
    findings += _guarded("consent", _consent, parameters)
    findings += _guarded("device", machine.device, parameters)
    findings += _guarded("notebooks", machine.kernel)
    findings += _guarded("git, DVC", machine.repository)
    images: dict[str, Images] = {}
    for role in ROLES:
        findings += _guarded(f"data.{role}", _faces, parameters, role, images)
    findings += _guarded("masks", _masks, parameters)
    findings += _guarded("weights", _weights, parameters)
    images = {role: images.get(role) or _assumed(parameters, role) for role in ROLES}
    findings += _guarded("disk", _disk, parameters, images)
    findings += _guarded("earlier run", _earlier_run, parameters)
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
    from replication.config import PROFILES, hint, load_parameters, profile_names

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
    return load_parameters("params.yaml" if profile is None else PROFILES / f"{profile}.yaml"), findings


def _assumed(parameters: Parameters, role: str) -> Images:
    from replication.doctor.run_time import Images

    data = getattr(parameters.data, role)
    if data.source == "drawn":
        return Images(data.train, data.test)
    known = PAPER_IMAGES.get(role, SOME_PHOTOS) if parameters.comparable else SOME_PHOTOS
    limits = (data.train, data.test)
    counts = (n if most is None else min(n, most) for n, most in zip(known, limits, strict=True))
    return Images(*counts, assumed=True)


def _faces(parameters: Parameters, role: str, images: dict[str, Images]) -> Iterable[Finding]:
    """The set of one role; puts what it will hold into `images`."""
    from replication.doctor.run_time import Images

    data, what = getattr(parameters.data, role), f"data.{role}"
    if data.source == "drawn":
        images[role] = Images(data.train, data.test)
        yield Finding(what, OK, f"{data.train:,} + {data.test:,} faces, drawn here")
        return
    from replication.data.photo_listing import find_photos
    from replication.stages.data import LEAST

    folder = Path(data.folder)
    if not folder.is_dir():
        text, mend = f"{data.title}: the folder {folder} does not exist", "put or link the photos there"
        wanted = [folder]
        if data.table is not None and not Path(data.table).is_file():
            text, mend = f"{text}, nor its table {data.table}", "put or link both there"
            wanted.append(data.table)
        yield Finding(what, MISSING, text, f"{_download(parameters, *wanted)}{mend}, or name their place in {what}")
        return
    try:
        found = find_photos(folder)
    except InputError as error:
        yield Finding(what, MISSING, str(error), f"put the photos there, or name their folder in {what}.folder")
        return
    text = f"{counted(len(found), 'photo')} in {folder}"
    share = data.test_fraction
    test = min(max(1, round(len(found) * share)), len(found) - 1)
    counts = {"train": len(found) - test, "test": test}
    chosen = list(found)
    if data.table is not None:
        from replication.data.photo_table import read_photo_table
        from replication.data.photos import match_table

        try:
            table = read_photo_table(data.table)
            chosen = match_table(found, table, folder)
        except InputError as error:
            fetch = "" if Path(data.table).is_file() else _download(parameters, data.table)
            yield Finding(what, MISSING, str(error), f"{fetch}mend the table, or name another in {what}.table")
            return
        if table.splits is not None:
            splits = list(table.splits.values())
            counts = {split: splits.count(split) for split in ("train", "test")}
        else:
            test = min(max(1, round(len(chosen) * share)), len(chosen) - 1)
            counts = {"train": len(chosen) - test, "test": test}
        has = [n for n, there in (("identities", table.identities), ("landmarks", table.points)) if there is not None]
        if n := table.attributes.shape[1]:
            has.append(counted(n, "attribute"))
        text += f", {len(chosen):,} of them in {data.table}" + (f" with {', '.join(has)}" if has else "")
    for split, most in (("train", data.train), ("test", data.test)):
        counts[split] = counts[split] if most is None else min(counts[split], most)
    images[role] = Images(counts["train"], counts["test"])
    text += f": {counts['train']:,} + {counts['test']:,}"
    least = LEAST if role in ("celebahq", "ffhq") else {"train": 1, "test": 1}
    if any(counts[split] < needed for split, needed in least.items()):
        yield Finding(what, MISSING, f"{text}, too few for training and testing", "add photos, or change the split")
        return
    if data.parsing_folder is not None:
        from replication.data.photos import find_parsing

        try:
            find_parsing(Path(data.parsing_folder), chosen)
        except InputError as error:
            fetch = "" if Path(data.parsing_folder).is_dir() else _download(parameters, data.parsing_folder)
            yield Finding(what, MISSING, str(error), f"{fetch}mend it, or set {what}.parsing_folder to null")
            return
        text += f", with parsing maps in {data.parsing_folder}"
    elif role == "parsing" and parameters.parser.source == "train":
        mend = "name their folder in data.parsing.parsing_folder, or set data.parsing.source: drawn"
        yield Finding(what, MISSING, f"{text}, but no parsing maps to train the parser on", mend)
        return
    yield Finding(what, OK, text)


def _download(parameters: Parameters, *wanted: str | Path) -> str:
    """The command that fetches what these paths are meant to hold, with an "or" behind it; empty if nothing known does.

    For a data set whose terms nobody has accepted yet, the command begins with where to say so.
    """
    from replication import paths
    from replication.downloads.sources import load_sources, sources_of

    sources = load_sources()
    names = sources_of([str(path) for path in wanted], paths.RAW, sources)
    if not names:
        return ""
    terms = [name for name in names if sources[name].consent and name not in parameters.consent]
    first = f"list {', '.join(terms)} under `consent` in params.yaml if you accept the terms, then " if terms else ""
    return f"{first}python -m replication download {' '.join(names)}, or "


def _consent(parameters: Parameters) -> Iterable[Finding]:
    """Nothing, unless `consent` names what is no source: `download` would refuse it."""
    from replication.downloads.sources import check_consent, load_sources

    try:
        check_consent(parameters.consent, load_sources())
    except InputError as error:
        yield Finding("consent", MISSING, str(error), "python -m replication sources lists the names")


def _masks(parameters: Parameters) -> Iterable[Finding]:
    masks = parameters.masks
    if masks.source == "drawn":
        yield Finding("masks", OK, f"{masks.train:,} + 3 x {masks.test_per_bucket:,}, drawn here")
        return
    from replication.data.nvidia_masks import mask_files

    for key, folder in (("test_folder", masks.test_folder), ("train_folder", masks.train_folder)):
        what = f"masks.{key}"
        if folder is None:
            yield Finding(what, NOTE, "none: test masks not used for testing become the training masks")
            continue
        try:
            yield Finding(what, OK, f"{counted(len(mask_files(folder)), 'mask')} in {folder}")
        except InputError as error:
            mend = f"{_download(parameters, folder)}put NVIDIA's masks there, or name their folder in {what}"
            yield Finding(what, MISSING, str(error), mend)


def _weights(parameters: Parameters) -> Iterable[Finding]:
    from replication import published_weights as known

    p, wanted = parameters, []
    if p.parser.source == "published":
        wanted.append(("parser.weights", p.parser.weights, (known.PARSER,)))
    if p.perceptual.source == "vgg":
        wanted.append(("perceptual.vgg19", p.perceptual.vgg19, (known.VGG19,)))
        wanted.append(("perceptual.vgg16", p.perceptual.vgg16, (known.VGG16,)))
    if p.evaluation.extractor == "inception":
        wanted.append(("evaluation.inception_weights", p.evaluation.inception_weights, (known.INCEPTION,)))
    if p.evaluation.lpips_weights is not None:
        wanted.append(("evaluation.lpips_weights", p.evaluation.lpips_weights, (known.ALEXNET, known.VGG16)))
        if util.find_spec("lpips") is None:
            text = "LPIPS is asked for, and its package is missing"
            yield Finding("lpips", MISSING, text, "python -m pip install lpips, or evaluation.lpips_weights: null")
    if not wanted:
        yield Finding("weights", OK, "none needed: all networks are trained here")
    for key, path, files in wanted:
        name, owner = " or ".join(f.file for f in files), " or ".join(f.network for f in files)
        if not Path(path).is_file():
            mend = f"{_download(parameters, path)}put {owner} ({name}) there, or name its place in {key}"
            yield Finding(key, MISSING, f"{path} does not exist", mend)
            continue
        try:
            found = known.check_hash(path, name=name, sha256=tuple(file.sha256 for file in files))
        except InputError as error:
            yield Finding(key, MISSING, str(error), f"remove it, and put {owner} ({name}) in its place")
        else:
            yield Finding(key, OK, f"{path}, sha256 {found[:8]}...")


def _disk(parameters: Parameters, images: dict[str, Images]) -> Iterable[Finding]:
    from replication import paths
    from replication.doctor.disk_space import bytes_needed, bytes_there, gigabytes, run_is_here, sizes_of
    from replication.downloads.fetch import left_to_fetch

    free = shutil.disk_usage(".").free
    try:
        needed = bytes_needed(parameters, images, sizes_of(parameters))
    except (ImportError, OSError) as error:  # a torch that is missing, or whose libraries are
        yield Finding("disk", NOTE, f"{gigabytes(free)} free; what is needed cannot be told without torch ({error})")
        return
    total = sum(needed.values())
    there = min(bytes_there(Path(".")), total)
    largest = sorted(needed, key=needed.get, reverse=True)[:3]
    text = f"about {gigabytes(total)} for the whole run (" + ", ".join(f"{k} {gigabytes(needed[k])}" for k in largest)
    text += f" ...){f', in the place of {gigabytes(there)} of an earlier one' if there else ''}"
    to_fetch, unknown = left_to_fetch(parameters)
    if to_fetch or unknown:
        text += f", and {gigabytes(to_fetch)} to fetch and unpack"
        text += f" (not counted, as their size is unknown: {', '.join(unknown)})" if unknown else ""
    text += f"; {gigabytes(free)} free"
    if to_fetch and _other_disk(paths.RAW):
        there_free = shutil.disk_usage(paths.RAW).free
        text += f" here, {gigabytes(there_free)} on the disk of {paths.RAW}"
        if to_fetch > there_free:
            mend = f"make room for {_least(unknown)}{gigabytes(to_fetch - there_free)} more there"
            yield Finding("disk", MISSING, f"{paths.RAW} is on a disk with {gigabytes(there_free)} free", mend)
        to_fetch, unknown = 0, []
    lacking = total - there + to_fetch - free
    if lacking > 0 and run_is_here(parameters, Path(".")):
        text += "; the results of this profile are here, and only a run with changes takes more"
        yield Finding(
            "disk", NOTE, text, f"make room for {_least(unknown)}{gigabytes(lacking)} more before you change much"
        )
    elif lacking > 0:
        yield Finding(
            "disk", MISSING, text, f"make room for {_least(unknown)}{gigabytes(lacking)} more, or move the checkout"
        )
    else:
        yield Finding("disk", OK, text)
    if not os.access(".", os.W_OK):
        yield Finding("disk", MISSING, "this folder cannot be written to", "give yourself the right to, or copy it")


def _least(unknown: list[str]) -> str:
    return "at least " if unknown else ""


def _other_disk(folder: Path) -> bool:
    """Whether a folder, or what it is a link to, is on another disk than the checkout."""
    return folder.is_dir() and os.stat(folder).st_dev != os.stat(".").st_dev


def _schedules(parameters: Parameters) -> list[Any]:
    """The schedules of all trainings of a profile, as a run's config.json has them."""
    import json

    networks = (parameters.coarse, parameters.parser, parameters.reconstruction, parameters.attributes)
    sections = [*networks, *map(parameters.mdrnet_of, parameters.experiments)]
    schedules = [section.schedule for section in sections if section.schedule is not None]  # None: it is not trained
    return [json.loads(json.dumps(dataclasses.asdict(schedule))) for schedule in schedules]


def _earlier_run(parameters: Parameters) -> Iterable[Finding]:
    """Trainings in .state, finished or to be gone on with, and failed notebooks."""
    import json

    from replication import paths

    schedules, others = _schedules(parameters), 0
    newest: dict[Path, int] = {}
    for manifest in paths.STATE.rglob("step-*.json"):
        digits = manifest.stem.removeprefix("step-")
        if digits.isdecimal():
            newest[manifest.parent] = max(newest.get(manifest.parent, 0), int(digits))
    finished, resumable = 0, []
    for folder, step in sorted(newest.items()):
        try:
            config = json.loads((folder / "config.json").read_bytes())
            steps = config["fit"]["steps"]
            ours = config.get("image_size") == parameters.image_size and config.get("schedule") in schedules
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            steps, ours = None, True
        if not ours:
            others += 1
        elif steps is not None and step >= steps:
            finished += 1
        else:
            name = folder.parent.relative_to(paths.STATE).as_posix()
            resumable.append(f"{name} at step {step:,} of {steps if steps is None else format(steps, ',')}")
    if not newest:
        yield Finding("earlier run", OK, "none: everything begins anew")
    else:
        text = f"{counted(finished, 'finished training')} in .state"
        if resumable:
            text += f"; to go on with: {', '.join(resumable[:4])}" + (" ..." if len(resumable) > 4 else "")
        if others:
            text += f"; {others} of another size or schedule, which this profile does not go on with"
        yield Finding("earlier run", OK, text)
    failed = sorted(Path("reports/failed").rglob("*.ipynb"))
    if failed:
        yield Finding(
            "earlier run", NOTE, f"{failed[0]} failed ({len(failed)} such)", "read it; `make repro` retries it"
        )


def _time(parameters: Parameters, images: dict[str, Images]) -> Iterable[Finding]:
    from replication.doctor.run_time import duration, estimate
    from replication.doctor.timed_steps import Rehearsal

    rehearsal = Rehearsal(parameters)
    parts = estimate(parameters, images, rehearsal.timings(), workers=os.cpu_count() or 1)
    total = sum(part.seconds for part in parts)
    lines = [f"an estimate: about {duration(total)} from nothing on {rehearsal.device}, made of"]
    for part in sorted(parts, key=lambda part: -part.seconds):
        lines.append(f"{duration(part.seconds):>9}  {part.name}: {part.amount}")
    lines += ["measured just now in a few steps with random weights on random images; other work here inflates it"]
    lines += rehearsal.notes
    if assumed := [role for role, n in images.items() if n.assumed]:
        lines.append(f"the numbers of images are assumed for {', '.join(assumed)}")
    yield Finding("time", OK, "\n".join(lines))
