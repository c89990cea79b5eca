"""Runners of programs: the contract, the registry, and a module or folder for each."""
