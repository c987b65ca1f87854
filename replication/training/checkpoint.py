"""Checkpoints that are whole or absent, and finished weights with their card."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from replication.atomic import atomic_file, atomic_folder, write_json
from replication.errors import InputError
from replication.training.history import to_csv

logger = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints on disk: the newest, and one to fall back to should the newest not read back."""


def config_digest(config: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a configuration as canonical JSON: key order and spacing do not matter."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def first_differences(ours: Any, theirs: Any, path: str = "", limit: int = 3) -> list[str]:
    """The first keys at which two configurations differ, as "key: a there, b here" with dotted keys."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        found: list[str] = []
        for key in [*ours, *(k for k in theirs if k not in ours)]:
            inner = f"{path}.{key}" if path else str(key)
            if key not in theirs:
                found.append(f"{inner}: absent there, {json.dumps(ours[key])} here")
            elif key not in ours:
                found.append(f"{inner}: {json.dumps(theirs[key])} there, absent here")
            else:
                found += first_differences(ours[key], theirs[key], inner, limit)
            if len(found) >= limit:
                break
        return found[:limit]
    # Through JSON, so that a tuple equals the list that it becomes in the file.
    here, there = json.dumps(ours, sort_keys=True), json.dumps(theirs, sort_keys=True)
    return [] if here == there else [f"{path}: {_cut(there)} there, {_cut(here)} here"]


def _cut(text: str) -> str:
    """Digests by their first digits: nobody reads 64 of them."""
    return re.sub(r'"([0-9a-f]{8})[0-9a-f]{24,}"', r"\1...", text)


@dataclass
class Position:
    """Where a run stands, beside its tensors: what a resumed one must know that no network holds.

    Attributes:
        step: steps done.
        images_seen: images of all ranks, over those steps.
        seconds: wall-clock seconds of training, over all resumed parts.
        history_rows: lines of the history that belong to those steps.
        pending: scalars since the last line of the history, one dict per step: the next line is the mean over
            all its steps, also of those before an interruption.
        skipped: updates left out because of a non-finite value.
    """

    step: int = 0
    images_seen: int = 0
    seconds: float = 0.0
    history_rows: int = 0
    pending: list[dict[str, float]] = field(default_factory=list)
    skipped: int = 0


def save_checkpoint(
    folder: str | Path,
    trainable: nn.Module,
    optimizers: Mapping[str, Optimizer],
    position: Position,
    config: Mapping[str, Any],
) -> Path:
    """Write one checkpoint beside the earlier ones, read it back by hash, then drop all but the last two.

    A checkpoint is `step-<n>.pt` and, written after it, the manifest `step-<n>.json` that makes it count:
    SHA-256, bytes, step, configuration. Killed at any moment, the folder holds the earlier checkpoints
    and perhaps a file without a manifest, which the next checkpoint sweeps away.

    Raises:
        InputError: the file could not be written (full disk, no permission); the earlier ones are intact.
    """
    folder = Path(folder)
    path = folder / f"step-{position.step:09d}.pt"
    state = {
        "trainable": trainable.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
        "progress": vars(position),  # the key's name in files that exist already
    }
    try:
        with atomic_file(path) as temporary:
            with temporary.open("wb") as file:
                torch.save(state, file)
            size, digest = temporary.stat().st_size, _sha256(temporary)
        manifest = {
            "step": position.step,
            "images_seen": position.images_seen,
            "bytes": size,
            "sha256": digest,
            "config_digest": config_digest(config),
            "config": config,
        }
        write_json(path.with_suffix(".json"), manifest)
    except (OSError, RuntimeError) as error:  # torch's writer turns some failed writes into RuntimeError
        raise InputError(
            f"the checkpoint of step {position.step} could not be written to {folder} ({_reason(error)}); "
            "earlier checkpoints are intact: free some space and run the same command again"
        ) from error
    _sweep(folder)
    return path


def load_checkpoint(
    folder: str | Path,
    trainable: nn.Module,
    optimizers: Mapping[str, Optimizer],
    config: Mapping[str, Any],
    step: int | None = None,
) -> Position | None:
    """Load the newest checkpoint that is intact, or None if there is none.

    A newest one that is truncated or altered is passed over with a logged warning.

    Args:
        step: take the checkpoint of this step and no other (ranks must agree on one).

    Raises:
        InputError: the checkpoint belongs to another configuration (the first differing keys are named), or
            does not fit the networks.
    """
    folder = Path(folder)
    for manifest_path in sorted(folder.glob("step-*.json"), reverse=True):
        path = manifest_path.with_suffix(".pt")
        try:
            manifest = json.loads(manifest_path.read_bytes())
            if step is not None and manifest["step"] != step:
                continue
            _refuse_other_config(manifest, config, path)
            if path.stat().st_size != manifest["bytes"] or _sha256(path) != manifest["sha256"]:
                raise OSError("its content does not have the recorded SHA-256")
            # On the CPU: load_state_dict copies into the tensors on the device, which need no second set there.
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, UnpicklingError) as error:
            if isinstance(error, InputError):
                raise
            logger.warning("checkpoint %s is damaged (%s): using the one before", path, _reason(error))
            continue
        # An intact file that does not fit is no damage: the one before would not fit either, so this is an error.
        try:
            trainable.load_state_dict(state["trainable"])
            if set(state["optimizers"]) != set(optimizers):
                raise ValueError(f"optimisers {sorted(state['optimizers'])} there, {sorted(optimizers)} here")
            for name, optimizer in optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"checkpoint {path} does not fit the networks of this code ({_reason(error)}): remove "
                f"{folder} to start anew"
            ) from error
        return Position(**state["progress"])
    return None


def _refuse_other_config(manifest: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    if manifest["config_digest"] == config_digest(config):
        return
    differences = "; ".join(first_differences(config, manifest.get("config", {}))) or "its digest differs"
    raise InputError(
        f"checkpoint {path} belongs to another configuration ({differences}): remove {path.parent} to start "
        "anew, or restore the configuration"
    )


def _sweep(folder: Path) -> None:
    """Keep the last `KEPT` checkpoints; remove older ones and files that never got a manifest."""
    manifests = sorted(folder.glob("step-*.json"))
    for manifest in manifests[:-KEPT]:
        # Manifest first: a kill in between leaves a file that does not count, not a manifest without file.
        manifest.unlink(missing_ok=True)
        manifest.with_suffix(".pt").unlink(missing_ok=True)
    for path in folder.glob("step-*.pt"):
        if not path.with_suffix(".json").exists():
            path.unlink(missing_ok=True)
    for leftover in folder.glob(".step-*"):  # temporaries of a process killed while it wrote
        with contextlib.suppress(OSError):
            leftover.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    """The first line of an error, without the colon or full stop that would clash with ours."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".: ")


def save_weights(
    folder: str | Path,
    tensors: Mapping[str, Tensor],
    card: Mapping[str, Any],
    history: str | Path | None = None,
) -> None:
    """Write a trained thing: `weights.safetensors`, `card.json` and `history.csv`, all or nothing.

    Args:
        tensors: what inference needs; stored contiguous, on the CPU, in their own dtype.
        card: JSON values: name, method, config, dataset, steps, seed, commit ... `weights_sha256` and
            `parameters` (all numbers stored, where the card does not say how many of them were trained) are added.
        history: a JSONL history, converted; None writes no history.csv.
    """
    from safetensors.torch import save_file  # only needed here

    with atomic_folder(folder) as temporary:
        weights = temporary / "weights.safetensors"
        # Clones: safetensors refuses tensors that share memory (tied weights).
        save_file({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, weights)
        count = sum(t.numel() for t in tensors.values())
        card = {"parameters": count} | dict(card) | {"weights_sha256": _sha256(weights)}
        write_json(temporary / "card.json", card)
        if history is not None:
            to_csv(history, temporary / "history.csv")


def load_weights(folder: str | Path, device: str | torch.device = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read `weights.safetensors` and `card.json` of a trained thing.

    Returns:
        Tensors by name on `device`, and the card.

    Raises:
        InputError: a file is missing or unreadable, or the weights are not those that the card describes.
    """
    from safetensors.torch import load

    folder = Path(folder)
    try:
        card = json.loads((folder / "card.json").read_bytes())
        content = (folder / "weights.safetensors").read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} has no trained weights ({_reason(error)}): run its training stage") from error
    if hashlib.sha256(content).hexdigest() != card.get("weights_sha256"):
        raise InputError(
            f"{folder / 'weights.safetensors'} does not have the SHA-256 that its card.json records: it is "
            "damaged or was replaced; run its training stage again"
        )
    return {name: tensor.to(device) for name, tensor in load(content).items()}, card


def read_card(folder: str | Path) -> dict[str, Any]:
    """The card of a trained thing, without its weights.

    Raises:
        InputError: there is none.
    """
    try:
        return json.loads((Path(folder) / "card.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} has no card ({_reason(error)}): run its training stage") from error
