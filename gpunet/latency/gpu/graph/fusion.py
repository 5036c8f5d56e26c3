"""Which operations TensorRT runs as one kernel: its documented rules, as far as they decide a latency.

1. A convolution or product takes the BatchNorm behind it into its weights.
2. It takes the cheap activation behind it, and a sum with a finished activation (a residual) and the activation behind
   that, where its own output has no other reader: the later of the two operands' makers takes the sum.
3. A swish (SiLU, hard swish, GELU, mish) is a kernel of its own, which reads and writes the map: TensorRT 8.0 never
   takes one into a product; what later releases spare of it is a constant of the models of latency.
4. Neighbouring elementwise operations are one pointwise kernel. A product with a value a channel (squeeze-excitation)
   begins one.
5. Concatenation costs nothing: its operands are written in place. What is read by several concatenations can lie in one
   place alone and is copied for the others.
6. Padding in front of a convolution or pooling is the convolution's.
7. A multiplication with a constant behind a product is the product's factor; views cost nothing.
8. A move of elements (a transposition) whose result only products, sums and normalisations read, or which only reads
   what attention makes, is an address of theirs.
9. Everything else is a kernel.

Sources: NVIDIA TensorRT developer guide, "Types of fusions"; engines' layer lists as published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gpunet.latency.gpu.graph.operations import Operation
from gpunet.latency.gpu.kernels import Kernel

_MULTIPLIES = ("conv", "grouped", "depthwise", "linear", "attention")
_ELEMENTWISE = ("swish", "pointwise")
_ENDS = (*_MULTIPLIES, *_ELEMENTWISE, "norm", "reduce")  # kernels that take what follows them


@dataclass
class _Open:
    """A kernel that may still take operations."""

    operation: Operation
    kind: str
    read: int
    written: int
    weights: int
    added: int = 0

    def closed(self) -> Kernel:
        of = self.operation
        multiplies = self.kind in _MULTIPLIES
        return Kernel(
            self.kind,
            of.rows if multiplies else 0,
            of.columns if multiplies else 0,
            of.depth if multiplies else 0,
            of.groups if multiplies else 1,
            self.read,
            self.written,
            self.weights,
            self.added,
            of.kernel_size,
            of.stride,
        )


def kernels_of(operations: Sequence[Operation]) -> list[Kernel]:
    """The kernels that a network's operations become, in the order in which they begin."""
    return _Fusion(operations).kernels()


class _Fusion:
    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._readers: Counter[int] = Counter()
        self._read_by: dict[int, set[str]] = {}
        self._concatenated: Counter[int] = Counter()
        for each in operations:
            for number in set(each.inputs):
                self._readers[number] += 1
                self._read_by.setdefault(number, set()).add(each.kind)
                self._concatenated[number] += each.kind == "concat"
        self._kernels: list[_Open] = []
        self._maker: dict[int, int] = {}  # number of an activation -> place of the kernel that makes it

    def kernels(self) -> list[Kernel]:
        for each in self._operations:
            self._take(each)
        return [each.closed() for each in self._kernels]

    def _take(self, each: Operation) -> None:
        if each.kind == "conv":
            self._begin(each, _kind_of_convolution(each))
        elif each.kind == "matmul":
            self._begin(each, "attention" if each.per_image else "linear")
        elif each.kind in ("batchnorm", "act", "swish", "binary"):
            alone = each.kind == "batchnorm" or (each.kind == "binary" and len(each.inputs) == 1)
            if each.kind == "swish" or not (self._fold(each) if alone else self._append(each)):
                self._pointwise(each)
        elif each.kind == "concat":
            self._concatenate(each)
        elif (each.kind == "pad" and self._read_by.get(each.output, set()) <= {"conv", "pool"}) or (
            each.kind == "copy" and self._addressed(each)
        ):
            self._pass(each)
        else:
            self._begin(each, {"pad": "copy"}.get(each.kind, each.kind))

    def _begin(self, each: Operation, kind: str) -> None:
        self._maker[each.output] = len(self._kernels)
        self._kernels.append(_Open(each, kind, sum(each.read), each.written, each.weights))

    def _pass(self, each: Operation) -> None:
        """The operation costs nothing: its output is its maker's."""
        if each.inputs[0] in self._maker:
            self._maker[each.output] = self._maker[each.inputs[0]]

    def _open_maker(self, number: int) -> tuple[int, _Open] | None:
        place = self._maker.get(number)
        if place is None or self._kernels[place].kind not in _ENDS:
            return None
        return place, self._kernels[place]

    def _fold(self, each: Operation) -> bool:
        """Into the product that makes its input, which nothing else reads."""
        found = self._open_maker(each.inputs[0])
        if found is None or found[1].kind in _ELEMENTWISE or self._readers[each.inputs[0]] > 1:
            return False
        self._maker[each.output] = found[0]
        return True

    def _append(self, each: Operation) -> bool:
        """To the latest kernel that makes one of its operands, whole, which nothing else reads (activations: anybody
        may).
        """
        found = [(*maker, number, read) for number, read in zip(each.inputs, each.read, strict=True)
                 if (maker := self._open_maker(number)) is not None]  # fmt: skip
        if not found:
            return False
        place, kernel, number, read = max(found, key=lambda item: item[0])
        if kernel.kind in _ELEMENTWISE:
            return False  # `_pointwise` joins it
        alone = self._readers[number] == 1 or (each.kind == "act" and len(each.inputs) == 1)
        if not alone or each.written > read:  # spread over a larger map
            return False
        kernel.added += sum(each.read) - read
        self._maker[each.output] = place
        return True

    def _pointwise(self, each: Operation) -> None:
        """Join the pointwise kernel before it, or begin one."""
        found = [(*maker, number, read) for number, read in zip(each.inputs, each.read, strict=True)
                 if (maker := self._open_maker(number)) is not None and maker[1].kind in _ELEMENTWISE]  # fmt: skip
        if found:
            place, kernel, number, read = max(found, key=lambda item: item[0])
            if self._readers[number] == 1 and each.written <= read:
                kernel.read += sum(each.read) - read
                kernel.written = each.written
                self._maker[each.output] = place
                return
        behind = self._maker.get(each.inputs[0])
        behind_product = behind is not None and self._kernels[behind].kind in _MULTIPLIES
        self._begin(each, "swish" if each.kind == "swish" and behind_product else "pointwise")

    def _concatenate(self, each: Operation) -> None:
        moved = sum(read for number, read in zip(each.inputs, each.read, strict=True)
                    if self._concatenated[number] > 1)  # fmt: skip
        if moved:
            self._maker[each.output] = len(self._kernels)
            self._kernels.append(_Open(each, "copy", moved, moved, 0))

    def _addressed(self, each: Operation) -> bool:
        readers = self._read_by.get(each.output, set())
        if readers and readers <= {"matmul", "binary", "norm"}:
            return True
        place = self._maker.get(each.inputs[0])
        return place is not None and self._kernels[place].kind == "attention" and self._readers[each.inputs[0]] == 1


def _kind_of_convolution(each: Operation) -> str:
    if each.groups == 1:
        return "conv"
    return "depthwise" if each.depth == each.kernel_size**2 and each.columns == 1 else "grouped"
