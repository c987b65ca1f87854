"""A replication suite for face inpainting: every table and figure measured again by one pipeline."""

__version__ = "0.1.0"
