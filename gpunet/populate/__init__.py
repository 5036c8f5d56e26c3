"""A device's zoo from a plan: a folder of state, and a file a stage."""
