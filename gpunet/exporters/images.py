"""What an exported network takes and is tried on: photographs, or synthetic pictures where there are none, and noise.

gpunet carries no photographs. Those that scikit-learn, scikit-image and matplotlib ship are read where they lie.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.arguments import is_integer
from gpunet.errors import InvalidArgumentError
from gpunet.model.decoding import read_picture
from gpunet.model.image_folder import read_image_folder

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import nn

# What a user can give: a picture or a folder of pictures, several pictures, or images that are the network's input.
Images = str | Path | Sequence[str | Path] | np.ndarray

SEED = 0
_MOST_OF_A_FOLDER = 64
_MOST_SHIPPED = 4
_SYNTHETIC, _RANDOM = 3, 2
_SHIPPED = (
    ("sklearn", "datasets/images", ("china.jpg", "flower.jpg")),
    ("skimage", "data", ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")),
    ("matplotlib", "mpl-data/sample_data", ("grace_hopper.jpg",)),
)


@dataclass(frozen=True)
class ImageSet:
    """Images as a network takes them.

    Args:
        arrays: `n x C x H x W`, float32, preprocessed.
        kinds: of each: 'photograph', 'synthetic picture', 'given image' or 'random image'.
    """

    arrays: np.ndarray
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def __str__(self) -> str:
        counts = Counter(self.kinds)
        return " and ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())


def shipped_photographs() -> list[Path]:
    """Photographs that installed packages ship, four at most; none of the packages is imported."""
    return list(itertools.islice(_shipped(), _MOST_SHIPPED))


def image_shape(model: nn.Module, input_px: int | tuple[int, int] | None = None) -> tuple[int, int, int]:
    """Channels, height and width of a model's input.

    As `gpunet.model.preprocessing.image_config` says, but for the sides where `input_px` gives them.

    Raises:
        InvalidArgumentError: (a ValueError) nothing says it, or input_px is out of range.
    """
    from gpunet.model.preprocessing import check_side, image_config, says_its_images

    sides: tuple[Any, ...]
    if input_px is not None:
        sides = tuple(input_px) if isinstance(input_px, (tuple, list)) else (input_px, input_px)
        if len(sides) != 2 or any(not is_integer(side) or side < 1 for side in sides):
            raise InvalidArgumentError(
                f"input_px must be an integer of 1 or more, or (height, width), but got {input_px!r}."
            )
        check_side(model, (sides[0], sides[1]))
    elif says_its_images(model):
        sides = tuple(image_config(model)["input_size"][1:])
    else:
        raise InvalidArgumentError(
            f"the input size of this {type(model).__qualname__} is not known: it has neither a spec nor timm's "
            "pretrained_cfg.",
            "Pass input_px=..., e.g. 224.",
        )
    return image_config(model)["input_size"][0], int(sides[0]), int(sides[1])


def image_set(
    model: nn.Module | Mapping[str, Any], image_shape: tuple[int, int, int], images: Images | None = None
) -> ImageSet:
    """Images for a network, with two of noise at the end.

    Args:
        model: says how a picture is prepared (timm's data configuration), or that itself; ImageNet's where it does not.
        image_shape: channels, height and width of its input. Other than three channels are made of the picture's
            mean (one) or of its three in turn.
        images: a picture, a folder (its first 64 pictures by name), several pictures; or an array `n x C x H x W` of
            float32, preprocessed. None for the photographs of installed packages, else three synthetic pictures.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such picture, or it cannot be read; an array of another shape.
    """
    noise = np.random.default_rng(SEED).standard_normal((_RANDOM, *image_shape), dtype=np.float32)
    if isinstance(images, np.ndarray):
        if images.dtype != np.float32 or images.shape[1:] != image_shape or not len(images):
            wanted = " x ".join(map(str, image_shape))
            raise InvalidArgumentError(
                f"images must be a float32 array of n x {wanted}, but got {images.dtype} of shape {images.shape}."
            )
        real, kind = images, "given image"
    else:
        pictures, kind = _pictures(images)
        real = _prepared(model, image_shape, pictures)
    return ImageSet(np.concatenate([real, noise]), (kind,) * len(real) + ("random image",) * _RANDOM)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures below a folder, by name.

    Raises:
        InvalidArgumentError: (a ValueError) it holds none.
    """
    found = read_image_folder(folder, flat=True)
    if not found.samples:
        raise InvalidArgumentError(
            f"images must be a folder with pictures, but {folder} holds none.",
            f"Pictures end in .jpg, .png or whatever else Pillow opens. {found}".strip(),
        )
    return [Path(file) for file, _ in found.samples]


def _shipped() -> Iterator[Path]:
    for package, folder, names in _SHIPPED:
        found = importlib.util.find_spec(package)
        for place in (found.submodule_search_locations or ()) if found else ():
            yield from (path for name in names if (path := Path(place, folder, name)).is_file())


def _pictures(images: str | Path | Sequence[str | Path] | None) -> tuple[list[Image], str]:
    if images is None:
        shipped = shipped_photographs()
        if shipped:
            return [read_picture(path, error=InvalidArgumentError) for path in shipped], "photograph"
        return [synthetic_picture(seed) for seed in range(_SYNTHETIC)], "synthetic picture"
    paths = [Path(images)] if isinstance(images, (str, Path)) else [Path(each) for each in images]
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0]
        paths = pictures_in(folder)[:_MOST_OF_A_FOLDER]
    if not paths:
        raise InvalidArgumentError("images must name at least one picture, but the list is empty.")
    return [read_picture(path, error=InvalidArgumentError) for path in paths], "photograph"


def _prepared(
    model: nn.Module | Mapping[str, Any], image_shape: tuple[int, int, int], pictures: list[Image]
) -> np.ndarray:
    from gpunet.model.preprocessing import evaluation_transform, image_config

    said = image_config(model)
    transform = evaluation_transform({**said, "input_size": image_shape})
    return np.stack([np.asarray(transform(picture), dtype=np.float32) for picture in pictures])


def synthetic_picture(seed: int, side_px: int = 512) -> Image:
    """A picture with the spectrum of photographs (amplitude 1 / frequency) and flat discs and bars for edges."""
    from PIL import Image

    draw = np.random.default_rng(seed)
    frequencies = np.hypot(np.fft.fftfreq(side_px)[:, None], np.fft.rfftfreq(side_px)[None])
    frequencies[0, 0] = 1.0
    spectrum = draw.standard_normal((3, *frequencies.shape)) + 1j * draw.standard_normal((3, *frequencies.shape))
    waves = np.fft.irfft2(spectrum / frequencies, s=(side_px, side_px))
    picture = 128 + 48 * waves / waves.std(axis=(1, 2), keepdims=True)
    rows, columns = np.mgrid[:side_px, :side_px]
    for _ in range(6):
        row, column, radius = draw.integers(side_px), draw.integers(side_px), draw.integers(side_px // 16, side_px // 4)
        shape = np.hypot(rows - row, columns - column) < radius
        if draw.random() < 0.5:
            shape = (abs(rows - row) < radius) & (abs(columns - column) < radius // 4)
        picture[:, shape] = draw.integers(256, size=(3, 1))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0))
