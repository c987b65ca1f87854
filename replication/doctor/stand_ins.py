"""What a part's training is given, made up: random faces in memory, networks with random weights, no file but those of
a temporary folder.

Any system is built by its own `train`, `compute` and `open_run`, so what is measured here is what a run does.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import torch

from replication.config import Parameters
from replication.data.drawn_faces import ATTRIBUTES
from replication.data.labels import LABELS
from replication.data.masks import MaskStore
from replication.data.store import ATTRIBUTE_PREFIX, BOX_COLUMNS, LANDMARK_COLUMNS, FaceStore
from replication.device import memory_format
from replication.doctor.amounts import items_of
from replication.methods import Finished, Method, Part, Task, TrainedRun, Training
from replication.published_weights import STAND_IN, random_weights
from replication.settings import Settings, replace

IN_MEMORY = Path("random faces")
"""In the place of a store's folder, in sentences."""
FACES = 32
"""Random faces of a store, a fourth of them for testing."""


@dataclass(frozen=True)
class _Computed:
    """What a part made for a data set: its folder, and how many items there are in it."""

    folder: Path
    items: int


class StandIns(AbstractContextManager):
    """The networks of a profile on a device. Use it as a context: the temporary folder goes with it.

    Args:
        parameters: the profile.
        device: of the networks that others look through; a training is made on the CPU, as in a run.
        size_of: data set -> pixels of its images here; by default those of the profile.
        items: how many items of what is computed for a data set are enough, where the profile has any.
    """

    def __init__(
        self,
        parameters: Parameters,
        device: torch.device | str,
        *,
        size_of: Callable[[str], int] | None = None,
        items: int = 2,
    ) -> None:
        self.parameters, self.device, self.items = parameters, torch.device(device), items
        self.size_of = size_of or parameters.image_size_of
        self._made: dict[tuple[str, str], Training | Finished] = {}
        self._opened: dict[str, Any] = {}
        self._computed: dict[tuple[str, str, str], _Computed] = {}
        self._faces: dict[int, FaceStore] = {}
        self._masks: dict[int, MaskStore] = {}
        self._exits = ExitStack()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def made(self, run: str, part: Part) -> Training | Finished:
        """What a part's `train` returns for a run, made once."""
        if (run, part.name) not in self._made:
            with random_weights():
                self._made[run, part.name] = importlib.import_module(part.module).train(self.task(run, part))
        return self._made[run, part.name]

    def task(self, run: str, part: Part) -> Task:
        """What a part of a run is given to be trained."""
        method = self.parameters.method_of(run)
        settings = self._fewer_items(method, self.parameters.settings_of(run))
        return self._task(method, part, settings, run, self.parameters.run(run).dataset)

    def opened(self, run: str) -> Any:
        """A run as its system opens it, with random weights: an `Inpainter`, or what others look through."""
        if run not in self._opened:
            method = self.parameters.method_of(run)
            parts = {part.name: self.made(run, part) for part in method.run_parts}
            with random_weights():
                self._opened[run] = importlib.import_module(method.module).open_run(self._trained(method, run, parts))
        return self._opened[run]

    def computing(self, method: Method, part: Part, dataset: str) -> tuple[Callable[[], None], int]:
        """A call that computes a few items of a part for a data set, and how many; networks are opened by the first."""
        settings = self._fewer_items(method, getattr(self.parameters.methods, method.name))
        task = self._task(method, part, settings, f"{method.name}.{part.name}", dataset)
        folder, module = self._folder(), importlib.import_module(part.module)

        def compute() -> None:
            with random_weights():
                module.compute(task, folder)

        _, items = items_of(settings, part) or ("", 0)
        self._computed[method.name, part.name, dataset] = _Computed(folder, items)
        return compute, items

    def computed(self, method: Method, part: Part, dataset: str) -> tuple[Path, int]:
        """The folder with a few items of what a part computes for a data set, and how many there are."""
        if (method.name, part.name, dataset) not in self._computed:
            self.computing(method, part, dataset)[0]()
        found = self._computed[method.name, part.name, dataset]
        return found.folder, found.items

    def faces(self, size: int) -> FaceStore:
        """Smooth random faces in memory, with every field that a training may want."""
        if size not in self._faces:
            self._faces[size] = _random_faces(size)
        return self._faces[size]

    def masks(self, size: int) -> MaskStore:
        """Square holes of a quarter of the image."""
        if size not in self._masks:
            self._masks[size] = _square_holes(size)
        return self._masks[size]

    def _folder(self) -> Path:
        return Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="replication-doctor-")))

    def _fewer_items(self, method: Method, settings: Settings) -> Settings:
        for part in method.parts:
            if part.per == "dataset" and (found := items_of(settings, part)) is not None:
                key, count = found
                fewer = replace(getattr(settings, part.name), **{key: min(count, self.items)})
                settings = replace(settings, **{part.name: fewer})
        return settings

    def _task(self, method: Method, part: Part, settings: Settings, run: str, dataset: str | None) -> Task:
        own = {one.name: one for one in method.parts}
        size = self.size_of(dataset) if dataset is not None else self.parameters.image_size

        def open_need(need: str) -> Any:
            if need not in own:
                return self.opened(self.parameters.needed_run(settings, need))
            trained = self._trained(method, run, {need: self.made(run, own[need])})
            return importlib.import_module(own[need].module).open_part(trained)

        return Task(
            run=run,
            part=part,
            dataset=dataset,
            image_size=size,
            seed=self.parameters.seed,
            shared_seed=self.parameters.seed,
            settings=settings,
            faces=self.faces(size) if part.data else None,
            masks=self.masks(size) if part.data and part.holes else None,
            device=self.device,
            open=open_need,
            shared=lambda name: self.computed(method, own[name], dataset)[0],
            memory_format=memory_format(self.parameters.compute.channels_last),
        )

    def _trained(self, method: Method, run: str, parts: dict[str, Training | Finished]) -> TrainedRun:
        """A run whose parts have the weights that they were made with."""
        settings = self.parameters.settings_of(run)

        def weights(name: str) -> dict[str, torch.Tensor]:
            made = parts[name]
            return dict(made.weights if isinstance(made, Finished) else made.trainable.inference_weights())

        return TrainedRun(
            run=run,
            dataset=self.parameters.run(run).dataset,
            settings=settings,
            cards={name: {"run": run, "part": name, "weights_sha256": STAND_IN} for name in parts},
            weights=weights,
            device=self.device,
            open=lambda need: self.opened(self.parameters.needed_run(settings, need)),
            memory_format=memory_format(self.parameters.compute.channels_last),
        )


def _random_faces(size: int) -> FaceStore:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((FACES, 3, max(1, size // 8), max(1, size // 8)), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    images = (smooth * 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
    blocks = rng.integers(0, len(LABELS), (FACES, -(-size // 8), -(-size // 8)), dtype=np.uint8)
    parsing = blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :size, :size]
    split = ["test" if k % 4 == 3 else "train" for k in range(FACES)]
    index = pd.DataFrame({"id": [f"random {k}" for k in range(FACES)], "split": split})
    index["identity"] = [f"person {k // 4}" for k in range(FACES)]
    for name in ATTRIBUTES:
        index[ATTRIBUTE_PREFIX + name] = rng.integers(0, 2, FACES)
    points = rng.uniform(size / 4, size / 2, (FACES, len(LANDMARK_COLUMNS) + len(BOX_COLUMNS)))
    columns = [*LANDMARK_COLUMNS, *BOX_COLUMNS]
    points[:, [k for k, name in enumerate(columns) if name.endswith(("x1", "y1"))]] += size / 4
    index = pd.concat([index, pd.DataFrame(points, columns=columns)], axis=1)
    card = {
        "name": "random faces",
        "size": size,
        "images": FACES,
        "splits": {name: split.count(name) for name in ("train", "test")},
        "fields": ["image", "parsing", "identity", "attributes", "landmarks", "boxes"],
        "attributes": list(ATTRIBUTES),
        "sha256": STAND_IN,
    }
    return FaceStore(IN_MEMORY, images, parsing, index, card)


def _square_holes(size: int) -> MaskStore:
    masks = np.zeros((FACES, size, size), dtype=np.uint8)
    masks[:, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    index = pd.DataFrame(
        {
            "split": ["train"] * FACES + ["test"] * FACES,
            "row": [*range(FACES), *range(FACES)],
            "ratio": [0.25] * (2 * FACES),
            "bucket": ["20-40%"] * (2 * FACES),
            "touches_border": [False] * (2 * FACES),
        }
    )
    return MaskStore(IN_MEMORY, masks, masks, index, {"size": size, "train": FACES, "test": FACES, "sha256": STAND_IN})
