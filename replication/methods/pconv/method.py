"""PConv (Liu et al. 2018): a row of ShowFace's Table 1 and, frozen, the first stage of MDRNets."""

from replication.methods import ONLY_PART, Method, Part
from replication.methods.pconv.settings import PConvSettings

METHOD = Method(
    name="pconv",
    title="PConv",
    paper="showface",
    settings=PConvSettings,
    parts=(Part(ONLY_PART, "replication.methods.pconv.training", needs=("parser",)),),
    module="replication.methods.pconv.inpainter",
    curves=("total",),
)
