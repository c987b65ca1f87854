"""Opening what was trained: every network is built from the settings on its own cards."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import paths
from replication.data.store import FaceStore
from replication.errors import InputError
from replication.methods import Inpainter, Method, TrainedRun
from replication.settings import read
from replication.training.checkpoint import load_weights, read_card

if TYPE_CHECKING:
    import torch

    from replication.config import Parameters


def open_run(parameters: Parameters, name: str, device: torch.device | str = "cpu", *, k: int = 0) -> Any:
    """The k-th training of a run as its system opens it: an Inpainter, or a frozen network.

    Raises:
        InputError: no such run, or one of its parts was not trained yet.
    """
    module = importlib.import_module(parameters.method_of(name).module)
    return module.open_run(trained_run(parameters, name, device, k=k))


def trained_run(parameters: Parameters, name: str, device: torch.device | str = "cpu", *, k: int = 0) -> TrainedRun:
    """What a system is given to open the k-th training of a run.

    Raises:
        InputError: no such run, or one of its parts was not trained yet.
    """
    import torch

    from replication.device import memory_format

    method = parameters.method_of(name)
    cards = cards_of(method, name, k)
    settings = settings_of_cards(method, name, k)

    def open_need(need: str) -> Any:
        return open_run(parameters, parameters.needed_run(settings, need), device)

    return TrainedRun(
        run=name,
        dataset=parameters.run(name).dataset,
        settings=settings,
        cards=cards,
        weights=lambda part: load_weights(paths.model(paths.training(name, part, k)))[0],
        device=torch.device(device),
        open=open_need,
        memory_format=memory_format(parameters.compute.channels_last),
    )


def open_inpainter(
    parameters: Parameters, name: str, device: torch.device | str = "cpu", *, k: int = 0
) -> tuple[Inpainter, dict[str, Any]]:
    """A trained run that completes faces, and the card of its last part.

    Raises:
        InputError: no such run, it completes no faces, or it was not trained yet.
    """
    method = parameters.method_of(name)
    if not method.inpaints:
        raise InputError(f"run {name!r}: {method.title} completes no faces")
    last = method.run_parts[-1].name
    return open_run(parameters, name, device, k=k), cards_of(method, name, k)[last]


def cards_of(method: Method, name: str, k: int = 0) -> dict[str, dict[str, Any]]:
    """part -> card of a run's k-th training.

    Raises:
        InputError: a part was not trained yet.
    """
    cards = {}
    for part in method.run_parts:
        folder = paths.model(paths.training(name, part.name, k))
        if not (folder / "card.json").is_file():
            raise InputError(f"{folder} does not exist: {part.name} of {name!r} has not been trained yet")
        cards[part.name] = read_card(folder)
    return cards


def settings_of_cards(method: Method, name: str, k: int = 0) -> Any:
    """The settings that a run was trained with: each part's card has those that the part reads."""
    data: dict[str, Any] = {}
    for card in cards_of(method, name, k).values():
        data |= card["config"]["settings"]
    return read(method.settings, data, source=f"the card of {name}")


def open_features(parameters: Parameters, device: torch.device | str = "cpu") -> Any:
    """The network whose features the Fréchet distance is taken in: run `evaluation.features`."""
    return open_run(parameters, parameters.evaluation.features, device)


def open_faces(parameters: Parameters, dataset: str) -> FaceStore:
    """The prepared faces of a data set; InputError if there is no such set or it was not prepared."""
    parameters.data_set(dataset)
    return FaceStore.open(paths.store(dataset))


def weights_sha256(name: str) -> str:
    """The digest of a training's weights (`paths.training`), from its card."""
    return read_card(Path(paths.model(name)))["weights_sha256"]
