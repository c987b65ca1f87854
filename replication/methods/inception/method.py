"""Inception with pytorch-fid's published weights: the features that make a Fréchet distance an FID."""

from replication.methods import ONLY_PART, Method, Part
from replication.methods.inception.settings import InceptionSettings

METHOD = Method(
    name="inception",
    title="Inception (pytorch-fid)",
    paper="Heusel et al. 2017, FID",
    settings=InceptionSettings,
    parts=(Part(ONLY_PART, "replication.methods.inception.importing", holes=False, together=False, data=False),),
    module="replication.methods.inception.opening",
    inpaints=False,
    features=True,
)
