"""Lowering to Loihi's integer arithmetic: `lower_to_loihi`."""

from spikeport.compiler.integer.lowered import Lowered
from spikeport.compiler.loihi.lower import lower_to_loihi

__all__ = ["Lowered", "lower_to_loihi"]
