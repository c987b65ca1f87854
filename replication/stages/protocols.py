"""A protocol of params.yaml as a rule by which pairs are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replication.data.pair_rules import PairRule
from replication.errors import InputError
from replication.settings import hint

if TYPE_CHECKING:
    from replication.config import Parameters


def check_protocol(parameters: Parameters, protocol: str, dataset: str) -> PairRule:
    """A protocol's rule, as far as the parameters alone can tell that the data set has what it needs.

    Raises:
        InputError: no such protocol, it does not name the data set, or the set cannot have a field that it needs.
    """
    if protocol not in parameters.protocols:
        raise InputError(f"protocol {protocol!r} does not exist{hint(protocol, parameters.protocols)}")
    own = parameters.protocols[protocol]
    if dataset not in own.datasets:
        allowed = hint(dataset, own.datasets)
        raise InputError(f"protocols.{protocol}.datasets: {dataset!r} is not among them{allowed}")
    rule = PairRule(protocol, own.holes, own.regions, own.exemplar)
    rule.require(parameters.data_set(dataset).possible_fields, dataset)
    return rule
