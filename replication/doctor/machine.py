"""What the doctor says of the machine: Python, packages, device, Jupyter, git and DVC. Standard library, and torch
where it is there."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable
from importlib import metadata, util
from pathlib import Path

from replication.doctor.findings import MISSING, NOTE, OK, Finding
from replication.errors import InputError
from replication.history.commit import refusal
from replication.processors import usable_processors

PROJECT = "face-inpainting-replication"
OLDEST_PYTHON = (3, 11)
INSTALL = "make install  (or: python -m pip install -r requirements.txt)"
ROOT = Path(__file__).parents[2]


def python() -> Iterable[Finding]:
    text = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(
            "python", MISSING, f"{text}, too old", "install Python 3.11 or newer; make repro PYTHON=python3.11"
        )
    else:
        yield Finding("python", OK, text)


def requirements() -> list[str]:
    """The package's dependencies as in pyproject.toml, from the checkout or from the installed package."""
    file = ROOT / "pyproject.toml"
    if file.is_file():
        import tomllib

        return list(tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"])
    try:
        return [text for text in metadata.requires(PROJECT) or [] if "extra ==" not in text]
    except metadata.PackageNotFoundError:
        return []


def pins() -> dict[str, str]:
    """Package -> version in requirements.txt (lines that hold for every system)."""
    file = ROOT / "requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    matches = (re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)\s*$", line) for line in lines)
    return {_normal(m[1]): m[2] for m in matches if m}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _satisfies(requirement: str, version: str) -> bool:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:  # then only presence can be told
        return True
    try:
        return Requirement(requirement).specifier.contains(version, prereleases=True)
    except InvalidRequirement:
        return True


def packages() -> Iterable[Finding]:
    wanted, pinned = requirements(), pins()
    missing, unfit, other = [], [], []
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if not _satisfies(requirement, version):
            unfit.append(f"{name} {version} (needed: {requirement.removeprefix(name)})")
        elif pinned.get(_normal(name), version).split("+")[0] != version.split("+")[0]:
            other.append(f"{name} {version} (pinned: {pinned[_normal(name)]})")
    if missing or unfit:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"unfit: {', '.join(unfit)}"] if unfit else []
        yield Finding("packages", MISSING, "; ".join(parts), INSTALL)
    elif other:
        text = f"{len(wanted)} as required, but other than pinned: {', '.join(other)}"
        yield Finding("packages", NOTE, text, INSTALL)
    else:
        yield Finding("packages", OK, f"{len(wanted)} as required")


def device(parameters) -> Iterable[Finding]:
    """The device that the profile would take, or why there is none."""
    processes = parameters.compute.processes
    try:
        import torch

        from replication.device import choose_device
    except (ImportError, OSError) as error:
        yield Finding("device", MISSING, f"torch cannot be imported ({_first_line(error)})", INSTALL)
        return
    try:
        place = choose_device(parameters.compute.device)
    except InputError as error:
        yield Finding("device", MISSING, f"compute.{error}", "set compute.device: auto in params.yaml")
        return
    if place.type == "cuda":
        count = torch.cuda.device_count()
        for index in range(count) if processes > 1 else [place.index or 0]:
            free, total = torch.cuda.mem_get_info(index)
            text = f"{torch.cuda.get_device_name(index)}, {total / 2**30:.0f} GiB, {free / 2**30:.0f} GiB free"
            yield Finding("device", OK, f"GPU {index}: {text}")
        if parameters.compute.precision == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            yield Finding("device", NOTE, "this GPU has no bfloat16 arithmetic", "set compute.precision: float32")
        if processes > count:
            text = f"compute.processes is {processes}, but there are {count} GPUs"
            yield Finding("device", MISSING, text, f"set compute.processes: {count} in params.yaml")
        elif count > processes == 1:
            yield Finding(
                "device", NOTE, f"one of {count} GPUs would be used", f"set compute.processes: {count} to use all"
            )
        return
    text = f"{place.type.upper()}: {usable_processors()} cores{_memory()}; no GPU is used"
    if place.type == "cpu" and (shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists()):
        text += f", though an NVIDIA driver is here: this torch ({torch.__version__}) cannot use it"
        yield Finding("device", NOTE, text, "install a build of torch for its CUDA version (pytorch.org)")
    elif place.type == "cpu" and (size := max(map(parameters.image_size_of, parameters.data))) >= 256:
        mend = "use a machine with a GPU; see the time below"
        yield Finding("device", NOTE, f"{text}, and {size} pixels are very slow without one", mend)
    else:
        yield Finding("device", OK, text)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _memory() -> str:
    try:
        import psutil
    except ImportError:
        return ""
    memory = psutil.virtual_memory()
    return f", {memory.total / 2**30:.0f} GiB of memory, {memory.available / 2**30:.0f} GiB free"


def kernel() -> Iterable[Finding]:
    """papermill and ipykernel, which stages run with this Python; and whether JupyterLab would take another kernel."""
    absent = [name for name in ("papermill", "ipykernel", "nbconvert") if util.find_spec(name) is None]
    if absent:
        yield Finding("notebooks", MISSING, f"{', '.join(absent)} missing: no stage can run", INSTALL)
        return
    yield Finding("notebooks", OK, f"stages run ipykernel of {sys.prefix}, papermill {metadata.version('papermill')}")
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    mend = "`make lab` takes this environment's"
    try:
        spec = manager.get_kernel_spec("python3")
        program = spec.argv[0]
    except NoSuchKernel:
        return  # JupyterLab brings its own
    except (OSError, ValueError, IndexError, TypeError):
        folder = manager.find_kernel_specs().get("python3")
        yield Finding("notebooks", NOTE, f"{folder}/kernel.json, first on Jupyter's path, cannot be read", mend)
        return
    # A bare "python" is replaced by the interpreter that starts it.
    if os.sep in program and Path(program).absolute() != Path(sys.executable).absolute():
        text = f"the first kernel python3 on Jupyter's path, {spec.resource_dir}, runs {program}; no stage uses it"
        yield Finding("notebooks", NOTE, text, mend)


def repository() -> Iterable[Finding]:
    """Whether `dvc repro` finds a repository here, and git answers in it."""
    here = Path.cwd()
    under_git = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)
    without_scm = _config_says_no_scm(here / ".dvc")
    if under_git is None and not without_scm:
        mend = 'git init && git add -A && git commit -m "start"  (or, without git: dvc init --no-scm)'
        yield Finding("git", MISSING, "this is not a git repository, which DVC needs", mend)
    elif shutil.which("git") is None:
        yield Finding("git", NOTE, "git is not installed: results will not name their commit", "install git")
    elif under_git is not None and (said := refusal()):
        text = f"git refuses this folder: {said}\nrecords of results will name no commit, and `diff` will not work"
        yield Finding("git", NOTE, text, "mend what git names, as the user who runs `make repro`")
    else:
        yield Finding("git", OK, f"repository {under_git or 'not used (core.no_scm)'}")
    if util.find_spec("dvc") is None:
        yield Finding("DVC", MISSING, "DVC is not installed", INSTALL)
    elif not (here / ".dvc").is_dir():
        mend = "dvc init" if under_git in (None, here) else "dvc init --subdir"
        yield Finding("DVC", MISSING, "not initialised here (no folder .dvc)", mend)
    else:
        yield Finding("DVC", OK, f"{metadata.version('dvc')}, initialised")


def _config_says_no_scm(folder: Path) -> bool:
    import configparser

    for name in ("config.local", "config"):
        config = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            config.read(folder / name, encoding="utf-8")
            if config.getboolean("core", "no_scm", fallback=False):
                return True
        except (configparser.Error, ValueError, OSError):
            continue
    return False
