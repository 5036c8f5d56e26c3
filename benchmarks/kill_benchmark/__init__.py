"""The parts of bench_kill.py."""
