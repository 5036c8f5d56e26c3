"""The parts of tools/populate_zoo.py: a plan, a folder of state, and a file a stage."""
