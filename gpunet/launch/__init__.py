"""Start processes and see them to their end: on this machine, or as tasks of a Ray cluster."""
