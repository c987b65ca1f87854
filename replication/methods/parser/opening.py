"""Opening a trained or imported parser."""

from __future__ import annotations

from replication.methods import ONLY_PART, TrainedRun
from replication.methods.parser.bisenet import BiSeNet, FaceParser


def open_run(trained: TrainedRun) -> FaceParser:
    """The frozen parser on the run's device."""
    p = trained.settings
    network = BiSeNet(width=p.width, output_stride=p.output_stride)
    network.load_state_dict(trained.weights(ONLY_PART))
    return FaceParser(network, p.upscale).to(trained.device, memory_format=trained.memory_format)
