"""What a saved agent is, and the agents that come with the program."""
