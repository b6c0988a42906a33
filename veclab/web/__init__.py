"""A table in the browser: matches of `veclab.table`, served as one page to this machine. See `vecgame play --web`."""
