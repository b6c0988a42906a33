"""Measurements: what `bench.py` runs."""
