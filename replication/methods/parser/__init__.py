"""The face parser, which others look through."""
