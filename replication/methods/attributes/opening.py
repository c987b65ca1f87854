"""Opening a trained attribute network as a feature extractor."""

from __future__ import annotations

from replication.methods import ONLY_PART, TrainedRun
from replication.methods.attributes.network import AttributeFeatures, AttributeNetwork


def open_run(trained: TrainedRun) -> AttributeFeatures:
    """The frozen features on the run's device."""
    # Distances by another training of this network are other distances: results say which one it was.
    sha256 = trained.cards[ONLY_PART]["weights_sha256"]
    return AttributeFeatures(open_classifier(trained), sha256=sha256).to(trained.device)


def open_classifier(trained: TrainedRun) -> AttributeNetwork:
    """The whole network with its logits, in evaluation mode, on the CPU."""
    tensors = trained.weights(ONLY_PART)
    network = AttributeNetwork(attributes=len(tensors["head.bias"]), width=trained.settings.width)
    network.load_state_dict(tensors)
    return network.eval()
