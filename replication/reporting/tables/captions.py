"""What stands in words above and below a result table: what was run, and how to read it."""

from __future__ import annotations

from replication.evaluation.verdicts import FEWEST_IMAGES, FEWEST_TRAININGS, Standing
from replication.reporting.tables.conditions import trainings_of
from replication.reporting.tables.results import NOT_PRINTED, ResultTable

LEGEND = (
    "Each cell: measured value with ± the longer arm of its 95 % interval (over test images and, where there are "
    "several, trainings), in bold where its lead over every other row is beyond chance, then the paper's value"
)

_COUNTED = {
    Standing.BEYOND_CHANCE: "in bold",
    Standing.ONE_TRAINING: "larger than the images explain, with one training behind them",
    Standing.TWO_TRAININGS: "larger than the images explain, with two trainings behind them",
    Standing.WITHIN_CHANCE: "within chance",
    Standing.FEW_IMAGES: "with too few images",
}


def header_lines(table: ResultTable) -> list[str]:
    """What was run, in lines: items, differences between runs, what was not run, and what the paper does not have."""
    missing = sorted({c.method for c in table.cells.itertuples() if c.status == "not run"})
    lines = [f"{label}: {value}" for label, value in table.conditions.items]
    if not lines:
        lines.append("No run of this table was measured.")
    lines += trainings_lines(table)
    lines += [f"Note: {text}." for text in table.conditions.differences]
    if not table.conditions.comparable_rows:
        lines.append("Because of that the rows do not compare, and no measured value is marked as best.")
    if missing and table.conditions.items:
        lines.append(f"Not run: {', '.join(missing)}.")
    if table.added:
        lines.append(f"Added here, {NOT_PRINTED}: {', '.join(table.added)}.")
    return lines


def trainings_lines(table: ResultTable) -> list[str]:
    """Which rows were trained often enough to speak of their methods."""
    trained: dict[int, list[str]] = {}
    several = table.cells.dataset.nunique() > 1
    for run, record in table.records.items():
        own = table.cells[table.cells.run == run].drop_duplicates(["dataset", "method"])
        names = [f"{one.method} on {one.dataset}" if several else one.method for one in own.itertuples()]
        trained.setdefault(trainings_of(record), []).extend(names)
    if not trained:
        return []
    firm = [method for count, methods in trained.items() if count >= FEWEST_TRAININGS for method in methods]
    loose = [method for count, methods in trained.items() if count < FEWEST_TRAININGS for method in methods]
    lines = [f"Trained {FEWEST_TRAININGS} times or more, so that a difference speaks of methods: {', '.join(firm)}."]
    if not firm:
        lines = [f"No row was trained {FEWEST_TRAININGS} times."]
    if loose:
        lines.append(f"Trained less often, so that a difference is one between these networks: {', '.join(loose)}.")
    return lines


def change_sentence(table: ResultTable) -> str:
    """How to read the block of changes, with the counts of agreeing signs."""
    same, known = table.agreement()
    counted = ""
    if known:
        told = []
        for standing, words in _COUNTED.items():
            agreeing, number = table.standing(standing)
            told += [f"{agreeing} of the {number} {words}"] if number else []
        counted = f" The sign agrees with the paper's in {same} of the {known} cells where both have one"
        counted += f"; by what may be said of them: {', '.join(told)}." if told else "."
    return (
        f"Change against {table.layout.against}: value of the variant minus value of {table.layout.against}, "
        f"measured and in the paper; ✓ same sign, ✗ opposite sign, no mark where a change is zero as printed "
        f"or not known. In brackets the 95 % interval of the difference, on the same test images where both have them. "
        f"Bold: beyond chance, by one rule for all comparisons of this table (Holm; {FEWEST_IMAGES} images and "
        f"{FEWEST_TRAININGS} trainings on both sides).{counted}"
    )
