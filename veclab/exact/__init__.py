"""Games small enough to be laid out whole: all deals, what seats know, all that may happen, and equilibria."""
