"""From a network to a file that is deployed: ONNX, made fast and checked against PyTorch before it is kept.

    onnx      export: one verified .onnx file; onnx_from_network: the model in memory
    trace     torch.onnx, kept away from the user's model, warnings and settings
    graph, channels   what makes the graph faster than torch.onnx leaves it, without changing what it computes
    verify    any two sessions compared on the same images
    images    the images: photographs, else synthetic pictures; and noise
    batch     the batch sizes that a file takes

`gpunet.export` is this package and can be called: `gpunet.export(model, path)` is `gpunet.export.onnx.export`.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpunet.export.onnx import ExportReport


class _CallablePackage(types.ModuleType):
    """A function and a package of one name cannot both be `gpunet.export`: whichever is imported last would win."""

    def __call__(self, *arguments: Any, **options: Any) -> ExportReport:
        """See `gpunet.export.onnx.export`."""
        from gpunet.export.onnx import export

        return export(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
