"""Private: processes of a search or of a table's builders, on this machine or on a Ray cluster."""
