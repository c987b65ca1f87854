"""The face parser: labels that others read, and a loss looks through."""

from replication.methods import ONLY_PART, Method, Part
from replication.methods.parser.settings import ParserSettings

METHOD = Method(
    name="parser",
    title="face parser (BiSeNet)",
    paper="Yu et al. 2018, BiSeNet",
    settings=ParserSettings,
    parts=(
        Part(
            ONLY_PART, "replication.methods.parser.training", fields=frozenset({"parsing"}), holes=False, together=False
        ),
    ),
    module="replication.methods.parser.opening",
    inpaints=False,
    training_panel="replication.methods.parser.panels:labels_of_faces",
)
