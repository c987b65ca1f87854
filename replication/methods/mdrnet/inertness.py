"""Whether DMM and MCM choose anything, in sentences for tables: from what `spread` measures of their weights.

Imports no torch: tables are made from result files.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

INERT = 0.9
"""Share of all slots (or patches) from which on an effective number says that nothing is chosen: a mean over more than
nine tenths of them is the same whatever is asked. Uniform weights have 1."""


def sentences(runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """What is printed under a table.

    Args:
        runs: row of the table -> bucket -> name -> mean over its images, as `spread` names them.

    Returns:
        A sentence on memory reads and one on attention, each with the rows that have the module; empty without any.
    """
    found = []
    for numbers, all_of_them, what, unit in (
        ("slots_read", "slots", "A memory read (equation 4)", "slots"),
        ("patches_attended", "patches", "A patch's attention (section 3.3)", "patches"),
    ):
        words = []
        for row, buckets in runs.items():
            means = [(bucket[numbers], bucket[all_of_them]) for bucket in buckets.values() if numbers in bucket]
            if means:
                effective, available = (fmean(values) for values in zip(*means, strict=True))
                verdict = "inert" if is_inert(effective, available) else "chooses"
                words.append(f"{row} {effective:.1f} of {available:g} ({verdict})")
        if words:
            found.append(f"{what} spreads over so many {unit}: {'; '.join(words)}.")
    if found:
        found.append(
            "Effective numbers, exp(entropy of the weights), mean over what reaches into the hole and over all test "
            f"pairs; inert: above {INERT:.0%} of all, so that what is read hardly depends on what is asked. Whether a "
            "choice changes the pictures is told by the controls, which choose nothing."
        )
    return found


def is_inert(effective: float, available: float) -> bool:
    """Whether weights with this effective number, of so many, choose nothing."""
    return effective > INERT * available
