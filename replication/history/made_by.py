"""What made a result: profile, data, sizes, seed, code. Carried by every result file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replication.config import Parameters

INPUTS_VARIABLE = "REPLICATION_INPUTS"
"""Environment of a stage's notebook: the digest of all inputs of the stage but its code, see `records`."""


def made_by(parameters: Parameters, *, code: str, **more: Any) -> dict[str, Any]:
    """The block `made_by` of a result file.

    code: digest of what decides the result (`graph.closure.code_digest`). The commit stands in records only: another
    commit with the same code leaves a result as it is, to the byte.
    """
    return {
        "profile": parameters.profile,
        "comparable": parameters.comparable,
        "note": parameters.note,
        "image_size": parameters.image_size,
        "seed": parameters.seed,
        "code": code[:12],
        "inputs": os.environ.get(INPUTS_VARIABLE),
    } | more
