"""The stages of a run by name, in order, and the plans that need no file."""

from __future__ import annotations

STAGES = ("table", "tiers", "search", "winners", "publish", "report")
PARTS = {"fine-tune": "winners", "export": "winners", "measure": "winners"}
"""Steps that a tier's candidates go through one after the other, by the stage that takes them."""

PRESET_NAMES = ("demo", "demo-small")
