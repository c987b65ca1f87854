"""ShowFace (Wu et al. 2022, arXiv 2204.02824): printed tables, claims and their checks."""
