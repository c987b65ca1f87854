"""How many processors this process may use, which is how many processes share work that can be shared."""

from __future__ import annotations


def usable_processors() -> int:
    """Processors that the scheduler leaves to this process, at least 1: those of its CPU affinity (taskset, SLURM), and
    no more than the quota of its cgroup (a container's limit) pays for. A machine has often many more.
    """
    from joblib import cpu_count  # a tenth of a second, for few callers

    return cpu_count()
