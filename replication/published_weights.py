"""Published weight files: which ones this suite knows, and the only way in which any of them is read.

A file is hashed, read without pickle's code execution, compared tensor by tensor with what its network has, and
converted once to safetensors beside the original; from then on the conversion is read, which holds the hash of the
file that it was made of. Nothing is ever downloaded here. The catalogue needs no torch, so that the doctor can look for
files on a machine without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replication.atomic import atomic_file
from replication.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[int, ...]]

OPTIONAL = "num_batches_tracked"
"""A counter of batch norms that files of PyTorch before 0.4.1 lack; evaluation never reads it, so 0 takes its place."""


_MAGIC = (b"PK\x03\x04", b"\x80")
"""How PyTorch's files begin: a zip archive, or before version 1.6 a pickle."""
_GLOBAL = re.compile(r"GLOBAL (\S+)")


@dataclass(frozen=True)
class PublishedFile:
    """A weight file as its owner names it.

    file: its published name. sha256: its hash, or the first digits as its name carries them (torch.hub checks no
    more), or None where none is published. network: whose weights they are, for sentences.
    """

    file: str
    sha256: str | None
    network: str


VGG19 = PublishedFile("vgg19-dcbb9e9d.pth", "dcbb9e9d", "torchvision's VGG-19")
VGG16 = PublishedFile("vgg16-397923af.pth", "397923af", "torchvision's VGG-16")
ALEXNET = PublishedFile("alexnet-owt-7be5be79.pth", "7be5be79", "torchvision's AlexNet")
INCEPTION = PublishedFile("pt_inception-2015-12-05-6726825d.pth", "6726825d", "pytorch-fid's Inception")
PARSER = PublishedFile(
    "79999_iter.pth",
    "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
    "zllrunning's face parser",
)
FACE_EMBEDDING = PublishedFile("Arcface.pth", None, "EXE-GAN's face embedding")

STAND_IN = "random numbers, no published file"
"""In the place of a hash where `random_weights` stood in for a file: no hash begins so, so nothing takes it for one."""
_random = ContextVar("random", default=False)


@contextlib.contextmanager
def random_weights() -> Iterator[None]:
    """Within the block no weight file is looked at: random tensors of the expected shapes take the place of each.

    For whoever measures how long a network takes or how large it is, which do not depend on its weights.
    """
    token = _random.set(True)
    try:
        yield
    finally:
        _random.reset(token)


def sha256_of(path: str | Path) -> str:
    """The hash of a file, hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_hash(path: str | Path, *, name: str, sha256: str | tuple[str, ...] | None) -> str:
    """The hash of a published file, if it is the right one.

    Args:
        path: where the file lies.
        name: the name under which it is published, for messages.
        sha256: its hash or the beginning of it, several where several files will do; None accepts any.

    Raises:
        InputError: no such file, a web page in its place, or another hash.
    """
    path = Path(path)
    if _random.get():
        return STAND_IN
    if not path.is_file():
        raise InputError(f"{path}: no such file; the published weights {name} are needed here.")
    found = sha256_of(path)
    expected = () if sha256 is None else (sha256,) if isinstance(sha256, str) else sha256
    if _is_web_page(path):
        raise InputError(
            f"{path}: is a web page, not the weights {name}: the download was answered by a page (a quota or a "
            "log-in), so fetch the file again."
        )
    if expected and not found.startswith(expected):
        raise InputError(
            f"{path}: its sha256 begins with {found[:8]}, that of {name} with "
            f"{' or '.join(digits[:8] for digits in expected)}: this is another or a damaged file."
        )
    return found


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<?xml"))


def read_published_weights(
    path: str | Path,
    *,
    name: str,
    sha256: str | tuple[str, ...] | None,
    expected: Shapes | Callable[[Mapping[str, Tensor]], Shapes],
    keep: str = "",
    convert: bool = True,
) -> tuple[dict[str, Tensor], str]:
    """Read the tensors of a published file whose names and shapes are exactly the expected ones.

    Args:
        path, name, sha256: see `check_hash`.
        expected: name -> shape of every tensor in the file; or a function of the file's tensors that returns it, where
            the content tells which of several files it is. Only batch norms' counters may be absent.
        keep: return (and convert) only tensors whose names begin so: most of a VGG's file is its classifier.
        convert: keep a safetensors copy beside the original, named after its hash, and read that the next time.

    Returns:
        The tensors on the CPU, those of floating point as float32, and the whole sha256 of the original.

    Raises:
        InputError: no such file, another hash, not a PyTorch file of tensors alone, or the first tensor that is
            missing, unexpected, or of another shape or kind.
    """
    path = Path(path)
    if _random.get():
        return _random_tensors(expected({}) if callable(expected) else expected, keep), STAND_IN
    found = check_hash(path, name=name, sha256=sha256)
    converted = conversion_of(path, found)
    if convert and (tensors := _read_conversion(converted, found, keep)) is not None:
        return tensors, found
    state = _load(path, name)
    shapes = expected(state) if callable(expected) else expected
    _refuse_other_tensors(path, name, state, shapes)
    tensors = _standard(state, shapes, keep)
    if convert:
        try:
            _write_conversion(converted, tensors, source=path.name, sha256=found, keep=keep)
        except OSError as error:  # a read-only folder or a full disk: the weights are at hand all the same
            logger.warning("%s was not converted to safetensors (%s)", path, error)
        else:
            again = _read_conversion(converted, found, keep)
            if again is None:
                raise InputError(f"{converted}: does not read back as it was written; the disk may be failing.")
            tensors = again
    return tensors, found


def _random_tensors(shapes: Shapes, keep: str) -> dict[str, Tensor]:
    """Convolutions after He et al. 2015, neutral norms: activations stay finite, as those of a trained network do."""
    import torch

    tensors = {}
    for key, shape in shapes.items():
        if not key.startswith(keep):
            continue
        if key.endswith(OPTIONAL):
            tensors[key] = torch.zeros(shape, dtype=torch.int64)
        elif len(shape) > 1:
            tensors[key] = torch.randn(shape) * (2 / math.prod(shape[1:])) ** 0.5
        else:
            tensors[key] = torch.ones(shape) if key.endswith(("weight", "running_var")) else torch.zeros(shape)
    return tensors


def conversion_of(path: str | Path, sha256: str) -> Path:
    """Where the safetensors copy of a weight file with this hash lies: vgg19-dcbb9e9d.0123456789abcdef.safetensors."""
    return Path(path).with_name(f"{Path(path).stem}.{sha256[:16]}.safetensors")


def _load(path: Path, name: str) -> dict[str, Tensor]:
    """The content of a .pth file, if it is a mapping of names to tensors and nothing else."""
    import torch

    with path.open("rb") as stream:
        start = stream.read(4)
    if not start.startswith(_MAGIC):
        raise InputError(f"{path}: cannot be read as the weights {name}: it is empty or another kind of file.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the loader raises a dozen kinds for a wrong or cut file
        if foreign := _GLOBAL.search(str(error)):
            raise InputError(
                f"{path}: holds Python objects beside tensors ({foreign[1]}), which could run code, so it is not "
                f"loaded as {name}."
            ) from error
        # Its own message is not passed on: it advises to load the file without protection.
        raise InputError(f"{path}: cannot be read as the weights {name}: it is cut short or damaged.") from error
    if not isinstance(state, Mapping) or not state:
        raise InputError(f"{path}: holds no tensors by name, which the weights {name} are.")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise InputError(f"{path}: its entry {str(key)!r} is no tensor; the weights {name} are tensors by name.")
    return dict(state)


def _refuse_other_tensors(path: Path, name: str, state: Mapping[str, Tensor], shapes: Shapes) -> None:
    missing = [key for key in shapes if key not in state and not key.endswith(OPTIONAL)]
    if missing:
        raise InputError(f"{path}: lacks the tensor {missing[0]!r} of {name} ({len(missing)} missing in all).")
    more = [key for key in state if key not in shapes]
    if more:
        raise InputError(f"{path}: holds the tensor {more[0]!r}, which {name} does not ({len(more)} such in all).")
    for key, shape in shapes.items():
        if key not in state:
            continue
        if tuple(state[key].shape) != tuple(shape):
            raise InputError(
                f"{path}: {key!r} has the shape {tuple(state[key].shape)}, in {name} it is {tuple(shape)}."
            )
        if state[key].is_floating_point() == key.endswith(OPTIONAL):
            raise InputError(f"{path}: {key!r} holds {state[key].dtype}, which {name} does not.")


def _standard(state: Mapping[str, Tensor], shapes: Shapes, keep: str) -> dict[str, Tensor]:
    import torch

    tensors = {}
    for key in shapes:
        if not key.startswith(keep):
            continue
        value = state.get(key, torch.zeros((), dtype=torch.int64))
        # A copy of its own: safetensors refuses views, and a slice would hold the whole file in memory.
        tensors[key] = (value.float() if value.is_floating_point() else value).clone(
            memory_format=torch.contiguous_format
        )
    return tensors


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, kinds, shapes and values."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key]
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _write_conversion(path: Path, tensors: Mapping[str, Tensor], *, source: str, sha256: str, keep: str) -> None:
    from safetensors.torch import save_file

    card = {"source": source, "source_sha256": sha256, "kept": keep, "tensors_sha256": _digest(tensors)}
    with atomic_file(path) as temporary:
        save_file(dict(tensors), temporary, metadata=card)


def _read_conversion(path: Path, sha256: str, keep: str) -> dict[str, Tensor] | None:
    """The tensors of a conversion, or None if it is absent, damaged, or made of another file or for another part."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            card = file.metadata() or {}
        tensors = load(path.read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        logger.warning("%s cannot be read (%s): it is made again", path, error)
        return None
    if (card.get("source_sha256"), card.get("kept")) != (sha256, keep):
        return None
    if card.get("tensors_sha256") != _digest(tensors):
        logger.warning("%s is damaged: it is made again", path)
        return None
    return tensors
