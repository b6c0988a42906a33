"""Measurements: what `vecgame bench` runs."""
