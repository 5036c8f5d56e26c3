"""Specification sheets of GPUs, and the names that devices have here: boards, MIG slices, power modes, laptop parts.

A device that is cut from a board (a MIG slice, a lower power mode, a laptop's clock) is a sheet of its own, whose rates
follow from the board's by its multiprocessors, clock and memory.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from gpunet.core.arguments import checked_number
from gpunet.errors import ABSENT_EXIT_CODE, EntryError, UnknownDeviceError

FOLDER = Path(__file__).parent / "data"
ARCHITECTURES = ("Maxwell", "Pascal", "Volta", "Turing", "Ampere", "Ada", "Hopper", "Blackwell")
_PRODUCT = re.compile(r"nvidia|tesla|geforce|graphics|gpu|dgx|hgx|pcie|sxm\d?|\d+gb")


@dataclass(frozen=True)
class GpuSheet:
    """What a specification sheet says of a GPU; the columns of a sheet file.

    Args:
        name: of the board.
        architecture: one of ARCHITECTURES.
        sms: streaming multiprocessors.
        cuda_cores: in all of them.
        boost_mhz: clock that the rates are of.
        mem_bw_gbs: of its memory, GB/s.
        l2_mb: second-level cache.
        fp32_tflops, fp16_tflops: without tensor cores.
        fp16_tensor_tflops_dense: of the tensor cores with FP16 sums where it has them; 0 without tensor cores.
        int8_tensor_tops_dense: of the tensor cores; 0 where they have no integers.
        tdp_w: power limit; 0 where it is not known.
        note: what else is to be known.
    """

    name: str
    architecture: str
    sms: float
    cuda_cores: float
    boost_mhz: float
    mem_bw_gbs: float
    l2_mb: float
    fp32_tflops: float
    fp16_tflops: float
    fp16_tensor_tflops_dense: float
    int8_tensor_tops_dense: float = 0.0
    tdp_w: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise EntryError(
                f"sheet of {self.name!r:.80}: architecture must be one of {', '.join(ARCHITECTURES)}, but got "
                f"{self.architecture!r:.80}."
            )
        for name, above in _NUMBERS.items():
            checked_number(f"sheet of {self.name!r:.80}: {name}", getattr(self, name), 0, 1e7, above=above,
                           error=EntryError)  # fmt: skip

    @property
    def key(self) -> str:
        """Its short name, as a chip of records: letters and digits, with '-' between words."""
        return key_of(self.name)

    def scaled(
        self, name: str, *, sms: float | None = None, boost_mhz: float | None = None, mem_bw_gbs: float | None = None,
        l2_mb: float | None = None, tdp_w: float | None = None, note: str = "",
    ) -> GpuSheet:  # fmt: skip
        """A device cut from this one: rates in proportion to multiprocessors and clock."""
        sms, mhz = sms or self.sms, boost_mhz or self.boost_mhz
        share = sms / self.sms * mhz / self.boost_mhz
        return dataclasses.replace(
            self, name=name, sms=sms, boost_mhz=mhz, cuda_cores=self.cuda_cores * sms / self.sms,
            mem_bw_gbs=mem_bw_gbs or self.mem_bw_gbs, l2_mb=l2_mb or self.l2_mb, tdp_w=tdp_w or self.tdp_w,
            fp32_tflops=self.fp32_tflops * share, fp16_tflops=self.fp16_tflops * share,
            fp16_tensor_tflops_dense=self.fp16_tensor_tflops_dense * share,
            int8_tensor_tops_dense=self.int8_tensor_tops_dense * share, note=note or self.note,
        )  # fmt: skip


_NUMBERS = {
    "sms": True, "cuda_cores": True, "boost_mhz": True, "mem_bw_gbs": True, "l2_mb": True, "fp32_tflops": True,
    "fp16_tflops": True, "fp16_tensor_tflops_dense": False, "int8_tensor_tops_dense": False, "tdp_w": False,
}  # fmt: skip


def key_of(name: str) -> str:
    """Of 'NVIDIA GeForce RTX 4090' 'rtx4090', of 'Jetson AGX Orin' 'agx-orin'."""
    words = [word for word in re.findall(r"[a-z0-9]+", name.lower()) if not _PRODUCT.fullmatch(word)]
    text = "-".join(words[1:] if words[:1] == ["jetson"] and len(words) > 2 else words)
    return re.sub(r"^(rtx|gtx)-(?=\d)", r"\1", text)


# What people say for a sheet's key.
_ALIASES = {
    "gv100": "quadro-gv100", "volta": "v100", "tesla-v100": "v100", "orin": "agx-orin", "xavier": "agx-xavier",
    "nano": "jetson-nano", "tx2": "jetson-tx2", "nx": "xavier-nx", "3090": "rtx3090", "4090": "rtx4090",
    "5090": "rtx5090", "3060": "rtx3060", "2080ti": "rtx2080-ti", "1080ti": "gtx1080-ti", "xp": "titan-xp",
    "2060maxq": "rtx2060-max-q", "pro6000maxq": "rtx-pro-6000-max-q",
}  # fmt: skip
# Chips of `gpunet.core.device` by the key of a sheet: their records are of the same GPU.
CHIP_OF = {"quadro-gv100": "gv100", "v100": "gv100", "titan-v": "gv100", "agx-orin": "orin"}
_CLOCK = re.compile(r"(.+)@(\d{2,4})(?:mhz)?", re.IGNORECASE)
_SLICE = re.compile(r"(.*?)[-_ ]?(?:mig[-_ ]?)?(\dg)(?:[._]\d+gb)?", re.IGNORECASE)


def read_sheets(path: Path) -> tuple[GpuSheet, ...]:
    """The sheets in a CSV file with the columns of `GpuSheet`.

    Raises:
        EntryError: (a ValueError) it cannot be read, lacks a column, or a value is none.
    """
    texts = ("name", "architecture", "note")
    columns = [each.name for each in dataclasses.fields(GpuSheet)]
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        absent = ABSENT_EXIT_CODE if isinstance(error, FileNotFoundError) else None
        raise EntryError(
            f"{path}: no sheet of a GPU can be read from it: {reason}.", _COLUMNS_HINT, exit_code=absent
        ) from None
    found = []
    for number, row in enumerate(rows, 2):
        try:
            values = {name: row[name] if name in texts else float(row[name] or 0)
                      for name in columns if name in row or name not in _OPTIONAL}  # fmt: skip
            found.append(GpuSheet(**values))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            said = f"column {error} is missing" if isinstance(error, KeyError) else str(error)
            raise EntryError(f"{path}:{number}: {said}.", _COLUMNS_HINT) from None
    if not found:
        raise EntryError(f"{path}: it holds no sheet.", _COLUMNS_HINT)
    return tuple(found)


_OPTIONAL = ("int8_tensor_tops_dense", "tdp_w", "note")
_COLUMNS_HINT = "A sheet is a row of CSV with the columns " + ", ".join(
    each.name for each in dataclasses.fields(GpuSheet)
)


@functools.cache
def known_sheets() -> tuple[GpuSheet, ...]:
    """Those of the package: boards, then their power modes and slices."""
    boards = read_sheets(FOLDER / "gpus.csv")
    of = {each.name: each for each in boards}
    with open(FOLDER / "modes.csv", encoding="utf-8", newline="") as file:
        modes = tuple(
            of[row["board"]].scaled(
                row["name"],
                sms=float(row["sms"]),
                boost_mhz=float(row["boost_mhz"]),
                mem_bw_gbs=float(row["mem_bw_gbs"]),
                l2_mb=float(row["l2_mb"]),
                tdp_w=float(row["tdp_w"]),
                note=row["note"],
            )
            for row in csv.DictReader(file)
        )
    return boards + modes


def sheet_named(name: str, extra: tuple[GpuSheet, ...] = ()) -> GpuSheet:
    """The sheet that a device's name means.

    Args:
        name: a board ('RTX 4090'), a short name ('rtx4090', 'jetson-agx-orin'), a slice ('a100-mig-3g.20gb'), a power
            mode ('agx-orin-30w'), or a board at another clock ('rtx4090@1500mhz').
        extra: sheets of one's own; they come first.

    Raises:
        UnknownDeviceError: (a LookupError) there is no sheet of that name; the hint names close ones.
    """
    return _sheet_named(name, extra)


@functools.lru_cache(maxsize=256)
def _sheet_named(name: str, extra: tuple[GpuSheet, ...]) -> GpuSheet:
    at = _CLOCK.fullmatch(name.strip())
    if at is not None:
        whole, mhz = sheet_named(at[1], extra), float(at[2])
        return whole.scaled(f"{whole.name} @ {mhz:g} MHz", boost_mhz=mhz, note=f"{whole.name} at another clock")
    sheets = {each.key: each for each in (*known_sheets(), *extra)}
    squashed = {_squashed(key): sheet for key, sheet in sheets.items()}
    squashed.update({_squashed(alias): sheets[key] for alias, key in _ALIASES.items()
                     if _squashed(alias) not in squashed and key in sheets})  # fmt: skip
    cut = _SLICE.fullmatch(name)
    tried = [key_of(name), name, *([f"{key_of(cut[1])}-{cut[2]}"] if cut else [])]
    for each in tried:
        found = squashed.get(_squashed(each))
        if found is not None:
            return found
    close = difflib.get_close_matches(key_of(name), sheets, n=4, cutoff=0.5)
    said = f"Close names: {', '.join(close)}." if close else f"There are {', '.join(sheets)}."
    raise UnknownDeviceError(
        f"there is no specification sheet of a GPU {name!r}.",
        f"{said} One of your own: --gpu-sheet FILE, or gpu_sheet=FILE.", nearest=close,
    )  # fmt: skip


def chip_of(sheet: GpuSheet) -> str:
    """The chip that records of this device have: what `gpunet.core.device` calls it, else the sheet's own key."""
    return CHIP_OF.get(sheet.key, sheet.key)


def _squashed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
