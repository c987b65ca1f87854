"""MDRNets (Wu et al. 2022, ShowFace): a coarse face refined under control of a memory."""

from replication.methods import ONLY_PART, Diagnosis, Method, Panel, Part
from replication.methods.mdrnet.settings import MDRNetSettings

_FIRST_STAGE = ("parser", "pconv:coarse.run", "pconv:coarse.for_ffhq")
_PANELS = "replication.methods.mdrnet.panels"

METHOD = Method(
    name="mdrnet",
    title="MDRNets",
    paper="showface",
    settings=MDRNetSettings,
    parts=(
        Part(
            "first_stage",
            "replication.methods.mdrnet.first_stage",
            needs=_FIRST_STAGE,
            per="dataset",
            settings=("coarse", "first_stage"),
        ),
        Part(
            ONLY_PART,
            "replication.methods.mdrnet.training",
            needs=("first_stage", *_FIRST_STAGE, "reconstruction"),
        ),
    ),
    module="replication.methods.mdrnet.inpainter",
    curves=("reconstruction", "generator", "discriminator"),
    panels=(
        Panel("overview", "Input, coarse face, parsing and completion", f"{_PANELS}:overview"),
        Panel("memory_reads", "Memory reads of each class", f"{_PANELS}:memory_reads"),
        Panel("slot_usage", "Slot usage", f"{_PANELS}:slot_usage"),
        Panel("correlation", "Correlation of a hole patch", f"{_PANELS}:correlation"),
        Panel("spade", "SPADE inputs", f"{_PANELS}:spade"),
        Panel("error", "Error per pixel", f"{_PANELS}:error"),
    ),
    opens=_FIRST_STAGE,
    diagnosis=Diagnosis("replication.methods.mdrnet.inertness:sentences", tables=(2, 4)),
)
