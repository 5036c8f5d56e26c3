"""timm's names where a network is named, and nothing is chosen: TAG, or TAG@PX, without its zoo being asked for."""

from __future__ import annotations

from pathlib import Path

from gpunet.errors import UnknownModelError
from gpunet.model.entry import Entry
from gpunet.zoo.catalog import Zoo, entry_named
from gpunet.zoo.timm_zoo.entries import timm_entries


def entry_by_name(name: str | Path, zoo: Zoo = None) -> Entry:
    """The entry of that name in the zoo, or in a folder; else that of timm's catalogue: see `entry_of_timm`.

    Raises:
        As `gpunet.zoo.catalog.entry_named` does, and `entry_of_timm`.
    """
    try:
        return entry_named(name, zoo)
    except UnknownModelError:
        found = entry_of_timm(str(name))
        if found is None:
            raise
        return found


def entry_of_timm(name: str) -> Entry | None:
    """The entry that timm's catalogue has for TAG@PX or TAG; of several input sizes the least, which is timm's default.

    Raises:
        UnknownModelError: (a LookupError) the tag is there, but has no published accuracy at that input size.
    """
    tag, _, px = name.partition("@")
    sizes = {entry.input_px or 0: entry for entry in timm_entries() if entry.architecture == tag}
    if not sizes:
        return None
    if not px:
        return sizes[min(sizes)]
    found = next((entry for side, entry in sizes.items() if str(side) == px), None)
    if found is None:
        known = " and ".join(map(str, sorted(sizes)))
        names = [f"{tag}@{side}" for side in sorted(sizes)]
        raise UnknownModelError(
            f"{tag} has published accuracies at {known} px, but {name!r} is asked for.",
            f"Name it {' or '.join(names)}.",
            nearest=names,
        )
    return found
