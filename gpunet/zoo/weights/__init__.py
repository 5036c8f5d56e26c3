"""Weights: found, fetched, converted from NVIDIA's layout, checked, loaded."""
