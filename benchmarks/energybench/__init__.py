"""Parts of ``benchmarks/energy.py``: what was measured, and on which networks."""
