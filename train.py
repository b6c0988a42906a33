"""Trains an agent for Blob, or another card game, by batched self-play: `vecgame train` in a clone."""

from veclab.cli import main

if __name__ == "__main__":
    main("train")
