"""The attribute network: features of the Fréchet distance where Inception's published weights are not used."""

from replication.methods import ONLY_PART, Method, Part
from replication.methods.attributes.settings import AttributeSettings

METHOD = Method(
    name="attributes",
    title="attribute network",
    paper="none; this suite's own",
    settings=AttributeSettings,
    parts=(
        Part(
            ONLY_PART,
            "replication.methods.attributes.training",
            fields=frozenset({"attributes"}),
            holes=False,
            together=False,
        ),
    ),
    module="replication.methods.attributes.opening",
    inpaints=False,
    features=True,
    training_panel="replication.methods.attributes.panels:accuracy_by_attribute",
)
