"""Parts of benchmarks/hil.py."""
