"""Importers: one file a framework, from its objects to a graph."""
