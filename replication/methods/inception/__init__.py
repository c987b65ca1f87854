"""Inception with pytorch-fid's weights: the features that make a Fréchet distance an FID."""
