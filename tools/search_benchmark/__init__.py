"""The parts of tools/bench_search.py."""
