"""What benchmarks/bench_optimizers.py compares, and how it judges."""
