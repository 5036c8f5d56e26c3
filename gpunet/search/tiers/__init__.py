"""Latency tiers: a space sampled by the million, sorted by estimated latency, searched in part."""
