"""Devices by name: chips, the boards that carry them, and what people call both.

A latency belongs to a board; a budget is usually asked for by chip. 'gv100' is the Volta chip of the Quadro GV100 and
of the V100, so its figures come from several boards; naming a board narrows a query to that board's figures.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gpunet.errors import InvalidArgumentError, UnknownDeviceError

LOCAL = "local"
_MEASURE = "To measure this machine instead, name the device 'local'."


@dataclass(frozen=True)
class Chip:
    """A processor that latencies are known or can be recorded for.

    Args:
        name: the short name used in records, e.g. 'gv100'.
        title: what it is, in words.
        compute_capability: CUDA compute capability, e.g. '7.0'.
        aliases: everyday names.
    """

    name: str
    title: str
    compute_capability: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    """What a device name means: a chip, or one board of it.

    Args:
        chip: the chip's short name; 'local' for this machine.
        board: the board's name as recorded; None for all boards of the chip.
        title: what it is, in words.
    """

    chip: str
    board: str | None
    title: str

    def covers(self, chip: str, board: str) -> bool:
        """Whether a record of this chip and board is a record of this device."""
        return chip == self.chip and (self.board is None or board == self.board)


THIS_MACHINE = Device(LOCAL, None, "this machine")

CHIPS = (
    Chip("gv100", "NVIDIA GV100 (Volta: Quadro GV100, V100, Titan V)", "7.0", ("v100", "volta", "titan v", "dgx-1")),
    Chip("t4", "NVIDIA TU104 (Turing: T4)", "7.5", ("tu104",)),
    Chip("a100", "NVIDIA GA100 (Ampere: A100)", "8.0", ("ga100", "a800")),
    Chip("a30", "NVIDIA GA100 (Ampere: A30)", "8.0"),
    Chip("a10", "NVIDIA GA102 (Ampere: A10)", "8.6", ("a10g",)),
    Chip("a40", "NVIDIA GA102 (Ampere: A40)", "8.6"),
    Chip("rtx3090", "NVIDIA GA102 (Ampere: GeForce RTX 3090)", "8.6", ("3090",)),
    Chip("orin", "NVIDIA GA10B (Ampere: Jetson Orin)", "8.7", ("jetson orin", "agx orin")),
    Chip("l4", "NVIDIA AD104 (Ada: L4)", "8.9", ("ad104",)),
    Chip("l40s", "NVIDIA AD102 (Ada: L40S)", "8.9", ("l40",)),
    Chip("rtx4090", "NVIDIA AD102 (Ada: GeForce RTX 4090)", "8.9", ("4090",)),
    Chip("h100", "NVIDIA GH100 (Hopper: H100)", "9.0", ("gh100", "h800")),
    Chip("h200", "NVIDIA GH100 (Hopper: H200)", "9.0"),
    Chip("b200", "NVIDIA GB100 (Blackwell: B200)", "10.0", ("gb200",)),
    Chip("rtx5090", "NVIDIA GB202 (Blackwell: GeForce RTX 5090)", "12.0", ("5090",)),
)

# Words of a marketing name that say nothing of the chip: vendor, product line, memory, form factor.
_NOISE = re.compile(r"nvidia|tesla|quadro|geforce|dgx|hgx|gpu|pcie?|sxm\d?|nvl|hbm\d?e?|ada|\d+g(i?b)?|laptop|super|ti")


def _squash(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _core(name: str) -> str:
    """A name without the words that say nothing of the chip: 'Tesla V100-SXM2-16GB' -> 'v100'."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "".join(word for word in words if not _NOISE.fullmatch(word))


def resolve(name: str, recorded: Iterable[tuple[str, str]] = ()) -> Device:
    """The device that a name means.

    Args:
        name: a chip ('gv100'), a board as recorded ('V100 32GB'), a marketing name ('Tesla V100', 'NVIDIA
            A100-SXM4-80GB') or 'local'; case and punctuation do not matter.
        recorded: (chip, board) pairs of the zoo's records: their chips and boards are known too.

    Raises:
        UnknownDeviceError: (a LookupError) with the close names and how to measure one's own machine.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidArgumentError(f"device must be a name such as 'gv100', but got {name!r}.", _MEASURE)
    asked, core = _squash(name), _core(name)
    if asked == LOCAL:
        return THIS_MACHINE
    pairs = list(recorded)
    titles = {chip.name: chip.title for chip in CHIPS}
    names = {_squash(alias): chip.name for chip in CHIPS for alias in (chip.name, *chip.aliases)}
    names.update({_squash(chip): chip for chip, _ in pairs})
    if asked in names:
        chip = names[asked]
        return Device(chip, None, titles.get(chip, chip))
    for chip, board in pairs:
        if board and asked in (_squash(board), _squash(re.sub(r"\(.*?\)", "", board))):
            return Device(chip, board, f"{board} ({chip})")
    if core in names:
        chip = names[core]
        return Device(chip, None, titles.get(chip, chip))
    chips = {name for chip in CHIPS for name in (chip.name, *chip.aliases)}
    known = sorted(chips | {part.lower() for pair in pairs for part in pair if part})
    close = difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.5)
    said = f"Close names: {', '.join(close)}." if close else f"Chips with a name: {', '.join(c.name for c in CHIPS)}."
    raise UnknownDeviceError(f"unknown device {name!r}.", f"{said} {_MEASURE}", nearest=close)


def compute_capability(chip: str) -> str | None:
    """CUDA compute capability of a chip by its short name, e.g. '7.0'; None where it is not known."""
    return next((each.compute_capability for each in CHIPS if each.name == chip), None)
