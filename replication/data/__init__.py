"""Faces, masks and their pairing: from sources to batches."""
