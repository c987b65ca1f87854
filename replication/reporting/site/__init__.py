"""One page that joins everything."""
