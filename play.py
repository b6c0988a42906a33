"""Plays Blob, or another game, at the terminal: `vecgame play` in a clone."""

from veclab.cli import main

if __name__ == "__main__":
    main("play")
