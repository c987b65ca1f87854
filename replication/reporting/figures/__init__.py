"""Figures of the papers from stored samples."""
