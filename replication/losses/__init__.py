"""Loss terms, each with its paper equation."""
