"""Files of the Lava worker: run by path in an environment of its own, never imported by spikeport."""
