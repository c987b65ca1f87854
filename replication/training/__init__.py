"""One loop for every network."""

from replication.training.checkpoint import load_weights, save_weights
from replication.training.fit import FitReport, fit
from replication.training.trainable import Trainable

__all__ = ["FitReport", "Trainable", "fit", "load_weights", "save_weights"]
