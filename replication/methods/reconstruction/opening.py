"""Opening a trained autoencoder."""

from __future__ import annotations

from replication.methods import ONLY_PART, TrainedRun
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork


def open_run(trained: TrainedRun) -> ReconstructionEncoder:
    """The frozen encoder on the run's device."""
    return ReconstructionEncoder(open_autoencoder(trained)).to(trained.device)


def open_autoencoder(trained: TrainedRun) -> ReconstructionNetwork:
    """Encoder and decoder in evaluation mode, on the CPU."""
    autoencoder = ReconstructionNetwork(trained.settings.width)
    autoencoder.load_state_dict(trained.weights(ONLY_PART))
    return autoencoder.eval()
