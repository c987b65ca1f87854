"""ExGAN (Dolhansky and Canton Ferrer 2018, arXiv 1712.03999): the printed table, claims and their checks."""
