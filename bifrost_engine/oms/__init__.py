"""Orders and their life: the state machine, and what manages many orders by it."""
