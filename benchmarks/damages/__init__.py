"""Damages to ONNX graphs, for `benchmarks/bench_proofs.py` and the tests of the proofs."""

from damages.kinds import DAMAGES, Damage, damaged

__all__ = ["DAMAGES", "Damage", "damaged"]
