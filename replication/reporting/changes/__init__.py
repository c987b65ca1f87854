"""The pages of a comparison of two revisions."""
