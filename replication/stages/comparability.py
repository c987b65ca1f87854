"""May the numbers of a run stand beside the papers'? Decided from what was measured, not from what a file says of
itself.

The key `comparable` of params.yaml is a permission: false keeps numbers away from the papers' whatever they are. True
is refused when parameters load if their own values contradict it (`config`); what only shows when a run is measured
(which faces these are, which masks, how far a network was trained) is asked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from replication.config import Parameters
from replication.data.masks import MaskStore
from replication.data.nvidia_masks import NVIDIA
from replication.data.pairs import EvaluationPairs
from replication.data.store import FaceStore
from replication.methods import MethodSettings
from replication.papers import PaperSet, paper_sets

NVIDIA_TEST_MASKS = 12_000
"""Files of Liu et al.'s test set (ShowFace names no other). A bucket of them holds 4,000 but for the few that resizing
moves over its edge."""


def reasons_against(
    parameters: Parameters,
    run: str,
    *,
    faces: FaceStore,
    masks: MaskStore | None,
    pairs: EvaluationPairs,
    card: Mapping[str, Any],
    settings: MethodSettings,
    features: str,
) -> list[str]:
    """Why the numbers of a run may not stand beside the papers', a clause each; none if they may.

    faces, masks, pairs: what the run is measured on; card, settings: those of its training, by its own files; features:
    by which name the Fréchet distance goes.
    """
    if not parameters.comparable:
        return [f"profile {parameters.profile} is no replication of the papers' setting"]
    dataset = parameters.run(run).dataset
    paper = paper_sets().get(dataset)
    if paper is None:
        return [f"data set {dataset} is none that a paper uses"]
    return [
        *_other_faces(faces, paper),
        *_other_holes(masks, pairs, paper),
        *_other_training(run, card, settings),
        *([] if features == "FID" else [f"the Fréchet distance is {features}, not FID"]),
    ]


def _other_faces(faces: FaceStore, paper: PaperSet) -> Iterator[str]:
    if faces.size != paper.size:
        yield f"faces are {faces.size} pixels wide, those of {paper.name} {paper.size}"
    for split, needed in (("train", paper.train), ("test", paper.test)):
        if (found := len(faces.rows(split))) != needed:
            yield f"there are {found:,} {split} faces, of {paper.name} {needed:,}"
    ids = faces.ids[faces.rows("test")]
    first, last = paper.test_ids
    stems = [PurePosixPath(name).stem for name in ids]  # a face's id is the name of its file
    numbers = np.array([int(stem) if stem.isdecimal() else -1 for stem in stems])
    if len(set(numbers)) < len(ids) or numbers.min() < first or numbers.max() > last:
        yield f"the test faces are not named as those of {paper.name} are ({first} to {last})"


def _other_holes(masks: MaskStore | None, pairs: EvaluationPairs, paper: PaperSet) -> Iterator[str]:
    if masks is None:
        yield "the holes are no irregular masks"
        return
    if masks.card["source"].get("kind") != NVIDIA:
        yield "the masks are not those of Liu et al. 2018"
    elif (files := masks.card["source"].get("test_files")) != NVIDIA_TEST_MASKS:
        yield f"there are {files} files of test masks, of Liu et al. {NVIDIA_TEST_MASKS:,}"
    for bucket in pairs.buckets:
        if (count := len(pairs.bucket(bucket))) != paper.test:
            yield f"{count:,} test faces were measured at {bucket}, of {paper.test:,}"


def _other_training(run: str, card: Mapping[str, Any], settings: MethodSettings) -> Iterator[str]:
    for key, (value, stated) in settings.stated_by_the_paper(run).items():
        if value != stated:
            yield f"{key} is not as the paper has it"
    schedule, seen = getattr(settings, "schedule", None), card.get("images_seen")
    if schedule is not None and schedule.epochs and seen is not None and card.get("training_images"):
        epochs = seen / card["training_images"]
        # A last batch that is not full is left out of each epoch.
        if epochs < schedule.epochs * 0.99:
            yield f"the network was trained for {epochs:.1f} epochs of {schedule.epochs:g}"
