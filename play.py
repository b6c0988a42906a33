"""Plays a match of Blob at the terminal: `vecgame play` in a clone."""

from veclab.cli import main

if __name__ == "__main__":
    main("play")
