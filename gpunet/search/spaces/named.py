"""Search spaces by name, or from a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gpunet.core.json_files import checked_json
from gpunet.errors import InvalidArgumentError
from gpunet.search.spaces.paper import PAPER_SPACE, RELEASE_SPACE
from gpunet.search.spaces.space import SearchSpace, space_from_dict


def load_space(name: str, resolutions_px: Sequence[int] | None) -> SearchSpace:
    """The space of that name or file, at some of its resolutions.

    Raises:
        InvalidArgumentError: there is none, or it lacks a resolution.
    """
    space: SearchSpace
    if name in ("paper", "release"):
        space = PAPER_SPACE if name == "paper" else RELEASE_SPACE
    else:
        try:
            data = checked_json(Path(name).expanduser(), error=InvalidArgumentError)
        except InvalidArgumentError as error:
            hint = "Give paper, release, or a space's JSON file (docs/search-space.md)."
            raise InvalidArgumentError(f"--space {name}: {error.message}", hint, exit_code=error.exit_code) from None
        space = space_from_dict(data)
    if not resolutions_px:
        return space
    known = getattr(space, "resolutions_px", ())
    odd = [px for px in resolutions_px if px not in known]
    if odd:
        raise InvalidArgumentError(
            f"--resolutions: {odd[0]} is not one of {', '.join(map(str, known))}.", "Leave it out for all of them."
        )
    return dataclasses.replace(space, resolutions_px=tuple(sorted(set(resolutions_px))))  # type: ignore[type-var]
