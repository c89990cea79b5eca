"""Parts of ``benchmarks/engine.py``: the networks, the peers, the clock and the tables."""
