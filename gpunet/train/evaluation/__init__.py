"""Score networks and exported files on labelled images."""
