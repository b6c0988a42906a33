"""Players, and how they are compared."""
