"""Passes: one file each, a pure function from a verified graph to a verified graph."""
