"""A person at the table: matches against agents, on a terminal or as plain lines. See `vecgame play`."""
