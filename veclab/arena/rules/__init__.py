"""Rule-based players, one file a game: no search, no network, one pass of tensor operations for a whole batch."""
