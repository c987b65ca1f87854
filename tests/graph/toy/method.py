"""Toy: a system as small as a system can be."""

from replication.methods.toy.settings import ToySettings

from replication.methods import ONLY_PART, Method, Panel, Part

METHOD = Method(
    name="toy",
    title="Toy",
    paper="showface",
    settings=ToySettings,
    parts=(
        Part("mean", "replication.methods.toy.mean", settings=("schedule",)),
        Part(ONLY_PART, "replication.methods.toy.network", needs=("mean",)),
    ),
    module="replication.methods.toy.network",
    curves=("loss",),
    panels=(Panel("noise", "The noise that was drawn", "replication.methods.toy.panels:noise"),),
)
