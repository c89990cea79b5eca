"""Targets: one frozen description a chip, loaded from TOML, every number with unit, class and source."""
