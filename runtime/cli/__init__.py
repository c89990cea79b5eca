"""The command ``spikeport``."""
