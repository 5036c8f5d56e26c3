"""The parts of benchmarks/bench_search.py."""
