"""Private: what a run trains a network for."""
