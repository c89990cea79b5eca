"""Lowering to Loihi's integer arithmetic: `lower_to_loihi`."""

from spikeport.compiler.loihi.lower import Lowered, lower_to_loihi

__all__ = ["Lowered", "lower_to_loihi"]
