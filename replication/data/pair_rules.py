"""What a protocol asks of the pairs that it measures, and what a data set must have for it.

A rule is plain values, so that it can be checked against a section of params.yaml as well as against a store.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from replication.errors import InputError

HOLES = ("irregular", "eye_boxes", "regions")
EXEMPLARS = ("none", "same_identity", "other_identity")


@dataclass(frozen=True)
class PairRule:
    """protocol: its name. holes: of `HOLES`; `regions` names those of "regions". exemplar: of `EXEMPLARS`."""

    protocol: str = "irregular"
    holes: str = "irregular"
    regions: tuple[str, ...] = ()
    exemplar: str = "none"

    def require(self, fields: Collection[str], dataset: str) -> None:
        """Raise InputError, naming protocol, data set and field, unless a set with these batch fields can be paired."""
        wanted = []
        if self.holes == "eye_boxes":
            wanted.append(("landmarks",))
        if self.holes == "regions":
            wanted.append(("landmarks", "parsing"))
        if self.exemplar != "none":
            wanted.append(("identity",))
        for choice in wanted:
            if not set(choice) & set(fields):
                raise InputError(
                    f"protocol {self.protocol!r} on data set {dataset!r}: needs the field {' or '.join(choice)}, which "
                    f"the set lacks (it has: {', '.join(sorted(fields))})"
                )
