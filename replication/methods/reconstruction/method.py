"""The autoencoder whose encoder InCo2 looks through (ShowFace, section 3.5)."""

from replication.methods import ONLY_PART, Method, Part
from replication.methods.reconstruction.settings import ReconstructionSettings

METHOD = Method(
    name="reconstruction",
    title="reconstruction autoencoder",
    paper="showface",
    settings=ReconstructionSettings,
    parts=(Part(ONLY_PART, "replication.methods.reconstruction.training", holes=False, together=False),),
    module="replication.methods.reconstruction.opening",
    inpaints=False,
    training_panel="replication.methods.reconstruction.panels:rebuilt_faces",
)
