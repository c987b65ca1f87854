"""Building blocks named after the literature: partial and gated convolution, SPADE, memory, ..."""
