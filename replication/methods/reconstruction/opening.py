"""Opening a trained autoencoder."""

from __future__ import annotations

from replication.methods import ONLY_PART, TrainedRun
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork


def open_run(trained: TrainedRun) -> ReconstructionEncoder:
    """The frozen encoder on the run's device."""
    autoencoder = ReconstructionNetwork(trained.settings.width)
    autoencoder.load_state_dict(trained.weights(ONLY_PART))
    return ReconstructionEncoder(autoencoder).to(trained.device)
