"""What the benchmarks of accuracy on a chip's integers share: networks, recordings, and the table that they print."""
