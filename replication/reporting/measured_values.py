"""The numbers of all runs as text: for each size of hole a table, runs down, metrics across.

`dvc metrics show` puts all that a run has into one line, which three sizes of hole make 525 columns wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

WIDTH = 120


def measured_values(files: Mapping[str, Mapping[str, Any]]) -> str:
    """At most 120 columns wide; where the metrics need more, those that are left follow below.

    files: run -> its metrics file (bucket -> metric -> value, and `made_by`). Values have the decimals of `diff`:
    three, or four below 1. A value that a run does not have is a dash.
    """
    buckets = dict.fromkeys(
        bucket for content in files.values() for bucket, values in content.items() if isinstance(values, Mapping)
    )
    parts = []
    for bucket in buckets:
        rows = {run: content[bucket] for run, content in files.items() if isinstance(content.get(bucket), Mapping)}
        metrics = dict.fromkeys(metric for values in rows.values() for metric in values)
        texts = {metric: [_text(values.get(metric)) for values in rows.values()] for metric in metrics}
        table = pd.DataFrame(texts, index=list(rows))
        parts.append(f"holes: {bucket}\n\n{table.to_string(line_width=WIDTH, max_colwidth=None)}")
    return "\n\n\n".join(parts) + "\n"


def _text(value: Any) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "-" if value is None else str(value)
    return f"{value:.{3 if abs(value) > 1 else 4}f}"
