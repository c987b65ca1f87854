"""Getting what others publish: sources as data, transfers that resume, checks before anything is taken for whole."""
