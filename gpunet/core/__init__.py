"""Private: what every room stands on. Files, fields, machine, signals, console; no room of the house above."""
