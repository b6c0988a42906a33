"""Measures throughput on this machine, with the physical limit beside it: `vecgame bench` in a clone."""

from veclab.cli import main

if __name__ == "__main__":
    main("bench")
