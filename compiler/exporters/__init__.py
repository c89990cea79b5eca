"""Exporters: a graph under its profile, written so that one library's own NIR importer builds the same network."""
