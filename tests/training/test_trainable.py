"""The example in the contract runs."""

from __future__ import annotations

import doctest

from replication.training import trainable


def test_example():
    result = doctest.testmod(trainable)
    assert result.attempted >= 4 and result.failed == 0
