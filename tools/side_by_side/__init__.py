"""What the front of tools/bench_export.py runs: files measured in turn, and their ratios."""
