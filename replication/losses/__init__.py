"""Loss terms, each with its equation and the paper's number for it."""
