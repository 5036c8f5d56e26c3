"""The files of a published entry's folder, by what they are for."""

from __future__ import annotations

ENTRY = "entry.json"
LATENCY = "latency.csv"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
PUBLICATION = "publication.json"
LAYOUT = (CARD, CONFIG, ENTRY, LATENCY, WEIGHTS, PUBLICATION)
"""A published entry has all of these, and nothing else of its folder is uploaded."""
STATE, STATE_ZOO = ("plan.json", "space.json"), "zoo"
"""A folder of state of tools/populate_zoo.py's has these files, and its entries in a folder of their own."""
