"""Faults on purpose: as text, in the network, in a device, on the way to a daemon."""
