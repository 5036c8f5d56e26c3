"""PyTorch itself, eager: what a network costs before any deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.base import check_images, check_precision, check_threads, installed, installed_version, kind_of

if TYPE_CHECKING:
    import numpy as np


class Torch:
    """See `gpunet.runtime.base.Runtime`. Runs an nn.Module where it lies, in evaluation and inference mode.

    torch's number of threads is a setting of the whole process: each run sets it and sets it back.
    """

    name = "pytorch"
    precisions = ("fp32",)
    device = "cpu"

    def version(self) -> str:
        """See `Runtime.version`."""
        return installed_version(self.name, ("torch",))

    def unavailable(self) -> str | None:
        """See `Runtime.unavailable`."""
        return None if installed("torch") else "torch is not installed (pip install torch)."

    def load(self, source: Any, *, precision: str = "fp32", threads: int | None = None) -> TorchSession:
        """See `Runtime.load`."""
        check_precision(self.name, precision, self.precisions)
        threads = check_threads(threads)
        import torch

        if not isinstance(source, torch.nn.Module):
            raise InvalidArgumentError(
                f"the runtime {self.name!r} runs an nn.Module, but got {kind_of(source)}.",
                "Give the model itself, or choose a runtime that runs ONNX.",
            )
        tensors = [*source.parameters(), *source.buffers()]
        kinds = {tensor.dtype for tensor in tensors if tensor.is_floating_point()} - {torch.float32}
        if kinds:
            raise InvalidArgumentError(
                f"precision 'fp32' is for a model in float32, but this one holds {', '.join(map(str, kinds))}.",
                "Convert it: model.float().",
            )
        return TorchSession(torch, source, self.version(), precision, threads)


class TorchSession:
    """See `gpunet.runtime.base.Session`. A module in training mode is put into evaluation mode for each run."""

    runtime = Torch.name
    input_shape: tuple[int | None, ...] = (None, None, None, None)

    def __init__(self, torch: Any, module: Any, version: str, precision: str, threads: int) -> None:
        self.runtime_version = version
        self.precision = precision
        first = next(module.parameters(), None)
        self._place = torch.device("cpu") if first is None else first.device
        self.device = "cpu" if self._place.type == "cpu" else "gpu"
        self.threads: int | None = threads if self.device == "cpu" else None
        self.conditions: Mapping[str, Any] = {"mode": "eager"}
        if self.device == "gpu":
            self.conditions = {"mode": "eager", "host_transfers": True}
        self._torch = torch
        self._module = module
        self._threads = threads

    def run(self, images: np.ndarray) -> np.ndarray:
        """See `Session.run`."""
        check_images(images, self.input_shape)
        torch = self._torch
        before = torch.get_num_threads()
        training = [each for each in self._module.modules() if each.training] if self._module.training else []
        if training:
            self._module.eval()
        if self._threads != before:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                batch = torch.from_numpy(images if images.flags.writeable else images.copy())
                logits: np.ndarray = self._module(batch.to(self._place)).cpu().numpy()
            return logits
        except RuntimeError as error:
            raise InvalidArgumentError(
                f"the model cannot run on images of {' x '.join(map(str, images.shape))}: {error}"
            ) from error
        finally:
            if self._threads != before:
                torch.set_num_threads(before)
            for each in training:
                each.training = True
