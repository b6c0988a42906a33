"""A person at the table: matches against the agents of `training`, on a terminal or as plain lines. See `play.py`."""
