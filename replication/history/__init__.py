"""What made a result and what changed between two: records, lineage, revisions, comparison."""
