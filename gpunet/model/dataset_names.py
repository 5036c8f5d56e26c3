"""What images an accuracy is of, by one spelling: accuracies are compared on the same ones only."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable

from gpunet.errors import InvalidArgumentError

IMAGENET = "ImageNet-1k validation"
"""What queries rank by unless they are told otherwise: the set that published accuracies are of."""

_SPLITS = {"val": "validation", "valid": "validation", "eval": "validation", "training": "train"}
# ImageNet-1k by the names that papers, timm, torchvision, TensorFlow Datasets and folders have for it.
_IMAGENET = {"imagenet", "imagenet1k", "imagenet1kwds", "imagenet2012", "ilsvrc", "ilsvrc2012", "imagenetilsvrc2012"}


@functools.lru_cache(maxsize=1024)
def canonical_dataset(name: str) -> str:
    """The one spelling of a data set's name.

    ImageNet-1k's validation images have many names ('imagenet-1k', 'ILSVRC2012 (val)', 'hfds/timm/imagenet-1k-wds
    (validation)', a folder called imagenet): they are 'ImageNet-1k validation'. Of others only the spaces change.
    """
    words = _words(name.replace("\\", "/").rsplit("/", 1)[-1])
    split = words.pop() if len(words) > 1 and words[-1] in ("validation", "train", "test") else "validation"
    if split == "validation" and "".join(words) in _IMAGENET:
        return IMAGENET
    return " ".join(name.split())


def dataset_key(name: str) -> str:
    """Equal for spellings of one data set: case, spaces, punctuation and the short names of splits do not matter."""
    return " ".join(_words(canonical_dataset(name)))


def _words(name: str) -> list[str]:
    found = re.findall(r"\w+", name.casefold().replace("_", " "))
    return [_SPLITS.get(word, word) for word in found]


def dataset_named(asked: str | None, known: Iterable[str]) -> str:
    """The data set that a query is about: ImageNet-1k's validation images where it names none.

    Args:
        asked: a name, or its beginning where only one of the known begins so: 'digits' for 'digits (validation)'.
        known: names of data sets that accuracies are of.

    Raises:
        InvalidArgumentError: no accuracy is of such a set, or of several; the hint names them.
    """
    if asked is None or canonical_dataset(asked) == IMAGENET:
        return IMAGENET
    key, names = dataset_key(asked), {dataset_key(name): canonical_dataset(name) for name in known}
    if key in names:
        return names[key]
    begun = [name for each, name in names.items() if key and each.startswith(f"{key} ")]
    if len(begun) == 1:
        return begun[0]
    shown = ", ".join(repr(name) for name in sorted(begun or {*names.values(), IMAGENET}))
    if begun:
        raise InvalidArgumentError(f"dataset {asked!r} could be one of several.", f"There are {shown}.", nearest=begun)
    close = difflib.get_close_matches(asked, names.values())
    raise InvalidArgumentError(
        f"no accuracy in the zoo is of the data set {asked!r:.120}.", f"There are {shown}.", nearest=close
    )
