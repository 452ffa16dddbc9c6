"""From one store to another, a partition at a time."""
