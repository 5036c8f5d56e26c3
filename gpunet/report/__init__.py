"""What a search found, as one HTML page and as pictures; and latency against accuracy."""
