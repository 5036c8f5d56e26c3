"""Finite domains: where to start in them, and where an acquisition is greatest on them."""
