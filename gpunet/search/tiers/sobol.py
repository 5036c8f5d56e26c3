"""Scrambled Sobol points by the chunk: torch's sequence, number for number, but any chunk alone and on any thread.

Notation, of a sequence in Gray-code order:

    g(n)    Gray code of n: n ^ (n >> 1)
    V_j     direction number of bit j, a row of 30-bit integers, one a dimension
    X(n)    the exclusive or of all V_j whose bit is set in g(n); point n is (X(n) ^ shift) / 2^30

X is linear, so that a chunk that starts at a multiple of its size is one row, exclusive-ored to every row of the first
chunk. torch's own `draw` goes point by point, and its threads wait for those of others.
"""

from __future__ import annotations

import numpy as np

BITS = 30


class SobolChunks:
    """The points of `torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed)`.

    Args:
        dimensions: of a point.
        seed: of the scrambling.
        size: points of a chunk, a power of two.
    """

    def __init__(self, dimensions: int, seed: int, size: int) -> None:
        import torch

        engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed)
        self._directions = engine.sobolstate.numpy().T.astype(np.int32)
        self._shift = engine.shift.numpy().astype(np.int32)
        self._size = size
        self._first = np.zeros((size, dimensions), np.int32)
        for bit in range(size.bit_length() - 1):
            known = 1 << bit
            self._first[known : 2 * known] = self._first[:known] ^ self._row(known)

    def _row(self, number: int) -> np.ndarray:
        """X(number)."""
        gray = number ^ (number >> 1)
        bits = [bit for bit in range(BITS) if gray >> bit & 1]
        return np.bitwise_xor.reduce(self._directions[bits], axis=0)

    def chunk(self, number: int, count: int | None = None) -> np.ndarray:
        """Points `number * size` and following, float32 in [0, 1]: `count` of them, or the whole chunk."""
        row = self._row(number * self._size) ^ self._shift
        points = (self._first[:count] ^ row).astype(np.float32)
        points *= np.float32(2.0**-BITS)
        return points
