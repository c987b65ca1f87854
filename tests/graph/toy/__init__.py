"""Toy: one convolution over the masked image and noise; a system for tests, as small as a system can be."""
