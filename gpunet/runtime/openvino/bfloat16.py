"""Whether OpenVINO computes in bfloat16 here with the processor's own instructions.

It says that it has bfloat16 on processors without such instructions too: there it takes them apart, up to three times
as slow as float32, or fails. So it is asked what it makes of a small product: only kernels by blocks ('brgemm') exist
for native instructions alone.
"""

from __future__ import annotations

import functools
import os
from typing import Any

_LIMIT = "ONEDNN_MAX_CPU_ISA"
_NATIVE = "brgemm"


@functools.cache
def lacks_bfloat16(core: Any) -> str:
    """Why it does not, as a sentence's part; '' where it does.

    Args:
        core: the process's openvino.Core.
    """
    import numpy as np
    import openvino as ov
    from openvino import opset13

    entering = opset13.parameter([1, 32, 16, 16], np.float32)
    product = opset13.matmul(entering, opset13.constant(np.ones((16, 16), np.float32)), False, False)
    try:
        settings = {"INFERENCE_PRECISION_HINT": "bf16"}
        compiled = core.compile_model(ov.Model([product], [entering], "product"), "CPU", settings)
        said = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
        if any(_NATIVE in each["primitiveType"].astype(str) for each in said
               if each["runtimePrecision"].astype(str) == "bf16"):  # fmt: skip
            return ""
    except RuntimeError:  # it has no kernels of it at all
        pass
    held = os.environ.get(_LIMIT)
    limited = f", or {_LIMIT}={held} keeps them from it" if held else ""
    return f"it has no instructions for it (AVX512-BF16 or AMX){limited}"
