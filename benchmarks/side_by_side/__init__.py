"""What the front of benchmarks/bench_export.py runs: files measured in turn, and their ratios."""
