"""The attribute network, the offline features of the Fréchet distance."""
