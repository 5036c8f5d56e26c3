"""Finite domains: where an acquisition is greatest on them."""
