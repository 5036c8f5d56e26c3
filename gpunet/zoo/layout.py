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
