"""One function per kind of stage: what the notebooks and `python -m replication` both call."""
