"""Labelled images: opened, decoded, prepared, in batches."""
