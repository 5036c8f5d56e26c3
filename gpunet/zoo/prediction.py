"""What a network makes of a picture: its classes by name, the likeliest first.

A picture is read as evaluation reads it, and prepared as the network's own preprocessing says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.arguments import checked_integer
from gpunet.errors import FAILED_EXIT_CODE, InvalidArgumentError
from gpunet.exporters.metadata import FileFacts, facts_of_file
from gpunet.model.classes import class_names, classes_of
from gpunet.model.origin import UNTRAINED, origin_of
from gpunet.zoo.file_session import image_config_of_file, session_from_file

if TYPE_CHECKING:
    from torch import nn

    from gpunet.runtime import Session

TOP_K = 5
_WANTED = "a path, a PIL image, a uint8 array H x W x 3 (or H x W), or a float32 array C x H x W that is prepared"


@dataclass(frozen=True)
class Prediction:
    """A class that a picture may be of.

    Args:
        class_name: the name that the network's entry or file has for it, ImageNet's in words; else 'class 0', ...
        class_number: its place among the network's outputs, from 0.
        probability: from 0 to 1; those of all classes make 1.
    """

    class_name: str
    class_number: int
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class Predictor:
    """A network that is ready to run, and what turns pictures into its input and its output into classes.

    Args:
        session: runs the network.
        config: how it takes pictures: input_size, mean, std, interpolation, crop_pct.
        classes: their names in order; none for 'class 0', 'class 1', ...
        untrained: its weights are said to be drawn at random, so that its answers mean nothing.
    """

    def __init__(
        self,
        session: Session,
        config: Mapping[str, Any],
        classes: Sequence[str] | None = None,
        *,
        untrained: bool = False,
    ) -> None:
        from gpunet.model.preprocessing import evaluation_transform
        from gpunet.train.evaluation.evaluate import runner_from_session

        self.session = session
        self.config = dict(config)
        self._run, _ = runner_from_session(session)
        self._transform = evaluation_transform(self.config)
        self.untrained = untrained
        self._named = classes
        self._classes: tuple[str, ...] = ()

    def predict(self, image: Any, *, top_k: int = TOP_K) -> list[Prediction]:
        """The likeliest classes of one picture; see `prepared` for what it may be."""
        return self.predict_prepared(self.prepared(image)[None], top_k=top_k)[0]

    def prepared(self, image: Any) -> np.ndarray:
        """A picture as the network takes it: `C x H x W`, float32.

        Args:
            image: a path; a PIL image; an array or tensor of uint8, `H x W` or `H x W x 3`; or one of float32, `C x H x
                W`, that is prepared already.

        Raises:
            InvalidArgumentError: (a ValueError) it is none of these.
            DataError: (a ValueError) there is no such file, or it cannot be read as a picture.
        """
        from PIL import Image

        from gpunet.model.decoding import read_picture

        if isinstance(image, (str, Path)):
            picture = read_picture(Path(image).expanduser())
        elif isinstance(image, Image.Image):
            picture = image.convert("RGB")
        else:
            array = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image)
            if array.dtype == np.float32 and array.shape == tuple(self.config["input_size"]):
                return array
            if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)):
                raise InvalidArgumentError(
                    f"image must be {_WANTED}, but got {array.dtype} of shape {array.shape}.",
                    f"This network takes {' x '.join(map(str, self.config['input_size']))}.",
                )
            picture = Image.fromarray(array).convert("RGB")
        return np.asarray(self._transform(picture), dtype=np.float32)

    def predict_prepared(self, images: np.ndarray, *, top_k: int = TOP_K) -> list[list[Prediction]]:
        """The likeliest classes of each of `n x C x H x W` prepared images, the first being the likeliest.

        Args:
            images: float32; n may be any number.
            top_k: classes of each; fewer where the network has fewer.

        Raises:
            InvalidArgumentError: (a ValueError) top_k is no integer of 1 or more, the images do not fit, or the
                network names other classes than it has.
        """
        checked_integer("top_k", top_k, 1)
        logits = np.asarray(self._run(images), dtype=np.float64)
        if self._named and len(self._named) != logits.shape[1]:
            raise InvalidArgumentError(
                f"the network names {len(self._named)} classes, but answers with {logits.shape[1]} numbers.",
                "Its metadata is another network's: export it again.",
                exit_code=FAILED_EXIT_CODE,
            )
        if len(self._classes) != logits.shape[1]:
            self._classes = class_names(logits.shape[1], self._named)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        order = np.argsort(-logits, axis=1, kind="stable")[:, :top_k]
        return [
            [Prediction(self._classes[number], number, float(row[number])) for number in places.tolist()]
            for row, places in zip(probabilities, order, strict=True)
        ]


class ExportedNetwork(Predictor):
    """An exported file, ready to run: a session (see `gpunet.runtime.Session`) that also takes pictures.

    Attributes:
        path: the file.
        runtime, runtime_version, precision, threads, device, input_shape, conditions: as of every session.
    """

    def __init__(self, path: Path, session: Session, config: Mapping[str, Any], facts: FileFacts) -> None:
        super().__init__(session, config, facts.classes, untrained=facts.weights.state == UNTRAINED)
        self.path = path
        self.runtime, self.runtime_version = session.runtime, session.runtime_version
        self.precision, self.threads, self.device = session.precision, session.threads, session.device
        self.input_shape, self.conditions = session.input_shape, session.conditions

    def run(self, images: np.ndarray) -> np.ndarray:
        """`N x C x H x W` float32 images, prepared -> `N x classes` logits; see `gpunet.runtime.Session`."""
        return self.session.run(images)


def load_exported(
    path: str | Path, *, runtime: str | None = None, precision: str | None = None, threads: int | None = None
) -> ExportedNetwork:
    """Open a file that gpunet exported: `.predict(image)` gives its classes, `.run(images)` its logits.

    Args:
        path: .onnx, OpenVINO's .xml, or an engine (.engine, .plan) with its sidecar beside it.
        runtime: that is to run it, for ONNX; None for the best that can.
        precision: to compute in; see `gpunet.zoo.file_session.session_from_file`.
        threads: threads that compute; None for all available. Of no effect on a GPU.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file, it cannot be read, is nothing that this runtime
            runs, or does not say how it takes pictures.
        ChecksumError: (a RuntimeError) an engine is not the one that its sidecar describes.
        RuntimeUnavailableError: (a RuntimeError) nothing here can run it; the hint says what can.
    """
    path = Path(path).expanduser()
    session = session_from_file(path, runtime=runtime, precision=precision, threads=threads)
    facts = facts_of_file(path, agreeing=True)
    return ExportedNetwork(path, session, image_config_of_file(path, facts.preprocessing, session), facts)


def predictor_of(model: nn.Module, *, on: str | None = None, threads: int | None = None) -> Predictor:
    """A PyTorch model, ready to be asked.

    Args:
        model: a GPUNet or a model of timm's.
        on: 'cpu', 'cuda', 'cuda:1'; None for a GPU where there is one.
        threads: threads that compute on the CPU; None for all available.

    Raises:
        TrainingError: (a RuntimeError) there is no such device here.
    """
    from gpunet import runtime as runtimes
    from gpunet.model.preprocessing import image_config
    from gpunet.train.processes import device_named

    untrained = origin_of(model).state == UNTRAINED
    session = runtimes.get("pytorch").load(model.eval().to(device_named(on)), threads=threads)
    return Predictor(session, image_config(model), classes_of(model), untrained=untrained)
