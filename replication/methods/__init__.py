"""One module per published system."""
