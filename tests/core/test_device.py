"""Device names: chips, boards, marketing names, unknown ones."""

from __future__ import annotations

import pytest

from gpunet.core.device import CHIPS, compute_capability, resolve
from gpunet.errors import InvalidArgumentError, UnknownDeviceError

RECORDED = [("gv100", "V100 32GB"), ("gv100", "Quadro GV100 (PCIe)"), ("a100", "A100 80GB"), ("npu7", "Dev Kit")]


@pytest.mark.parametrize(
    "name",
    ["gv100", "GV100", "V100", "v100", "Tesla V100", "NVIDIA Tesla V100-SXM2-16GB", "Volta", "Titan V", "V100-PCIE"],
)
def test_everyday_names_of_the_volta_chip(name) -> None:
    device = resolve(name, RECORDED)
    assert (device.chip, device.board) == ("gv100", None)


@pytest.mark.parametrize("name", ["a100", "A100", "NVIDIA A100-SXM4-80GB", "DGX A100", "GA100", "A100 PCIe 40GB"])
def test_everyday_names_of_the_a100(name) -> None:
    assert resolve(name, RECORDED).chip == "a100"


@pytest.mark.parametrize("name", ["V100 32GB", "v100-32gb", "Quadro GV100 (PCIe)", "quadro gv100"])
def test_a_boards_name_narrows_to_the_board(name) -> None:
    device = resolve(name, RECORDED)
    assert device.board is not None
    assert device.covers("gv100", device.board)
    assert not device.covers("gv100", "another")
    assert not device.covers("a100", device.board)


def test_chips_and_boards_of_the_records_are_known() -> None:
    assert resolve("NPU7", RECORDED).chip == "npu7"
    assert resolve("dev kit", RECORDED).board == "Dev Kit"
    assert resolve("local").chip == "local"


def test_an_unknown_device_gets_the_close_names_and_how_to_measure() -> None:
    with pytest.raises(UnknownDeviceError) as caught:
        resolve("gv10", RECORDED)
    assert "unknown device 'gv10'" in str(caught.value)
    names = caught.value.hint.partition(".")[0].removeprefix("Close names: ").split(", ")
    assert names[0] == "gv100"
    assert list(caught.value.nearest) == names
    assert len(set(names)) == len(names)
    assert "the device 'local'" in caught.value.hint
    with pytest.raises(LookupError, match="Chips with a name: gv100"):
        resolve("zzzzzz", RECORDED)


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_a_device_is_a_name(name) -> None:
    with pytest.raises(InvalidArgumentError, match="device must be a name such as 'gv100'"):
        resolve(name)


def test_aliases_are_unambiguous() -> None:
    names = [alias for chip in CHIPS for alias in (chip.name, *chip.aliases)]
    assert len(names) == len(set(names))
    for chip in CHIPS:
        for alias in chip.aliases:
            assert resolve(alias).chip == chip.name


def test_compute_capability() -> None:
    assert compute_capability("gv100") == "7.0"
    assert compute_capability("abacus") is None
