"""Runs: self-play, learning, and what a run keeps."""
