"""What is said of a name that no model of a zoo has: close ones, or whose it is."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from gpunet.errors import UnknownModelError
from gpunet.model.entry import TIMM

_MOST_NAMED, _MOST_CLOSE = 12, 4


def unknown_model_error(name: str, known: Collection[str], places: Sequence[str | Path]) -> UnknownModelError:
    """The error of a name that is none of a zoo's, and no folder.

    Args:
        name: that was asked for.
        known: the zoo's names.
        places: the zoo's folders besides the package's, and 'timm' for timm's networks.
    """
    close = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=_MOST_CLOSE, cutoff=0.5)
    of_timm = [] if TIMM in places else _of_timm(name)
    if of_timm:
        close = of_timm[:_MOST_CLOSE]
        said = f"timm's networks have it, as {', '.join(close)}: zoo='timm', or --zoo timm."
    elif close:
        said = f"Close names: {', '.join(close)}."
    else:
        shown, more = list(known)[:_MOST_NAMED], len(known) - _MOST_NAMED
        given = f" --zoo {shlex.join(map(str, places))}" if places else ""
        said = f"Its models: {', '.join(shown)}" + (f", and {more:,} more: gpunet list{given}." if more > 0 else ".")
    return UnknownModelError(f"the zoo has no model {name!r}, and there is no folder of it.", said, nearest=close)


def _of_timm(name: str) -> list[str]:
    """The names that timm's catalogue has for a name, a tag or an architecture."""
    from gpunet.zoo.timm_zoo.entries import timm_entries

    found = []
    for entry in timm_entries():
        tag = entry.architecture or ""
        if name in (entry.name, tag, tag.partition(".")[0]):
            found.append(entry.name)
    return found
