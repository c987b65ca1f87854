"""Opening a trained attribute network as a feature extractor."""

from __future__ import annotations

from replication.methods import ONLY_PART, TrainedRun
from replication.methods.attributes.network import AttributeFeatures, AttributeNetwork


def open_run(trained: TrainedRun) -> AttributeFeatures:
    """The frozen features on the run's device."""
    tensors, card = trained.weights(ONLY_PART), trained.cards[ONLY_PART]
    network = AttributeNetwork(attributes=len(tensors["head.bias"]), width=trained.settings.width)
    network.load_state_dict(tensors)
    # Distances by another training of this network are other distances: results say which one it was.
    return AttributeFeatures(network, sha256=card["weights_sha256"]).to(trained.device)
