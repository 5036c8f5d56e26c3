"""The zoo: entries, queries, weights, and the records measured on this machine."""
