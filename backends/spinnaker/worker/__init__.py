"""Files of sPyNNaker's worker: run by path in an environment of its own, never imported by spikeport."""
