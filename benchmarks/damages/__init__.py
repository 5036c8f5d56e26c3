"""Damages to ONNX graphs, for `benchmarks/bench_proofs.py` and the tests of the proofs."""

from damages.graph import Damage
from damages.kinds import DAMAGES, damaged

__all__ = ["DAMAGES", "Damage", "damaged"]
