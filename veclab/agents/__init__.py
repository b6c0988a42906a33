"""What a saved agent is, and the agents that come with the program."""

from pathlib import Path

SHIPPED = Path(__file__).parent  # the folder of their networks
