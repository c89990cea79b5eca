"""Lowering to the arithmetic of SpiNNaker 1's cores: `lower_to_spinnaker`."""

from spikeport.compiler.integer.lowered import Lowered
from spikeport.compiler.spinnaker.lower import lower_to_spinnaker

__all__ = ["Lowered", "lower_to_spinnaker"]
